#!/usr/bin/env bash
# Installs Presidio's analyzer from PyPI into .bench/presidio (some 400 MB), which
# git ignores, and keeps it until requirements.txt changes. PYTHON names the
# interpreter; the pins are for CPython 3.11.
set -euo pipefail
cd "$(dirname "$0")/../.."

mkdir -p .bench
echo '*' > .bench/.gitignore
venv=$PWD/.bench/presidio
stamp=$venv/requirements.sha256
wanted=$(sha256sum < bench/masking/requirements.txt)
if [[ -f $stamp && $(< "$stamp") == "$wanted" ]]; then
	exit 0
fi
echo "bench-masking: making $venv (about a minute)" >&2
rm -rf "$venv"
"${PYTHON:-python3.11}" -m venv "$venv"
install() {
	"$venv/bin/pip" install --quiet --disable-pip-version-check --no-input --no-deps --requirement bench/masking/requirements.txt
}
# Once more where a registry had a bad moment.
install || install
echo "$wanted" > "$stamp"
