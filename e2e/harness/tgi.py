"""The double of TGI, which has no package that runs here."""

import json
import re
import subprocess
from pathlib import Path

from llm.text import ENDLESS, PIECES, TICKS

from .llamacpp import E2E, answers, get
from .process import LOOPBACK, Process, free_port

BINARY = E2E.parent / "bin" / "tgitest"


class TGI:
    def __init__(self, folder, adapter):
        self.folder, self.adapter = Path(folder), adapter
        # What it wants to be shown.
        self.key = self.folder / "key"
        self.port = free_port()
        self.process = None

    @property
    def url(self):
        return f"http://{LOOPBACK}:{self.port}"

    def start(self):
        subprocess.run(["go", "build", "-o", BINARY, "./e2e/tgitest"], cwd=E2E.parent, check=True, timeout=120)
        say = self.folder / "say.json"
        say.write_text(json.dumps({"tokens": PIECES, "ticks": TICKS, "endless": ENDLESS}))
        self.key.write_text("hf-e2e-key")
        argv = [BINARY, "-listen", f"{LOOPBACK}:{self.port}", "-say", say]
        argv += ["-adapters", self.adapter, "-api-key", self.key.read_text()]
        self.process = Process("tgi", argv, self.folder / "tgi.log")
        self.process.wait_for(lambda: answers(self.url + "/health"), seconds=10)
        return self

    def stop(self):
        if self.process:
            self.process.stop()

    def running(self):
        """How many requests are under way."""
        return int(re.search(r"^tgi_batch_current_size (\d+)$", get(self.url + "/metrics"), re.M)[1])
