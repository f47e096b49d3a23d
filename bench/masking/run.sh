#!/usr/bin/env bash
# Measures the detectors beside Presidio's pattern recognizers, all on one core.
#
#   bench/masking/run.sh                        the tables go to stdout and into docs/MASKING.md
#   bench/masking/run.sh -part development -examples 5     what is missed and what is wrongly found
#   bench/masking/run.sh -only accuracy|speed   half of it
#
# Any flag keeps the tables out of docs/.
set -euo pipefail
cd "$(dirname "$0")/../.."

mkdir -p .bench/bin
"${GO:-go}" build -trimpath -o .bench/bin/masking ./bench/masking
commit=$(git describe --always --dirty 2> /dev/null || echo unknown)
if (($# == 0)); then
	set -- -publish docs/MASKING.md
fi
pin=()
if command -v taskset > /dev/null; then
	pin=(taskset -c "${CORE:-0}")
fi
GOMAXPROCS=1 exec "${pin[@]}" .bench/bin/masking -commit "$commit" -python .bench/presidio/bin/python -script bench/masking/presidio.py "$@"
