#!/usr/bin/env bash
# Runs the end-to-end suite: an unchanged tritonclient, a real Triton and a real
# MLServer, directly and through Sluice. Arguments go to pytest as they are.
#
#   e2e/run.sh                     everything
#   e2e/run.sh -k stream -x        what pytest's -k selects
#   E2E_SELF=1 e2e/run.sh test_parity.py   Triton against itself: is a case flaky?
#   E2E_RACE=1 e2e/run.sh          with Go's race detector in Sluice
#
# It makes its own virtual environment (.venv in the project's root, some 500 MB)
# and keeps it until requirements.txt changes. PYTHON names the interpreter.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
venv=${E2E_VENV:-$root/.venv}

# leave_out says loudly what is not tested on this machine; in CI that is a
# failure, elsewhere the rest of the tests may go on.
leave_out() {
  {
    echo "################################################################"
    echo "# LEFT OUT: the whole end-to-end suite (e2e/)."
    echo "# Why: $1"
    echo "# Not tested: tritonclient through Sluice to Triton and MLServer."
    echo "################################################################"
  } >&2
  if [[ ${CI:-} == true ]]; then
    echo "e2e: with CI=true that is a failure" >&2
    exit 1
  fi
  exit 0
}

# find_python prints a CPython 3.11: the Triton of the wheel has its Python
# backend built for just the versions that it carries, and MLServer's pins fit 3.11.
find_python() {
  local candidate
  for candidate in ${PYTHON:-} python3.11 python3 python; do
    if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  return 1
}

install() {
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
    --no-deps --requirement "$here/requirements.txt"
}

make_venv() {
  local python=$1 stamp wanted
  stamp=$venv/e2e-requirements.sha256
  wanted=$("$python" -c 'import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest())' "$here/requirements.txt")
  if [[ -f $stamp && $(<"$stamp") == "$wanted" ]]; then
    return
  fi
  echo "e2e: making $venv (about a minute)" >&2
  rm -rf "$venv"
  "$python" -m venv "$venv"
  # Once more where a registry had a bad moment.
  install || install
  echo "$wanted" >"$stamp"
}

[[ $(uname -sm) == "Linux x86_64" ]] || leave_out "the Triton wheel runs on Linux x86_64 only, this is $(uname -sm)"
python=$(find_python) || leave_out "there is no Python 3.11 with venv on the PATH (PYTHON=/path/to/python3.11 names one)"
make_venv "$python"

if [[ -z ${E2E_SELF:-} ]]; then
  (cd "$root" && go build -trimpath ${E2E_RACE:+-race} -o bin/sluice ./cmd/sluice)
fi

# The suite bounds each of its tests; this bounds the suite, should that fail.
cd "$here"
exec timeout --signal=INT --kill-after=60 "${E2E_TIMEOUT:-900}" "$venv/bin/python" -m pytest "$@"
