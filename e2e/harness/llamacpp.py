"""llama.cpp's server, as PyPI's xllamacpp brings it, with the suite's Llama."""

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

from .process import LOOPBACK, Process, free_port

E2E = Path(__file__).parent.parent


class LlamaCpp:
    def __init__(self, folder, model):
        self.folder, self.model = Path(folder), model
        self.port = free_port()
        self.process = None
        self.env = {**os.environ, "PYTHONPATH": str(E2E), "PYTHONDONTWRITEBYTECODE": "1"}

    @property
    def url(self):
        return f"http://{LOOPBACK}:{self.port}"

    def start(self):
        file = self.folder / "model.gguf"
        subprocess.run([sys.executable, "-m", "llm.gguf_model", file], env=self.env, check=True, timeout=60)
        argv = [sys.executable, "-m", "llm.llamacpp_server", file, self.model, self.port]
        self.process = Process("llama.cpp", argv, self.folder / "llamacpp.log", env=self.env)
        # While it loads the model it answers 503.
        self.process.wait_for(lambda: answers(self.url + "/health"), seconds=30)
        return self

    def stop(self):
        if self.process:
            self.process.stop()

    def running(self):
        """How many requests are under way."""
        return sum(slot["is_processing"] for slot in json.loads(get(self.url + "/slots")))


def get(url):
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read().decode()


def answers(url):
    """Whether a GET of url is answered with 200."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False
