"""llama.cpp's own HTTP server, from the library that xllamacpp wraps.

python -m llm.llamacpp_server FILE MODEL PORT, where MODEL is what it calls itself
"""

import signal
import sys

import xllamacpp


def parameters(file, model, port):
    p = xllamacpp.CommonParams()
    p.model.path = file
    p.model_alias = {model}
    p.hostnames = ["127.0.0.1"]
    p.port = port
    # Some requests at a time, each with a context of its own.
    p.n_parallel = 4
    p.n_ctx = 4 * 16384
    p.n_gpu_layers = 0
    p.fit_params = False
    p.cpuparams.n_threads = 1
    p.cpuparams_batch.n_threads = 1
    p.n_threads_http = 8
    p.cache_ram_mib = 0
    p.ui = False
    p.warmup = False
    p.endpoint_slots = True
    return p


if __name__ == "__main__":
    server = xllamacpp.Server(parameters(sys.argv[1], sys.argv[2], int(sys.argv[3])))
    print("listening on", server.listening_address, flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
