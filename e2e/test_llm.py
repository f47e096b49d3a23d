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
from harness.sluice import Sluice, triton_backend
from harness.tgi import TGI
from harness.vllm import VLLM
from llm.client import inputs
from llm.text import PIECES, TEXT

VLLM_PYTHON = os.environ.get("E2E_VLLM_PYTHON")
# Of each, the name of its model is the one thing that a client has to know.
MODELS = {"triton": "tokens", "llama.cpp": "chat-small", "tgi": "org/chat-large"}
if VLLM_PYTHON:
    MODELS["vllm"] = "chat-other"


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """The servers but Triton, which other tests have as well."""
    made = {
        "llama.cpp": LlamaCpp(tmp_path_factory.mktemp("llamacpp"), MODELS["llama.cpp"]),
        "tgi": TGI(tmp_path_factory.mktemp("tgi")),
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
        backend("tgi", "tgi", servers, tgi={"model": MODELS["tgi"]}),
    ]
    if VLLM_PYTHON:
        backends.append(backend("vllm", "vllm", servers))
    server = Sluice(tmp_path_factory.mktemp("before-llms"), issuer, backends)
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


@pytest.mark.parametrize("server", MODELS)
def test_one_program_by_the_models_name_alone(server, gateway, issuer):
    argv = [sys.executable, "-m", "llm.client", gateway.address, MODELS[server], PROMPT]
    env = {**os.environ, "TOKEN": issuer.token("bob"), "PYTHONPATH": str(E2E)}
    done = subprocess.run(argv, capture_output=True, text=True, env=env, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == TEXT
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
