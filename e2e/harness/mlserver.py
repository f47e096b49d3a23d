"""MLServer 1.7.1 with small models of ours."""

import json
import os
import sys
import urllib.request
from pathlib import Path

from .process import LOOPBACK, Process, free_port

MODEL = Path(__file__).parent.parent / "mlserver_model"


class MLServer:
    def __init__(self, folder):
        self.folder = Path(folder)
        self.grpc_port, self.http_port = free_port(), free_port()
        self.process = None
        settings = {
            "host": LOOPBACK,
            "grpc_port": self.grpc_port,
            "http_port": self.http_port,
            "metrics_port": free_port(),
            # In the server's own process: no pool of workers to start and stop.
            "parallel_workers": 0,
            "debug": False,
        }
        (self.folder / "settings.json").write_text(json.dumps(settings))
        for name, kind in (("identity", "Identity"), ("other", "Identity"), ("tokens", "Tokens")):
            model = self.folder / name
            model.mkdir()
            document = {"name": name, "implementation": f"model.{kind}"}
            (model / "model-settings.json").write_text(json.dumps(document))

    @property
    def address(self):
        return f"{LOOPBACK}:{self.grpc_port}"

    def start(self):
        argv = [Path(sys.executable).parent / "mlserver", "start", self.folder]
        env = {**os.environ, "PYTHONPATH": str(MODEL), "PYTHONDONTWRITEBYTECODE": "1"}
        # It leaves a cache of its environments where it is started.
        self.process = Process("mlserver", argv, self.folder / "mlserver.log", env=env, cwd=self.folder)
        self.process.wait_for(self.ready, seconds=80)
        return self

    def ready(self):
        try:
            with urllib.request.urlopen(f"http://{LOOPBACK}:{self.http_port}/v2/health/ready", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    def stop(self):
        if self.process:
            self.process.stop()
