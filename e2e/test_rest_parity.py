"""Over REST too, an unchanged client gets the same answers through Sluice as from Triton."""

import gzip
import inspect
import json
import re
import zlib

import pytest
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio

import cases
from cases import web_aio, web_client, web_raw
from harness.web import WebDoor


@pytest.fixture(scope="module")
def near(triton):
    """Triton itself, without anything between."""
    return WebDoor("direct", triton.http_address)


@pytest.fixture(scope="module")
def far(sluice, issuer):
    """Sluice's door, for one who may everything."""
    return WebDoor("through Sluice", sluice.rest).showing(issuer.token("operator"))


# What changes from one call to the next, whoever answers.
MOVING = re.compile(rb'"(last_inference|inference_count|execution_count|count|ns)":\d+')


# Floats are written with as many digits as it takes to read the same one back;
# which of the ways there are is the writer's.
FLOAT = re.compile(rb"(?<=[\[,:])-?\d+(\.\d+(e-?\d+)?|e-?\d+)(?=[\],}])")


def compare(near, far, *request, **options):
    expected, got = near.ask(*request, **options), far.ask(*request, **options)
    for answer in (expected, got):
        answer.body = MOVING.sub(rb'"\1":N', answer.body)
        answer.body = FLOAT.sub(lambda f: repr(float(f[0])).encode(), answer.body)
        if said := answer.headers.get("inference-header-content-length"):
            assert int(said) <= int(answer.headers["content-length"])
    assert str(got) == str(expected)
    return got


@pytest.mark.parametrize("line", web_raw.ROUTES)
def test_routes(line, near, far):
    compare(near, far, *line.split(" "))


@pytest.mark.parametrize("request_", web_raw.INFERENCES + web_raw.CONTROLS + web_raw.GENERATIONS, ids=repr)
def test_bodies(request_, near, far):
    compare(near, far, *request_)


@pytest.mark.parametrize("model, body, headers", web_raw.BINARIES, ids=repr)
def test_binary(model, body, headers, near, far):
    compare(near, far, "POST", f"/v2/models/{model}/infer", body, headers)


def test_chunked_bodies(near, far):
    numbers = list(range(5000))
    body = web_raw.fp32(f"[1,{len(numbers)}]", json.dumps(numbers))
    compare(near, far, "POST", "/v2/models/identity_fp32/infer", body, chunked=True)


@pytest.mark.parametrize("accepted", web_raw.ACCEPTED)
@pytest.mark.parametrize("binary", [False, True])
def test_encoded_answers(accepted, binary, near, far):
    body = web_raw.fp32("[1,4]", "[1,2,3,4]", ',"parameters":{"binary_data_output":true}' if binary else "")
    answers = [d.ask("POST", "/v2/models/identity_fp32/infer", body, {"Accept-Encoding": accepted}) for d in (near, far)]
    for answer in answers:  # compressors differ in their bytes
        match answer.headers.get("content-encoding"):
            case "gzip":
                answer.body = gzip.decompress(answer.body)
            case "deflate":
                answer.body = zlib.decompress(answer.body)
    assert str(answers[1]) == str(answers[0])


def public_methods(client):
    return {method for method in vars(client) if not method.startswith("_")}


@pytest.mark.parametrize("client, module", [(triton, web_client), (triton_aio, web_aio)], ids=["sync", "asyncio"])
def test_every_call_of_the_client_is_made(client, module):
    source = inspect.getsource(module)
    assert {m for m in public_methods(client.InferenceServerClient) if f".{m}" not in source} == set()


CASES = cases.of(web_client) + cases.of(web_aio)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.__module__.removeprefix('cases.')}-{case.__name__}")
def test_same_answers(case, near, far):
    expected = cases.run(case, near)
    assert cases.run(case, far) == expected
