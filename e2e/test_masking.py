"""Masked answers of a real Triton, read by an unchanged tritonclient: text, tokens, and JSON in BYTES."""

import json

import numpy as np
import pytest
import tritonclient.grpc as triton_client
from tritonclient.grpc import service_pb2

from cases.memory import PREFIX, region, unregister
from cases.streams import Answers
from cases.tensors import simple, tensor, texts
from harness.door import Door
from harness.process import until
from harness.refusal import refused
from harness.sluice import POLICY, Sluice, triton_backend
from llm.text import SECRETS, TEXT

# The text model, the token model and the JSON model, each with a rule of its
# own; readers see clear text.
MASKING = [
    {"name": "text", "models": ["simple_identity"], "entities": ["EMAIL", "CARD", "SSN"], "except": ["operators"]},
    {
        "name": "tokens",
        "models": ["tokens"],
        "tensors": ["text_output"],
        "entities": ["EMAIL", "CARD", "SSN"],
        "mode": "delta",
        "except": ["operators"],
    },
    {"name": "json", "models": ["identity_json"], "format": "json", "entities": ["EMAIL", "CARD", "SSN"]},
    {"name": "scores", "models": ["identity_fp32"], "tensors": ["OUTPUT0"], "action": {"round": 1}, "except": ["operators"]},
]

MASKED = TEXT
for secret, word in zip(SECRETS, ("[EMAIL]", "[CARD]", "[SSN]"), strict=True):
    MASKED = MASKED.replace(secret, word)


@pytest.fixture(scope="module")
def masking(tmp_path_factory, issuer, triton):
    """A gateway that masks, before the shared Triton."""
    gateway = Sluice(tmp_path_factory.mktemp("masking"), issuer, [triton_backend(triton.address)])
    gateway.write("policy.yaml", {**POLICY, "masking": MASKING})
    try:
        yield gateway.start()
    finally:
        gateway.stop()


@pytest.fixture(scope="module")
def door(masking, issuer):
    """The gateway's door for one of the people."""
    return lambda name: Door("masking", masking.address).showing(issuer.token(name))


def prompt(text="go on", **flags):
    return [texts("text_input", text.encode(), shape=(1,))] + [
        tensor(name, np.array([value])) for name, value in flags.items()
    ]


def generate(door, request_id="", **flags):
    """The texts of a stream's answers, one by one, and whatever else came."""
    answers = Answers()
    with door.client() as client:
        client.start_stream(answers)
        client.async_stream_infer("tokens", prompt(**flags), request_id=request_id)
        client.stop_stream()
    return answers.rest()


def said(answers):
    return [b"".join(a.as_numpy("text_output").reshape(-1)).decode() for a in answers if a.get_response().outputs]


def test_a_unary_answer_is_masked_and_keeps_its_shape(door):
    values = [b"mail jane.doe@example.com", b"nothing", b"4111 1111 1111 1111 or 4111 1111 1111 1112", "schön".encode()]
    with door("bob").client() as client:
        result = client.infer("simple_identity", [texts("INPUT0", *values)])
    got = result.as_numpy("OUTPUT0")
    assert got.shape == (1, 4)
    assert got.reshape(-1).tolist() == [b"mail [EMAIL]", b"nothing", b"[CARD] or 4111 1111 1111 1112", "schön".encode()]


def test_who_is_excepted_sees_clear_text(door):
    with door("operator").client() as client:
        result = client.infer("simple_identity", [texts("INPUT0", b"jane.doe@example.com")])
    assert result.as_numpy("OUTPUT0").reshape(-1).tolist() == [b"jane.doe@example.com"]


def test_the_trailer_tells_how_much_was_masked_and_not_what(door):
    with door("bob").stub() as stub:
        request = texts("INPUT0", b"a@example.com b@example.com 536-90-4399")
        message = service_pb2.ModelInferRequest(model_name="simple_identity", inputs=[request._get_tensor()])
        message.raw_input_contents.append(request._get_content())
        _, call = stub.ModelInfer.with_call(message, metadata=door("bob").metadata)
    assert ("sluice-masked", "EMAIL=2, SSN=1") in [(k, v) for k, v in call.trailing_metadata()]


@pytest.mark.parametrize("request_id", ["", "1"])
def test_a_stream_of_tokens_is_masked_across_its_borders(door, request_id):
    answers = generate(door("bob"), request_id, stream=True)
    pieces = said(answers)
    assert "".join(pieces) == MASKED
    assert len(pieces) > 40, "the answers were held until the end"
    assert all(a.get_response().id == request_id for a in answers)


def test_a_stream_is_clear_for_who_is_excepted(door):
    assert "".join(said(generate(door("operator"), "1", stream=True))) == TEXT


def test_a_whole_answer_of_a_token_model_is_masked(door):
    assert said(generate(door("bob"), "1", exclude_input_in_output=True)) == [MASKED]


def test_the_echo_of_a_prompt_is_masked_with_its_text(door):
    answers = Answers()
    with door("bob").client() as client:
        client.start_stream(answers)
        client.async_stream_infer("tokens", prompt("I am jane.doe@example.com. "))
        client.stop_stream()
    assert said(answers.rest()) == ["I am [EMAIL]. " + MASKED]


def test_requests_of_one_stream_are_masked_apart(door):
    answers = Answers()
    with door("bob").client() as client:
        client.start_stream(answers)
        for request_id in ("a", "b", "a", ""):
            client.async_stream_infer("tokens", prompt(stream=True), request_id=request_id)
        client.stop_stream()
    everything = said(answers.rest())
    assert len("".join(everything)) == 4 * len(MASKED)
    for secret in SECRETS:
        assert secret not in "".join(everything)


def test_logprobs_of_a_masked_text_are_refused(door):
    [error] = generate(door("bob"), "1", stream=True, return_logprobs=True)
    assert "logprobs" in str(error)


def test_json_in_bytes_stays_json(door):
    document = {"mail": "jane.doe@example.com", "card": 4111111111111111, "jane.doe@example.com": [1, "a\u00e9\n"], "n": 17}
    for text in (json.dumps(document), json.dumps(document, ensure_ascii=False)):
        with door("bob").client() as client:
            result = client.infer("identity_json", [texts("INPUT0", text.encode())])
        [got] = result.as_numpy("OUTPUT0").reshape(-1).tolist()
        assert json.loads(got) == {"mail": "[EMAIL]", "card": "[CARD]", "[EMAIL]": [1, "a\u00e9\n"], "n": 17}
    escaped = json.dumps("jane.doe@example.com").replace("@", "\\u0040")
    with door("bob").client() as client:
        result = client.infer("identity_json", [texts("INPUT0", escaped.encode())])
    assert json.loads(result.as_numpy("OUTPUT0").reshape(-1)[0]) == "[EMAIL]"


def test_numbers_are_rounded(door):
    with door("bob").client() as client:
        values = np.array([[0.123, 0.456]], dtype=np.float32)
        result = client.infer("identity_fp32", [tensor("INPUT0", values)])
    assert np.allclose(result.as_numpy("OUTPUT0"), [[0.1, 0.5]], atol=1e-6)


def test_a_masked_output_is_not_written_to_shared_memory(door):
    output = triton_client.InferRequestedOutput("OUTPUT0")
    output.set_shared_memory("masked", 64)
    with region("masked"), door("keeper").client() as client:
        client.register_system_shared_memory("masked", PREFIX + "masked", 64)
        try:
            text = refused("PERMISSION_DENIED", client.infer, "simple_identity", [texts("INPUT0", b"x")], outputs=[output])
        finally:
            unregister(client, "masked")
    assert "shared memory" in text


def test_other_models_are_as_they_are(door):
    with door("bob").client() as client:
        assert client.infer("simple", simple()).as_numpy("OUTPUT0") is not None
        assert client.infer("simple_string", [texts("INPUT0", *[b"1"] * 16), texts("INPUT1", *[b"2"] * 16)]) is not None


def test_the_demo_masks_for_bob_and_not_for_dana(demo):
    for name, want in (("bob", ("[EMAIL]", "[CARD]", "[SSN]")), ("dana", SECRETS)):
        text = "".join(said(generate(demo.door().showing(demo.token(name)), "1", stream=True)))
        assert all(word in text for word in want), text
        assert not any(other in text for other in ("[EMAIL]", *SECRETS) if other not in want), text


def test_values_are_in_no_log_and_no_metric(masking, door):
    before = masking.log().count("ModelStreamInfer")
    generate(door("bob"), "1", stream=True)
    until(lambda: masking.log().count("ModelStreamInfer") > before, "the line of the call")
    seen = masking.log() + masking.read_metrics()
    assert 'sluice_masked_total{entity="EMAIL",model="tokens"}' in seen
    for secret in SECRETS:
        assert secret not in seen
