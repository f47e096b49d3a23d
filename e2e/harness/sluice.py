"""The gateway under test: a built binary, a configuration made for the test."""

import json
import os
import signal
import subprocess
import urllib.request
from pathlib import Path

from .identity import AUDIENCE, ISSUER
from .process import Process, accepts, free_address

BINARY = Path(__file__).parent.parent.parent / "bin" / "sluice"

# Who may do what in this suite. operators may everything that a role can give,
# so that nothing stands between them and the server.
POLICY = {
    "roles": {
        "model-viewer": [{"models": ["*"], "verbs": ["infer", "describe", "list"]}],
        "model-admin": [{"models": ["*"], "verbs": ["*"]}],
        "operator": [{"models": ["*"], "verbs": ["*", "shm"]}],
        "shm-keeper": [
            {"models": ["*"], "verbs": ["infer", "shm"]},
        ],
        "simple-caller": [{"models": ["simple"], "verbs": ["infer"]}],
        "partial-lister": [{"models": ["simple*"], "verbs": ["list", "infer", "describe"]}],
    },
    "bindings": [
        {"role": "model-viewer", "groups": ["model-viewer"]},
        {"role": "model-admin", "groups": ["model-admin"]},
        {"role": "operator", "groups": ["operators"]},
        {"role": "shm-keeper", "groups": ["shm-keepers"]},
        {"role": "simple-caller", "subjects": [f"{ISSUER}#ci"]},
        {"role": "partial-lister", "subjects": [f"{ISSUER}#partial"]},
    ],
}


class Sluice:
    """One `sluice serve` on ports of its own."""

    def __init__(self, folder, issuer, backends, server=None):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.address = free_address()
        self.rest = free_address()
        self.metrics = free_address()
        self.process = None
        own = {"grpc": self.address, "rest": self.rest, "metrics": self.metrics, "console": "off", "shutdown_grace": "3s"}
        self.config = {
            "server": {**own, **(server or {})},
            "identity": {"oidc": [source(issuer)]},
            "backends": backends,
            "policy": ["policy.yaml"],
        }
        self.write("policy.yaml", POLICY)
        self.path = self.write("sluice.yaml", self.config)

    def write(self, name, document):
        # JSON is YAML.
        path = self.folder / name
        path.write_text(json.dumps(document, indent=1))
        return path

    def start(self):
        argv = [BINARY, "serve", "--config", self.path]
        self.process = Process("sluice", argv, self.folder / "sluice.log")
        self.process.wait_for(lambda: accepts(self.address), seconds=20)
        return self

    def stop(self):
        """Stops the gateway; it has to end by itself and cleanly."""
        if self.process is None:
            return
        code = self.process.stop(signal.SIGTERM)
        assert code == 0, f"sluice ended with {code}:\n{self.process.tail()}"
        assert "DATA RACE" not in self.log() and "panic:" not in self.log(), self.process.tail(200)

    def log(self):
        return self.process.text()

    def read_metrics(self):
        with urllib.request.urlopen(f"http://{self.metrics}/metrics", timeout=5) as answer:
            return answer.read().decode()


def source(issuer):
    """The identity source that believes issuer's tokens."""
    return {
        "name": "e2e",
        "issuer": ISSUER,
        "audiences": [AUDIENCE],
        "groups": "groups",
        "jwks": f"file:{issuer.jwks}",
    }


def triton_backend(address, **more):
    return {"name": "triton", "type": "triton", "addresses": [address], "models": ["*"], **more}


def command(*arguments, timeout=30, env=None):
    """Runs the sluice command line to its end."""
    return subprocess.run(
        [BINARY, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **(env or {})},
    )
