"""System shared memory from registration to its end; CUDA's refusals.

What Sluice answers differently on purpose is not here: a region that nobody
registered through it is nobody's, so that unregistering it is refused
(test_shared_memory.py), where Triton says OK.
"""

import base64
import os
from contextlib import contextmanager

import numpy as np
import tritonclient.grpc as triton
import tritonclient.utils.shared_memory as shm
from tritonclient.utils import InferenceServerException

from cases import case
from cases.tensors import LEFT, RIGHT, simple
from harness.process import until
from harness.transcript import status_of

SIZE = LEFT.nbytes
# The server maps a region from its offset on, so that is in whole pages. No case
# infers in a region that has an offset: Triton 2.51 counts it twice, and so
# reads and writes past the region's end.
PAGE = 4096
# The suite's own, should two of them run on one machine.
PREFIX = f"/sluice_e2e_client_{os.getpid()}_"


@contextmanager
def region(name, size=2 * SIZE):
    handle = shm.create_shared_memory_region(name, PREFIX + name, size)
    try:
        yield handle
    finally:
        shm.destroy_shared_memory_region(handle)


def placed(kind, name, region_name, offset):
    """An input or requested output that lies in shared memory."""
    made = kind(name, [1, 16], "INT32") if kind is triton.InferInput else kind(name)
    made.set_shared_memory(region_name, SIZE, offset)
    return made


def unregister(client, name):
    """Unregisters, again where Triton has not yet let go of the last request.

    It then answers INTERNAL "Failed to unregister the following ...".
    """

    def done():
        try:
            client.unregister_system_shared_memory(name)
        except InferenceServerException as error:
            if "Failed to unregister" not in error.message():
                raise
            return False
        return True

    until(done, f"{name} is unregistered")


@case
def infer_in_shared_memory(door, log):
    with door.client() as client, region("in") as inputs, region("out") as outputs:
        shm.set_shared_memory_region(inputs, [LEFT, RIGHT])
        log.call("register", client.register_system_shared_memory, "in", PREFIX + "in", 2 * SIZE)
        log.call("register out", client.register_system_shared_memory, "out", PREFIX + "out", 2 * SIZE)
        regions = client.get_system_shared_memory_status().regions
        log.add("status", {name: without_own_prefix(regions[name]) for name in regions})
        assert client.get_system_shared_memory_status("in", as_json=True)["regions"]["in"]["key"].endswith("in")
        wanted = [placed(triton.InferRequestedOutput, "OUTPUT0", "out", SIZE), triton.InferRequestedOutput("OUTPUT1")]
        asked = [placed(triton.InferInput, "INPUT0", "in", 0), placed(triton.InferInput, "INPUT1", "in", SIZE)]
        log.call("infer", client.infer, "simple", asked, outputs=wanted)
        written = shm.get_contents_as_numpy(outputs, np.int32, [1, 16], offset=SIZE)
        assert (log.add("written", written) == LEFT + RIGHT).all()
        del written
        mixed = [placed(triton.InferInput, "INPUT0", "in", 0), simple()[1]]
        log.call("one of two", client.infer, "simple", mixed)
        log.call("unregister", unregister, client, "in")
        log.call("unregister out", unregister, client, "out")
        log.call("status after", client.get_system_shared_memory_status)


def without_own_prefix(status):
    """The region's status without what is this run's own."""
    status.key = status.key.removeprefix(PREFIX)
    return status


@case
def shared_memory_mistakes(door, log):
    with door.client() as client, region("twice", 2 * PAGE):
        missing = log.call("no such key", client.register_system_shared_memory, "x", "/sluice-e2e-no-such-key", 64)
        assert status_of(missing) == "INTERNAL"
        log.call("status unknown", client.get_system_shared_memory_status, "no-such-region")
        log.call("part of a page", client.register_system_shared_memory, "x", PREFIX + "twice", SIZE, offset=SIZE)
        log.call("second page", client.register_system_shared_memory, "page", PREFIX + "twice", PAGE, offset=PAGE)
        log.add("status", without_own_prefix(client.get_system_shared_memory_status("page").regions["page"]))
        log.call("unregister", unregister, client, "page")
        client.register_system_shared_memory("twice", PREFIX + "twice", SIZE)
        log.call("twice", client.register_system_shared_memory, "twice", PREFIX + "twice", SIZE)
        asked = [placed(triton.InferInput, "INPUT0", "twice", 0), placed(triton.InferInput, "INPUT1", "twice", SIZE)]
        log.call("too far", client.infer, "simple", asked)
        log.call("unregister all", unregister, client, "")


@case
def cuda_shared_memory(door, log):
    with door.client() as client:
        handle = base64.b64encode(b"\0" * 64)
        error = log.call("register", client.register_cuda_shared_memory, "gpu", handle, 0, 64)
        assert status_of(error) == "INVALID_ARGUMENT"
        log.call("status", client.get_cuda_shared_memory_status)
        log.call("status unknown", client.get_cuda_shared_memory_status, "gpu")
        log.call("unregister all", client.unregister_cuda_shared_memory)
