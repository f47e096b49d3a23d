"""Fixtures: the servers of a run, and the doors to them."""

import os

import pytest

from harness.door import Door
from harness.identity import Issuer
from harness.sluice import Sluice, triton_backend
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
def issuer(tmp_path_factory):
    return Issuer(tmp_path_factory.mktemp("issuer"))


@pytest.fixture(scope="session")
def sluice(tmp_path_factory, issuer, triton):
    """The gateway in front of the shared Triton."""
    gateway = Sluice(tmp_path_factory.mktemp("sluice"), issuer, [triton_backend(triton.address)])
    try:
        yield gateway.start()
    finally:
        gateway.stop()


@pytest.fixture(scope="session")
def gate(sluice):
    """The gateway's door, for whoever shows a token there."""
    return Door("through Sluice", sluice.address)


@pytest.fixture(scope="session")
def through(request, direct):
    """The door that has to answer as Triton does: Sluice's, for one who may everything.

    With E2E_SELF set it is Triton's own, which tells a flaky case.
    """
    if os.environ.get("E2E_SELF"):
        return direct
    token = request.getfixturevalue("issuer").token("operator")
    return request.getfixturevalue("gate").showing(token)
