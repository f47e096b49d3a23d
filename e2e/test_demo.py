"""`sluice demo`: what a visitor is promised, and models that answer as Triton's do."""

import time

import numpy as np
import pytest

import cases
from cases import asynchronous, infer, streams
from cases.streams import Answers
from cases.tensors import simple, tensor, texts
from harness.demo import Demo
from harness.process import until
from harness.refusal import refused
from harness.sluice import command

# Cases whose models the demo has too: there it has to answer as the real Triton.
SHARED = [
    infer.raw,
    infer.typed,
    infer.compressed_requests,
    streams.answers_in_order,
    streams.decoupled,
    streams.decoupled_with_empty_final,
    streams.decoupled_interleaved,
    streams.half_close_lets_the_rest_finish,
    streams.compressed_stream,
    streams.empty_stream,
    asynchronous.many_threads_one_client,
]


@pytest.mark.parametrize("case", SHARED, ids=lambda case: case.__name__)
def test_demo_answers_as_triton_does(case, demo, direct):
    door = demo.door().showing(demo.token("alice"))
    expected = cases.run(case, direct)
    assert cases.run(case, door) == expected


def test_it_serves_soon(tmp_path):
    started = time.monotonic()
    second = Demo(tmp_path, data=tmp_path / "kept")
    try:
        second.start()
        with second.door().showing(second.token("bob")).client() as client:
            client.infer("simple", simple())
    finally:
        second.stop()
    assert time.monotonic() - started < 15
    assert (tmp_path / "kept").is_dir()


def test_it_says_where_everything_is(demo):
    until(lambda: "sluice demo token" in demo.process.text(), "the welcome is printed", seconds=10)
    text = demo.process.text()
    assert demo.address in text and demo.issuer in text
    for secret in ("jane.doe@example.com", "4111 1111", "536-90-4399", "eyJ"):
        assert secret not in text


def test_everybody_gets_a_token(demo):
    for name in ("alice", "bob", "carol", "dana", "ci"):
        assert demo.token(name).count(".") == 2


def test_token_of_nobody(demo):
    answer = command("demo", "token", "mallory", "--issuer", demo.issuer)
    assert answer.returncode != 0 and answer.stdout == "" and "alice" in answer.stderr


def test_token_without_a_demo():
    answer = command("demo", "token", "alice", "--issuer", "127.0.0.1:1")
    assert answer.returncode != 0 and answer.stdout == "" and "127.0.0.1:1" in answer.stderr


def test_tokens_come_in_many_pieces(demo):
    answers = Answers()
    with demo.door().showing(demo.token("dana")).client() as client:
        client.start_stream(answers)
        client.async_stream_infer(
            "tokens", [texts("text_input", b"tell me", shape=(1,)), tensor("stream", np.array([True]))]
        )
        client.stop_stream()
        got = answers.rest()
    pieces = [b"".join(a.as_numpy("text_output").flatten().tolist()) for a in got if a.get_response().outputs]
    assert len(pieces) >= 40
    text = b"".join(pieces).decode()
    for secret in ("jane.doe@example.com", "4111 1111 1111 1111", "536-90-4399"):
        assert secret in text
        assert not any(secret.encode() in piece for piece in pieces)


def test_sequences(demo):
    with demo.door().showing(demo.token("bob")).client() as client:
        values = [np.array([[number]], np.int32) for number in (10, 20, 30)]
        sums = [
            client.infer(
                "simple_sequence",
                [tensor("INPUT", value)],
                sequence_id=7,
                sequence_start=place == 0,
                sequence_end=place == 2,
            )
            for place, value in enumerate(values)
        ]
    # Triton's own model of that name adds one to a sequence's first number.
    assert [int(answer.as_numpy("OUTPUT")[0][0]) for answer in sums] == [11, 20, 30]


def test_it_listens_on_loopback_only(tmp_path):
    answer = command("demo", "--grpc", "0.0.0.0:0", "--data", tmp_path)
    assert answer.returncode != 0 and "loopback" in answer.stderr


def test_carol_may_nothing_yet(demo):
    with demo.door().showing(demo.token("carol")).client() as client:
        refused("PERMISSION_DENIED", client.infer, "simple", simple())
        refused("PERMISSION_DENIED", client.get_model_repository_index)


def test_a_real_server_in_place_of_the_models(triton, tmp_path):
    backed = Demo(tmp_path, backend=f"triton={triton.address}")
    try:
        backed.start()
        with backed.door().showing(backed.token("alice")).client() as client:
            assert client.get_server_metadata().version == "2.51.0"
            client.infer("labelled", [tensor("INPUT0", np.zeros((1, 4), np.float32))])
    finally:
        backed.stop()
