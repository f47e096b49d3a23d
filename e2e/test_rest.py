"""REST as people use it: who may do what, what is masked, and the page about it."""

import json
import os
import re
import subprocess
import threading

import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from cases.tensors import LEFT, RIGHT
from cases.web_client import simple
from cases.web_raw import fp32
from harness.process import until
from harness.sluice import BINARY
from harness.web import WebDoor

SECRETS = ("jane.doe@example.com", "4111 1111 1111 1111", "536-90-4399")


@pytest.fixture(scope="module")
def web(sluice, issuer):
    """The gateway's door before the real Triton, for one of the people or a stranger."""
    return lambda name: WebDoor("web", sluice.rest).showing(issuer.token(name) if name else None)


def refused(status, call, *args, **options):
    with pytest.raises(InferenceServerException) as caught:
        call(*args, **options)
    assert caught.value.status() == str(status), caught.value
    return caught.value.message()


def test_bob_infers_and_may_not_load(web):
    with web("bob").client() as client:
        assert (client.infer("simple", simple()).as_numpy("OUTPUT0") == LEFT + RIGHT).all()
        assert client.is_model_ready("simple")
        text = refused(403, client.load_model, "simple")
        assert "may not use verb load" in text and "model-admin" in text
        refused(403, client.unload_model, "simple")
        refused(403, client.get_trace_settings)
        refused(403, client.get_system_shared_memory_status)


def test_ci_infers_on_simple_alone(web):
    with web("ci").client() as client:
        client.infer("simple", simple())
        refused(403, client.infer, "prod-simple", simple())
        refused(403, client.infer, "no-such-model", simple())
        refused(403, client.get_model_metadata, "simple")
    answer = web("ci").ask("POST", "/v2/models/no-such-model/generate", "{}")
    assert answer.status == 403, "a refusal does not tell whether the model exists"


def test_a_stranger_is_told_how_to_show_a_token(web):
    with web(None).client() as client:
        assert client.is_server_live()
        client.is_server_ready()  # is answered; what it says is the server's, which a failed load may have made unready
        assert client.get_server_metadata()["name"] == "triton"
        refused(401, client.infer, "simple", simple())
    answer = web(None).ask("POST", "/v2/models/simple/infer", "{}")
    assert answer.headers["www-authenticate"] == "Bearer" and answer.headers["sluice-reason"] == "TOKEN_MISSING"
    expired = WebDoor("web", web(None).address).showing("nonsense").ask("GET", "/v2/models/simple")
    assert expired.status == 401 and "invalid_token" in expired.headers["www-authenticate"]


def test_partial_sees_what_he_may(web):
    with web("partial").client() as client:
        assert {row["name"] for row in client.get_model_repository_index()} == {"simple", "simple_string", "simple_identity"}


def test_headers_reach_the_model_and_others_do_not(web):
    body = '{"inputs":[{"name":"IGNORED","shape":[1],"datatype":"INT32","data":[1]}]}'
    spoofed = {
        "X-E2E-Mine": "yes",
        "Grpc-Metadata-X-E2E-Theirs": "no",
        "Grpcgateway-X": "no",
        "Sluice-X": "no",
        "Cookie": "c=no",
        "Proxy-Authorization": "no",
    }
    answer = web("bob").ask("POST", "/v2/models/parameters/infer", body, spoofed)
    seen = json.loads(json.loads(answer.body)["outputs"][0]["data"][0])
    assert seen == {"x-e2e-mine": "yes"}


def test_a_caller_who_leaves_cancels_the_model(web, sluice):
    def busy():
        return "sluice_calls_in_flight 1" in sluice.read_metrics()

    body = '{"inputs":[{"name":"MILLISECONDS","shape":[1],"datatype":"INT32","data":[20000]}]}'
    leaving = threading.Thread(target=web("bob").ask_and_leave, args=("POST", "/v2/models/slow/infer", body, 1))
    leaving.start()
    until(busy, "the model is at work")
    leaving.join()
    until(lambda: not busy(), "the call ends with its caller", seconds=12)


def test_a_deadline_in_a_header(web):
    body = '{"inputs":[{"name":"MILLISECONDS","shape":[1],"datatype":"INT32","data":[20000]}]}'
    answer = web("bob").ask("POST", "/v2/models/slow/infer", body, {"Grpc-Timeout": "300m"})
    assert answer.status == 504 and json.loads(answer.body) == {"error": "Deadline Exceeded"}


def test_many_requests_on_one_connection(web):
    with web("bob").client(concurrency=1) as client:
        for _ in range(200):
            client.infer("simple", simple())


@pytest.fixture(scope="module")
def visitor(demo):
    return lambda name: WebDoor("demo", demo.rest).showing(demo.token(name) if name else None)


def test_tokens_are_masked_for_bob_and_not_for_dana(visitor):
    body = '{"text_input":"what do we know?","stream":true}'
    for name in ("bob", "dana"):
        events = visitor(name).ask("POST", "/v2/models/tokens/generate_stream", body).body.decode()
        said = [json.loads(line.removeprefix("data: ")) for line in events.split("\n\n") if line]
        text = "".join(one["text_output"] for one in said)
        for secret in SECRETS:
            assert (secret in text) == (name == "dana"), text
            assert name == "dana" or secret not in events
        whole = visitor(name).ask("POST", "/v2/models/tokens/generate", '{"text_input":"what do we know?"}').body.decode()
        for secret in SECRETS:
            assert (secret in whole) == (name == "dana"), whole


def test_the_demo_speaks_both_forms(visitor):
    with visitor("bob").client() as client:
        for binary in (True, False):
            outputs = [triton.InferRequestedOutput("OUTPUT0", binary_data=binary)]
            got = client.infer("simple", simple(binary), outputs=outputs)
            assert (got.as_numpy("OUTPUT0") == LEFT + RIGHT).all()
    answer = visitor("bob").ask("POST", "/v2/models/identity_fp32/infer", fp32("[1,2]", "[0.1,NaN]"))
    assert b'"data":[0.10000000149011612,NaN]' in answer.body


PAGE = BINARY.parent.parent / "docs" / "REST.md"
COMMANDS = "\n".join(re.findall(r"<!-- test:demo -->\n```sh\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE))


def test_the_page_is_true(demo):
    script = COMMANDS.replace("127.0.0.1:8000", demo.rest).replace("token bob", f"token bob --issuer {demo.issuer}")
    path = f"{BINARY.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, timeout=60, env={**os.environ, "PATH": path}
    )
    assert done.returncode == 0, done.stderr
    assert '"data":[0.5,1.25]' in done.stdout and "[EMAIL]" in done.stdout and "may not use verb load" in done.stdout
    assert not any(secret in done.stdout for secret in SECRETS)
