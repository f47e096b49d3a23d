"""The real vLLM on the CPU, where it is installed: E2E_VLLM_PYTHON names its Python."""

import os
import re
import subprocess
from pathlib import Path

from .llamacpp import E2E, answers, get
from .process import LOOPBACK, Process, free_port


class VLLM:
    def __init__(self, folder, model, python):
        self.folder, self.model, self.python = Path(folder), model, python
        self.port = free_port()
        self.process = None
        self.env = {
            **os.environ,
            "PYTHONPATH": str(E2E),
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": str(self.folder),
            "OMP_NUM_THREADS": "1",
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "VLLM_HOST_IP": LOOPBACK,
            "VLLM_CPU_KVCACHE_SPACE": "1",
            "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1",
            # It tells nobody that it runs, and asks no hub for a model.
            "VLLM_NO_USAGE_STATS": "1",
            "HF_HUB_OFFLINE": "1",
        }

    @property
    def url(self):
        return f"http://{LOOPBACK}:{self.port}"

    def start(self):
        files = self.folder / "model"
        subprocess.run([self.python, "-m", "llm.hf_model", files], env=self.env, check=True, timeout=120)
        # The command vllm would look for a package of that name, and this is vllm-cpu.
        argv = [self.python, "-m", "vllm.entrypoints.openai.api_server", "--model", files]
        argv += ["--served-model-name", self.model, "--host", LOOPBACK, "--port", self.port]
        argv += ["--enforce-eager", "--dtype", "float32", "--max-num-seqs", 4]
        self.process = Process("vllm", argv, self.folder / "vllm.log", env=self.env)
        self.process.wait_for(lambda: answers(self.url + "/health"), seconds=600)
        return self

    def stop(self):
        if self.process:
            self.process.stop(grace=30)

    def running(self):
        """How many requests are under way."""
        found = re.findall(r"^vllm:num_requests_(?:running|waiting)\{.*\} (\S+)$", get(self.url + "/metrics"), re.M)
        return int(sum(map(float, found)))
