"""One client, unchanged, and language models on Triton, llama.cpp, TGI and vLLM.

TGI is a double, byte for byte; the others are real. vLLM is there where
E2E_VLLM_PYTHON names the Python that runs it (make e2e-vllm).
"""

import os
import subprocess
import sys

import pytest
from tritonclient.utils import InferenceServerException

import cases
from cases import generation
from cases.generation import PROMPT, Model
from cases.streams import stream
from cases.tensors import simple
from harness.door import Door
from harness.llamacpp import E2E, LlamaCpp
from harness.refusal import refused
from harness.sluice import POLICY, Sluice, triton_backend
from harness.tgi import TGI
from harness.vllm import VLLM
from llm.client import inputs, text
from llm.text import PIECES, SECRETS, TEXT, masked

VLLM_PYTHON = os.environ.get("E2E_VLLM_PYTHON")
# Of each, the name of its model is the one thing that a client has to know.
MODELS = {"triton": "tokens", "llama.cpp": "chat-small", "tgi": "org/chat-large"}
if VLLM_PYTHON:
    MODELS["vllm"] = "chat-other"
# One of TGI's.
ADAPTER = "org/chat-legal"

# For everybody but those who run the servers.
MASKING = [
    {
        "name": "pii",
        "models": ["*"],
        "tensors": ["text_output"],
        "entities": ["EMAIL", "CARD", "SSN"],
        # Sluice knows it of the others; Triton's model is one of Python's.
        "mode": "delta",
        "except": ["operators"],
    }
]


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """The servers but Triton, which other tests have as well."""
    made = {
        "llama.cpp": LlamaCpp(tmp_path_factory.mktemp("llamacpp"), MODELS["llama.cpp"]),
        "tgi": TGI(tmp_path_factory.mktemp("tgi"), ADAPTER),
    }
    if VLLM_PYTHON:
        made["vllm"] = VLLM(tmp_path_factory.mktemp("vllm"), MODELS["vllm"], VLLM_PYTHON)
    try:
        for server in made.values():
            server.start()
        yield made
    finally:
        for server in made.values():
            server.stop()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory, issuer, triton, servers):
    """All of them behind one address."""
    backends = [
        triton_backend(triton.address),
        backend("openai", "llama.cpp", servers, openai={"dialect": "llama.cpp"}),
        backend(
            "tgi",
            "tgi",
            servers,
            models=[MODELS["tgi"], ADAPTER],
            credential={"bearer": f"file:{servers['tgi'].key}"},
            tgi={"model": MODELS["tgi"], "adapters": [ADAPTER]},
        ),
    ]
    if VLLM_PYTHON:
        backends.append(backend("vllm", "vllm", servers))
    server = Sluice(tmp_path_factory.mktemp("before-llms"), issuer, backends)
    server.write("policy.yaml", {**POLICY, "masking": MASKING})
    try:
        yield server.start()
    finally:
        server.stop()


def backend(type_, server, servers, **options):
    return {
        "name": server.replace(".", "-"),
        "type": type_,
        "addresses": [servers[server].url],
        "models": [MODELS[server]],
        **options,
    }


@pytest.fixture(scope="module")
def door(gateway):
    return Door("through Sluice", gateway.address)


@pytest.fixture(scope="module", params=[*MODELS, "triton itself"])
def model(request, triton, servers, door, issuer):
    name = request.param
    if name.startswith("triton"):
        running = triton.repository / MODELS["triton"] / "1" / "RUNNING"
        direct = name != "triton"
        at = Door("direct", triton.address) if direct else door.showing(issuer.token("operator"))
        return Model(MODELS["triton"], at, lambda: int(running.read_text()), triton=True, direct=direct)
    return Model(MODELS[name], door.showing(issuer.token("operator")), servers[name].running)


@pytest.mark.parametrize("case", cases.of(generation), ids=lambda case: case.__name__)
def test_generation(case, model):
    case(model)


@pytest.mark.parametrize("person, shown", [("operator", TEXT), ("bob", masked())], ids=["clear", "masked"])
@pytest.mark.parametrize("server", MODELS)
def test_one_program_by_the_models_name_alone(server, person, shown, gateway, issuer):
    argv = [sys.executable, "-m", "llm.client", gateway.address, MODELS[server], PROMPT]
    env = {**os.environ, "TOKEN": issuer.token(person), "PYTHONPATH": str(E2E)}
    done = subprocess.run(argv, capture_output=True, text=True, env=env, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == shown
    finish, numbers = done.stderr.split(maxsplit=1)
    assert finish == "stop" and int(numbers.split()[1]) == len(PIECES) + 1


@pytest.mark.parametrize("server", MODELS)
class TestWhoMay:
    """What a role gives, whatever server has the model."""

    def test_a_viewer_asks_and_looks(self, server, door, issuer):
        name = MODELS[server]
        with door.showing(issuer.token("bob")).client() as client:
            assert client.is_model_ready(name)
            assert client.get_model_metadata(name).name == name
            assert name in {row.name for row in client.get_model_repository_index().models}
            for verb, call in (("load", client.load_model), ("unload", client.unload_model)):
                text = refused("PERMISSION_DENIED", call, name)
                assert all(word in text for word in ("bob", verb, "model-admin")), text
            refused("PERMISSION_DENIED", client.get_inference_statistics, name)

    def test_others_do_not(self, server, door, issuer):
        name = MODELS[server]
        for person in ("ci", "mallory"):
            with door.showing(issuer.token(person)).client() as client:
                refused("PERMISSION_DENIED", client.infer, name, inputs(PROMPT, stream=False))
                refused("PERMISSION_DENIED", client.get_model_config, name)
        with door.showing(issuer.token("partial")).client() as client:
            assert name not in {row.name for row in client.get_model_repository_index().models}

    def test_in_a_stream_each_message_is_decided(self, server, door, issuer):
        name = MODELS[server]
        with stream(door.showing(issuer.token("ci"))) as (client, answers):
            client.async_stream_infer(name, inputs(PROMPT, max_tokens=2), request_id="no")
            client.async_stream_infer("simple", simple(), request_id="yes")
            client.stop_stream()
            first, second = answers.rest()
        assert isinstance(first, InferenceServerException) and name in first.message() and "ci" in first.message()
        assert second.get_response().id == "yes"

    def test_a_stranger_gets_nothing(self, server, door):
        with door.client() as client:
            refused("UNAUTHENTICATED", client.infer, MODELS[server], inputs(PROMPT, stream=False))
            refused("UNAUTHENTICATED", client.get_model_metadata, MODELS[server])


@pytest.mark.parametrize("server", MODELS)
class TestMasking:
    """What is masked for bob, whatever server has the model."""

    @pytest.fixture
    def model(self, server, door, issuer):
        return Model(MODELS[server], door.showing(issuer.token("bob")), None, triton=server == "triton")

    def test_a_stream(self, model):
        with model.stream() as stream:
            stream.ask(max_tokens=generation.ALL)
            answers = stream.take()
        assert "".join(map(text, answers)) == masked()
        assert len(answers) > 40, "the answers were held until the end"
        assert generation.reasons(answers)[-1] == "stop" and generation.generated(answers) == len(PIECES) + 1

    def test_a_whole(self, model):
        prompt = f"Is it {SECRETS[0]}? "
        with model.stream() as stream:
            for exclude, before in ((True, ""), (False, masked(prompt))):
                stream.ask(prompt, stream=False, exclude=exclude, max_tokens=generation.ALL)
                [answer] = stream.take()
                assert text(answer) == before + masked()

    def test_one_call(self, model):
        if model.triton:
            return  # which refuses it
        with model.door.client() as client:
            asked = inputs(PROMPT, stream=False, exclude=True, max_tokens=generation.ALL)
            assert text(client.infer(model.name, asked)) == masked()

    def test_an_end_within_a_secret(self, model):
        """What a stream is masked to is what the whole is masked to."""
        first = next(number for number in range(len(PIECES)) if SECRETS[0] in "".join(PIECES[:number]))
        with model.stream() as stream:
            for limit in range(first - 4, first + 3):
                stream.ask(max_tokens=limit)
                streamed = "".join(map(text, stream.take()))
                stream.ask(stream=False, exclude=True, max_tokens=limit)
                assert streamed == text(stream.take()[0])
                assert ("[EMAIL]" in streamed) == ("@example.co" in "".join(PIECES[:limit]))

    def test_requests_at_a_time(self, model):
        with model.stream() as stream:
            for id in "abc":
                stream.ask(id=id, max_tokens=generation.ALL)
            texts, ended = dict.fromkeys("abc", ""), set()
            while len(ended) < 3:
                [answer] = stream.answers.take(1)
                id = answer.get_response().id
                texts[id] += text(answer)
                ended |= {id} if generation.final(answer) else set()
        assert set(texts.values()) == {masked()}

    def test_what_would_tell_beside_the_text(self, model):
        # The log probabilities hold the tokens.
        with model.stream() as stream:
            stream.ask(returns=["logprobs"], logprobs=1, max_tokens=40)
            assert "logprobs" in stream.refusal().message()


class TestAdapter:
    """An adapter of TGI's: what it is asked for there, see backends/tgi."""

    def test_by_its_own_name(self, door, issuer):
        with door.showing(issuer.token("operator")).client() as client:
            assert client.is_model_ready(ADAPTER)
            rows = {row.name: row.state for row in client.get_model_repository_index().models}
            assert rows[ADAPTER] == "READY"
            asked = inputs(PROMPT, stream=False, exclude=True, max_tokens=5)
            assert text(client.infer(ADAPTER, asked)) == "".join(PIECES[:5])

    @pytest.mark.parametrize("parameter", ["lora_name", "adapter_id"])
    def test_by_a_parameter(self, parameter, door, issuer):
        with door.showing(issuer.token("operator")).client() as client:
            asked = inputs(PROMPT, stream=False, exclude=True, max_tokens=5, **{parameter: ADAPTER})
            answer = client.infer(MODELS["tgi"], asked)
            assert text(answer) == "".join(PIECES[:5]) and answer.get_response().model_name == MODELS["tgi"]
            # Not one of this server's, though the caller may use it.
            asked = inputs(PROMPT, stream=False, exclude=True, **{parameter: MODELS["llama.cpp"]})
            refused("PERMISSION_DENIED", client.infer, MODELS["tgi"], asked)

    def test_whose_answers_are_masked(self, door, issuer):
        # They would be masked as another model's.
        with door.showing(issuer.token("bob")).client() as client:
            asked = inputs(PROMPT, stream=False, exclude=True, lora_name=ADAPTER)
            assert ADAPTER in refused("PERMISSION_DENIED", client.infer, MODELS["tgi"], asked)
