"""Shared memory has one owner, who alone sees, uses and unregisters a region."""

import pytest
import tritonclient.grpc as triton
import tritonclient.utils.shared_memory as shm

from cases.memory import PREFIX, SIZE, placed, region, unregister
from cases.tensors import LEFT, RIGHT, simple
from harness.refusal import refused


@pytest.fixture
def keeper(gate, issuer):
    with gate.showing(issuer.token("keeper")).client() as client:
        yield client


@pytest.fixture
def poacher(gate, issuer):
    with gate.showing(issuer.token("poacher")).client() as client:
        yield client


@pytest.fixture
def kept(keeper):
    """A region that the keeper has registered, with an input in it."""
    with region("kept") as handle:
        shm.set_shared_memory_region(handle, [LEFT])
        keeper.register_system_shared_memory("kept", PREFIX + "kept", 2 * SIZE)
        yield handle
        unregister(keeper, "kept")


def using(name):
    return [placed(triton.InferInput, "INPUT0", name, 0), simple()[1]]


def test_the_owner_uses_the_region(keeper, kept):
    answer = keeper.infer("simple", using("kept"))
    assert (answer.as_numpy("OUTPUT0") == LEFT + RIGHT).all()
    assert set(keeper.get_system_shared_memory_status().regions) == {"kept"}


def test_nobody_else_does(keeper, poacher, kept):
    assert not poacher.get_system_shared_memory_status().regions
    refused("NOT_FOUND", poacher.get_system_shared_memory_status, "kept")
    refused("PERMISSION_DENIED", poacher.infer, "simple", using("kept"))
    refused("PERMISSION_DENIED", poacher.unregister_system_shared_memory, "kept")
    wanted = [placed(triton.InferRequestedOutput, "OUTPUT0", "kept", 0)]
    refused("PERMISSION_DENIED", poacher.infer, "simple", simple(), outputs=wanted)
    # "All" is all of the caller's own.
    poacher.unregister_system_shared_memory()
    assert set(keeper.get_system_shared_memory_status().regions) == {"kept"}


def test_a_name_that_is_taken_stays_so(keeper, poacher, kept):
    refused("PERMISSION_DENIED", poacher.register_system_shared_memory, "kept", PREFIX + "kept", SIZE)
    assert (keeper.infer("simple", using("kept")).as_numpy("OUTPUT0") == LEFT + RIGHT).all()


def test_unknown_regions_are_nobodys(keeper):
    refused("PERMISSION_DENIED", keeper.infer, "simple", using("never-registered"))
    refused("PERMISSION_DENIED", keeper.unregister_system_shared_memory, "never-registered")
    refused("PERMISSION_DENIED", keeper.unregister_cuda_shared_memory, "never-registered")


def test_the_server_s_own_memory_is_out_of_reach(keeper):
    key = "triton_python_backend_shm_region_1"
    for spelling in (key, "/" + key):
        with pytest.raises(triton.InferenceServerException):
            keeper.register_system_shared_memory("own", spelling, SIZE)
    assert "own" not in keeper.get_system_shared_memory_status().regions


def test_the_role_has_to_name_it(gate, issuer):
    # alice may everything that * means.
    with gate.showing(issuer.token("alice")).client() as client:
        refused("PERMISSION_DENIED", client.register_system_shared_memory, "a", "/a", SIZE)
        refused("PERMISSION_DENIED", client.get_system_shared_memory_status)
