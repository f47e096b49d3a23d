"""Fixtures: the servers of a run, and the doors to them."""

import pytest

from harness.door import Door
from harness.triton import Triton

# Every model but the one that a client loads and the one that cannot be.
LOADED = (
    "simple prod-simple simple_string simple_identity simple_sequence every_type identity_fp16 identity_bf16 "
    "identity_fp32 labelled repeat_int32 slow fails fails_decoupled parameters"
).split()


@pytest.fixture(scope="session")
def triton(tmp_path_factory):
    """The Triton that most tests share."""
    server = Triton(tmp_path_factory.mktemp("triton"), LOADED)
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture(scope="session")
def direct(triton):
    """Triton itself, without anything between."""
    return Door("direct", triton.address)


@pytest.fixture(scope="session")
def through(direct):
    return direct
