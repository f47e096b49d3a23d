"""The README's demo, pasted as it stands: only its addresses are this run's."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
BLOCK = re.compile(r"<!-- test:demo -->\n```(?:sh|console)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks():
    return BLOCK.findall(README.read_text())


def test_readme_has_a_demo():
    assert blocks(), "a block of README.md is marked <!-- test:demo -->"


# `go run` may have to build first.
@pytest.mark.timeout(240)
@pytest.mark.parametrize("script", blocks(), ids=lambda script: script.split()[0])
def test_readme_demo(script, demo):
    script = script.replace("127.0.0.1:8001", demo.address)
    script = re.sub(r"(demo token \w+)", rf"\1 --issuer {demo.issuer}", script)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        capture_output=True,
        text=True,
        timeout=200,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PATH": path, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert "[[2 2 2 2" in done.stdout
    promised = refusal_in_readme().replace("127.0.0.1:8004", demo.issuer)
    assert promised in done.stdout


def refusal_in_readme():
    """What the README says that bob is told."""
    [line] = [line for line in README.read_text().splitlines() if line.startswith("[StatusCode.")]
    return line
