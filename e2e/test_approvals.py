"""What waits for people, with an unchanged tritonclient: it neither changes nor tries again."""

import json
import threading

import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

from cases.streams import Answers
from cases.tensors import tensor, texts
from harness.demo import Demo
from harness.process import until
from harness.refusal import refused


@pytest.fixture
def demo(tmp_path):
    """A demo of one's own: what is unloaded and approved here is nobody else's."""
    server = Demo(tmp_path)
    try:
        yield server.start()
    finally:
        server.stop()


class Call(threading.Thread):
    """A call in a thread of its own."""

    def __init__(self, function, *arguments):
        super().__init__(daemon=True)
        self.function, self.arguments = function, arguments
        self.error = None
        self.start()

    def run(self):
        try:
            self.function(*self.arguments)
        except InferenceServerException as error:
            self.error = error

    def waits(self):
        return self.is_alive()

    def end(self):
        self.join(timeout=30)
        assert not self.is_alive(), "the call goes on"
        return self.error


def listed(demo, name, *words):
    answer = demo.sluice(name, *words, "--output", "json")
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def pending(demo, name):
    """The one request that waits, as somebody sees it."""
    [request] = until(lambda: listed(demo, name, "approvals", "list"), "a request waits")
    return request


def test_unload_of_a_production_model_waits_for_carol(demo):
    with demo.door().showing(demo.token("alice")).client() as client:
        held = Call(client.unload_model, "prod-simple")
        request = pending(demo, "alice")
        assert (request["verb"], request["model"], request["requester"]["name"]) == ("unload", "prod-simple", "alice")
        assert held.waits()

        own = demo.sluice("alice", "approvals", "approve", request["id"], "--reason", "I want to")
        assert own.returncode == 1 and own.stdout == "" and "sluice: " in own.stderr
        stranger = demo.sluice("bob", "approvals", "approve", request["id"])
        assert stranger.returncode == 1 and "NOT_FOUND" in stranger.stderr
        assert held.waits() and client.is_model_ready("prod-simple")

        carol = demo.sluice("carol", "approvals", "approve", request["id"], "--reason", "CHG-1")
        assert carol.returncode == 0, carol.stderr
        assert held.end() is None
        assert not client.is_model_ready("prod-simple")

        # Within the grant the same call waits for nobody,
        client.unload_model("prod-simple", client_timeout=30)

        # and when the grant has ended the next one waits again.
        [grant] = listed(demo, "carol", "grants", "list")
        assert demo.sluice("carol", "grants", "revoke", grant["id"]).returncode == 0
        again = Call(client.unload_model, "prod-simple")
        request = pending(demo, "carol")
        assert again.waits()
        assert demo.sluice("carol", "approvals", "deny", request["id"], "--reason", "enough").returncode == 0
        assert "denied" in again.end().message()


def test_a_call_with_a_deadline_is_told_the_request(demo):
    with demo.door().showing(demo.token("alice")).client() as client:
        with pytest.raises(InferenceServerException) as caught:
            client.unload_model("prod-simple", client_timeout=2)
    assert caught.value.status() in ("StatusCode.FAILED_PRECONDITION", "StatusCode.DEADLINE_EXCEEDED")
    assert len(listed(demo, "alice", "approvals", "list", "--all")) == 1


def test_access_that_is_asked_for_ahead(demo):
    with demo.door().showing(demo.token("bob")).client() as client:
        refused("PERMISSION_DENIED", client.unload_model, "simple")
        asked = demo.sluice("bob", "access", "request", "unload", "simple", "--for", "1h", "--reason", "canary", "-o", "json")
        assert asked.returncode == 0, asked.stderr
        approved = demo.sluice("carol", "approvals", "approve", json.loads(asked.stdout)["id"])
        assert approved.returncode == 0, approved.stderr
        client.unload_model("simple")


def test_a_running_token_stream_is_killed(demo):
    answers = Answers()
    with demo.door().showing(demo.token("bob")).client() as client:
        client.start_stream(answers)
        text, stream = texts("text_input", b"tell me", shape=(1,)), tensor("stream", np.array([True]))
        client.async_stream_infer("tokens", [text, stream])
        answers.take(1)

        def session():
            found = listed(demo, "alice", "sessions", "list")
            return [s["id"] for s in found if s["principal"]["name"] == "bob" and s["rpc"] == "ModelStreamInfer"]

        [running] = until(session, "bob's stream is listed")
        killed = demo.sluice("alice", "sessions", "kill", running, "--reason", "too long")
        assert killed.returncode == 0, killed.stderr

        def ended():
            return [a for a in answers.rest() if isinstance(a, InferenceServerException)]

        [error] = until(ended, "the stream has ended")
        assert error.status() == "StatusCode.PERMISSION_DENIED" and "has been ended" in error.message()
        client.stop_stream(cancel_requests=True)


def test_who_is_shut_out_is_out_until_it_is_lifted(demo):
    bob = f"http://{demo.issuer}#bob"
    with demo.door().showing(demo.token("bob")).client() as client:
        assert client.is_model_ready("simple")
        assert demo.sluice("alice", "sessions", "kill", "--principal", bob, "--for", "1h").returncode == 0
        assert "shut out" in refused("PERMISSION_DENIED", client.is_model_ready, "simple")
        assert "SESSION_KILLED" in demo.sluice("bob", "whoami").stderr
        assert demo.sluice("alice", "sessions", "kill", "--principal", bob, "--lift").returncode == 0
        assert client.is_model_ready("simple")
