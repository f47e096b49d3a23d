"""The real Triton 2.51 of the nvidia-pytriton wheel, on the CPU."""

import importlib.util
import os
import shutil
import signal
import sys
import sysconfig
import urllib.request
from pathlib import Path

from .process import LOOPBACK, Process, free_port

MODELS = Path(__file__).parent.parent / "models"

# Metadata that this Triton turns into parameters of the request, where the model
# named "parameters" shows them. The names that Sluice has to keep to itself are
# among them, so that a leak would be seen.
FORWARDED = "^(x-e2e-.*|authorization|proxy-authorization|cookie|sluice-.*|grpcgateway-.*)$"

# How many models start at a time: one for each core of a small machine.
LOAD_THREADS = 2

# On a busy machine the Python backend can give up on a lock while a model
# starts, and takes the server down with it ("boost::interprocess::lock_exception").
STARTS = 4


class Triton:
    """One tritonserver, restarted on the same ports as often as a test likes."""

    def __init__(self, folder, load, tls=None):
        self.folder = Path(folder)
        self.load = load
        self.tls = tls
        self.grpc_port = free_port()
        self.http_port = free_port()
        self.process = None
        self.repository = self.folder / "repository"
        # Links are followed: models share code in the tree, Triton gets copies.
        shutil.copytree(MODELS, self.repository, ignore=shutil.ignore_patterns("__pycache__"))
        self.backends = lay_out_backend(self.folder)

    @property
    def address(self):
        return f"{LOOPBACK}:{self.grpc_port}"

    @property
    def http_address(self):
        return f"{LOOPBACK}:{self.http_port}"

    def start(self):
        for attempt in range(1, STARTS + 1):
            try:
                return self.start_once()
            except AssertionError:
                if attempt == STARTS or "lock_exception" not in self.process.tail():
                    raise

    def start_once(self):
        argv = [wheel() / "tritonserver/bin/tritonserver", *self.flags()]
        self.process = Process("triton", argv, self.folder / "triton.log", env=environment())
        try:
            self.process.wait_for(self.ready, seconds=60)
        except AssertionError:
            self.forget_shared_memory()
            raise
        return self

    def flags(self):
        yield f"--model-repository={self.repository}"
        yield f"--backend-directory={self.backends}"
        yield "--model-control-mode=explicit"
        yield from (f"--load-model={name}" for name in self.load)
        yield f"--model-load-thread-count={LOAD_THREADS}"
        yield "--backend-config=python,shm-default-byte-size=1048576"
        yield f"--backend-config=python,shm-region-prefix-name={self.shm_prefix()}"
        yield f"--grpc-address={LOOPBACK}"
        yield f"--grpc-port={self.grpc_port}"
        yield f"--grpc-header-forward-pattern={FORWARDED}"
        yield f"--http-address={LOOPBACK}"
        yield f"--http-port={self.http_port}"
        yield "--allow-metrics=false"
        yield "--exit-timeout-secs=5"
        if self.tls:
            yield "--grpc-use-ssl-mutual=true"
            yield f"--grpc-server-cert={self.tls.server.certificate}"
            yield f"--grpc-server-key={self.tls.server.key}"
            yield f"--grpc-root-cert={self.tls.authority}"

    def ready(self):
        try:
            with urllib.request.urlopen(f"http://{LOOPBACK}:{self.http_port}/v2/health/ready", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    def stop(self):
        """Stops the server as its operators do; its models end with it."""
        if self.process:
            self.process.stop(signal.SIGINT)
            self.forget_shared_memory()

    def kill(self):
        """Ends the server without a word to its clients."""
        self.process.kill()
        self.forget_shared_memory()

    def shm_prefix(self):
        return f"sluice_e2e_{os.getpid()}_{self.grpc_port}_"

    def forget_shared_memory(self):
        # A server that was killed leaves its models' regions behind.
        for region in Path("/dev/shm").glob(self.shm_prefix() + "*"):
            region.unlink(missing_ok=True)


def wheel():
    """The folder of pytriton, found without importing it: it would want more packages."""
    return Path(importlib.util.find_spec("pytriton").submodule_search_locations[0])


def lay_out_backend(folder):
    """Puts the stub for this Python beside the Python backend, as Triton wants it."""
    server = wheel() / "tritonserver"
    backend = folder / "backends" / "python"
    backend.mkdir(parents=True)
    for name in ("libtriton_python.so", "triton_python_backend_utils.py"):
        (backend / name).symlink_to(server / "backends/python" / name)
    version = "{}.{}".format(*sys.version_info)
    shutil.copy(server / "python_backend_stubs" / version / "triton_python_backend_stub", backend)
    return backend.parent


def environment():
    """Where Triton finds its libraries, and its Python models find theirs."""
    packages = wheel().parent
    libraries = [packages / "nvidia_pytriton.libs", sysconfig.get_config_var("LIBDIR")]
    return {
        **os.environ,
        "LD_LIBRARY_PATH": os.pathsep.join(map(str, libraries)),
        "PYTHONPATH": str(packages),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
