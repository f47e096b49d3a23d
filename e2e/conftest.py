"""Fixtures: the servers of a run, and the doors to them."""

import os
from functools import cache

import pytest

from harness.demo import Demo
from harness.door import Door
from harness.identity import Issuer
from harness.sluice import Sluice, triton_backend
from harness.triton import Triton

# Every model but the one that a client loads and the one that cannot be.
LOADED = (
    "simple prod-simple simple_string simple_identity accumulator every_type identity_fp16 identity_bf16 "
    "identity_fp32 labelled repeat_int32 slow fails fails_decoupled parameters tokens identity_json"
).split()


class World:
    """A gateway whose people are those of the demo, and a model that tests may load and unload."""

    def __init__(self, door, token, spare):
        self.stranger = door
        self.token = cache(token)
        self.spare = spare

    def door(self, name):
        """The door for one of the people."""
        return self.stranger.showing(self.token(name))


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


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """A running `sluice demo`."""
    server = Demo(tmp_path_factory.mktemp("demo"))
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture(scope="session", params=["triton", "demo"])
def world(request):
    """Somewhere with alice, bob and ci in it: the gateway before the real Triton, and the demo."""
    if request.param == "demo":
        demo = request.getfixturevalue("demo")
        return World(demo.door(), demo.token, spare="simple_string")
    issuer = request.getfixturevalue("issuer")
    return World(request.getfixturevalue("gate"), issuer.token, spare="idle")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """Shows the ends of the servers' logs beside a failure."""
    report = (yield).get_result()
    if not report.failed:
        return
    for name, server in getattr(item, "funcargs", {}).items():
        process = getattr(server, "process", None)
        if process is not None:
            report.sections.append((f"log of {name}", process.tail(15)))
