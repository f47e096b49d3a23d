#!/usr/bin/env bash
# Builds Sluice and what the benchmark is made of, and runs it. What
# bench/install.sh has not installed is left out, by name.
#
#   bench/run.sh                 the full run; the tables go into docs/PERFORMANCE.md
#   bench/run.sh -smoke          seconds; shows only that everything works
#   bench/run.sh -targets go-pipe,sluice -scenarios small-16 -rounds 9
#
# Any flag keeps the tables out of docs/: they are in .bench/out then.
set -euo pipefail
cd "$(dirname "$0")/.."

mkdir -p .bench/bin
echo '*' > .bench/.gitignore
go=${GO:-go}
"$go" build -o .bench/bin/bench ./bench/cmd/bench
"$go" build -o .bench/bin/pipe ./bench/pipe
CGO_ENABLED=0 "$go" build -trimpath -o .bench/bin/sluice ./cmd/sluice
# A module of its own: the API of Envoy is no dependency of Sluice.
if [[ -e .bench/bin/envoy ]]; then
	(cd bench/extproc && "$go" vet . && "$go" build -o ../../.bench/bin/extproc .)
fi

commit=$(git describe --always --dirty 2> /dev/null || echo unknown)
if (($# == 0)); then
	set -- -publish docs/PERFORMANCE.md
fi
exec .bench/bin/bench run -commit "$commit" "$@"
