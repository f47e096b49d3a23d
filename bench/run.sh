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
# JSON has a bar of its own, 150 MB/s on one core each way, and no process to
# measure: Go's benchmarks show it, in .bench/out/json.txt.
mkdir -p .bench/out
json() { "$go" test -vet=off -run '^$' -bench 'FP32$' -cpu 1 "$@" ./rest/dialect | tee .bench/out/json.txt; }
case "$*" in
"") json -count 5 && set -- -publish docs/PERFORMANCE.md ;;
-smoke) json -benchtime 1x ;;
esac
exec .bench/bin/bench run -commit "$commit" "$@"
