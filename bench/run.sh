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
# What has a bar and no process to measure, Go's benchmarks show, in
# .bench/out/parts.txt: JSON (150 MB/s on one core each way), what a guard costs and
# the whole chain, how many records a second each kind of log takes and has checked,
# how large one is, what a token's record and payload cost, when held calls go on.
mkdir -p .bench/out
parts() { # [how often each benchmark runs, in place of what stands here]
	while read -r package what times flags; do
		[[ -z ${1:-} ]] || { times=$1 flags=; }
		# shellcheck disable=SC2086
		"$go" test -vet=off -run '^$' -bench "$what" -benchtime "$times" $flags "./$package" < /dev/null
	done <<- 'EOF' | tee .bench/out/parts.txt
		rest/dialect         FP32$          1s       -cpu=1 -count=5
		policy/guard         Decide         1s       -count=3
		server               Chain          100000x  -count=3
		audit/sqlite         Record|Words   500000x  -count=3
		audit/sqlite         Verify         3x       -count=3
		audit/postgres       Append         200000x  -count=3
		audit/jetstream      Send           200x     -count=3
		interceptors/record  Token          500000x  -count=3
		audit/payload        Token|Work     500000x  -count=3
		approval             Release/./one_  1x       -count=3
	EOF
}
case "$*" in
"") parts; set -- -publish docs/PERFORMANCE.md ;;
-smoke) parts 1x ;;
esac
exec .bench/bin/bench run -commit "$commit" "$@"
