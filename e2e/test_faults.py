"""A backend that dies, hangs, resets or talks nonsense; a gateway that is told to end."""

import socket
import threading
import time
from contextlib import contextmanager

import pytest

from cases.streams import Answers, busy, stream
from cases.tensors import repeat, simple, slow
from harness.door import Door
from harness.process import LOOPBACK, until
from harness.refusal import refused
from harness.sluice import Sluice, triton_backend
from harness.transcript import outcome, status_of
from harness.triton import Triton


@pytest.fixture(scope="module")
def mortal(tmp_path_factory):
    """A Triton that may be killed."""
    server = Triton(tmp_path_factory.mktemp("mortal"), ["simple", "slow", "repeat_int32"])
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory, issuer, mortal):
    server = Sluice(tmp_path_factory.mktemp("faulty"), issuer, [triton_backend(mortal.address)])
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture
def door(gateway, issuer):
    return Door("faulty", gateway.address).showing(issuer.token("operator"))


@contextmanager
def within(seconds):
    started = time.monotonic()
    yield
    assert time.monotonic() - started < seconds


def test_a_backend_that_is_killed_and_comes_back(mortal, door):
    calls, streamed = Answers(), Answers()
    with door.client() as client, door.client() as streaming:
        client.infer("simple", simple())
        client.async_infer("slow", slow(20_000), calls)
        until(lambda: busy(client), "the model is at work")
        streaming.start_stream(streamed)
        streaming.async_stream_infer("repeat_int32", repeat(range(1000), delay=10))
        streamed.take(3)

        mortal.kill()
        with within(15):
            assert calls.take(1, seconds=15)[0].status() == "StatusCode.UNAVAILABLE"
            until(lambda: ended(streamed), "the stream has ended", seconds=15)
        with within(15):
            refused("UNAVAILABLE", client.infer, "simple", simple())
            refused("UNAVAILABLE", client.is_model_ready, "simple")
        assert client.is_server_live()
        until(lambda: not client.is_server_ready(), "the gateway says that it is not ready")

        mortal.start()
        until(lambda: works(client), "calls come through again", seconds=30)
        assert client.is_server_ready()


def ended(answers):
    """Whether a stream has got its status; what came before is taken."""
    return any(getattr(answer, "status", lambda: None)() == "StatusCode.UNAVAILABLE" for answer in answers.rest())


def works(client):
    try:
        client.infer("simple", simple(), client_timeout=5)
    except Exception:  # until says what did not come to be.
        return False
    return True


def test_a_backend_that_hangs(mortal, door, gateway):
    with door.client() as client:
        client.infer("simple", simple())
        mortal.process.pause()
        try:
            with within(15):
                refused("DEADLINE_EXCEEDED", client.infer, "simple", simple(), client_timeout=0.5)
                refused("DEADLINE_EXCEEDED", client.get_model_metadata, "simple", client_timeout=0.5)
                assert client.is_server_live(client_timeout=10)
            with stream(door, stream_timeout=0.5) as (_, answers):
                [error] = answers.take(1, seconds=30)
                assert error.status() == "StatusCode.DEADLINE_EXCEEDED"
        finally:
            mortal.process.resume()
        until(lambda: works(client), "calls come through again", seconds=30)


class Nonsense:
    """A listener that does one thing with each connection."""

    def __init__(self, behave):
        self.listener = socket.create_server((LOOPBACK, 0))
        self.address = "{}:{}".format(*self.listener.getsockname())
        self.connections = []
        threading.Thread(target=self.serve, args=(behave,), daemon=True).start()

    def serve(self, behave):
        while True:
            try:
                connection, _ = self.listener.accept()
                self.connections.append(connection)
                behave(connection)
            except OSError:
                if self.listener.fileno() < 0:
                    return

    def close(self):
        self.listener.close()
        for connection in self.connections:
            connection.close()


def silent(connection):
    """Accepts, and says nothing."""


def reset(connection):
    linger_for_nothing = b"\1\0\0\0\0\0\0\0"
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_for_nothing)
    connection.close()


def garbage(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno" * 20)


@pytest.mark.parametrize("behave", [silent, reset, garbage], ids=lambda f: f.__name__)
def test_a_backend_that_is_none(behave, issuer, tmp_path):
    nonsense = Nonsense(behave)
    gateway = Sluice(tmp_path, issuer, [triton_backend(nonsense.address)])
    try:
        gateway.start()
        door = Door(behave.__name__, gateway.address).showing(issuer.token("operator"))
        with door.client() as client, within(10):
            error = outcome(client.infer, "simple", simple(), client_timeout=3)
            # Sluice may give up on a silent one before its client does.
            accepted = {"UNAVAILABLE", "DEADLINE_EXCEEDED"} if behave is silent else {"UNAVAILABLE"}
            assert status_of(error) in accepted
            assert client.is_server_live(client_timeout=3)
    finally:
        gateway.stop()
        nonsense.close()


def test_told_to_end_it_lets_calls_finish(mortal, issuer, tmp_path):
    gateway = Sluice(tmp_path, issuer, [triton_backend(mortal.address)], server={"shutdown_grace": "10s"})
    answers = Answers()
    gateway.start()
    door = Door("ending", gateway.address).showing(issuer.token("operator"))
    try:
        with door.client() as client:
            client.async_infer("slow", slow(1500), answers)
            with door.client() as other:
                until(lambda: busy(other), "the model is at work")
            ending = threading.Thread(target=gateway.stop)
            ending.start()
            [answer] = answers.take(1, seconds=30)
            assert int(answer.as_numpy("SLEPT")[0]) == 1500
            ending.join(10)
            assert not gateway.process.alive()
    finally:
        gateway.stop()


def test_told_to_end_it_does_not_wait_for_ever(mortal, issuer, tmp_path):
    gateway = Sluice(tmp_path, issuer, [triton_backend(mortal.address)], server={"shutdown_grace": "1s"})
    answers = Answers()
    gateway.start()
    door = Door("ending", gateway.address).showing(issuer.token("operator"))
    with door.client() as client:
        client.start_stream(answers, stream_timeout=30)
        client.async_stream_infer("slow", slow(20_000))
        with door.client() as other:
            until(lambda: busy(other), "the model is at work")
        with within(15):
            gateway.stop()
        [error] = answers.take(1, seconds=30)
        assert error.status() in ("StatusCode.UNAVAILABLE", "StatusCode.CANCELLED")
        client.stop_stream(cancel_requests=True)


def test_a_policy_is_taken_over_while_it_serves(mortal, issuer, tmp_path):
    gateway = Sluice(tmp_path, issuer, [triton_backend(mortal.address)])
    try:
        gateway.start()
        with Door("reloading", gateway.address).showing(issuer.token("bob")).client() as client:
            client.infer("simple", simple())
            policy = tmp_path / "policy.yaml"
            good = policy.read_text()
            policy.write_text(good.replace('"model-viewer"', '"model-nobody"'))
            until(lambda: not works(client), "bob has lost his role", seconds=30)
            policy.write_text("roles: [what?")
            until(lambda: "policy.yaml" in gateway.process.tail(5), "the problem is in the log", seconds=30)
            assert not works(client)
            policy.write_text(good)
            until(lambda: works(client), "bob has it again", seconds=30)
    finally:
        gateway.stop()
