"""What answers and logs hold back: other people's models, credentials, the token."""

import json

from cases.headers import forwarded
from cases.tensors import ints, simple, texts
from harness.process import until
from harness.refusal import refused


def test_index_holds_only_what_the_caller_may_see(gate, issuer):
    def names(who):
        with gate.showing(issuer.token(who)).client() as client:
            return {row.name for row in client.get_model_repository_index().models}

    everything = names("operator")
    assert {"simple", "idle", "prod-simple", "labelled"} <= everything
    assert names("bob") == everything
    assert names("partial") == {name for name in everything if name.startswith("simple")}


def test_statistics_hold_only_what_the_caller_may_see(gate, issuer):
    with gate.showing(issuer.token("partial")).client() as client:
        names = {row.name for row in client.get_inference_statistics().model_stats}
        assert names and all(name.startswith("simple") for name in names)
        refused("PERMISSION_DENIED", client.get_inference_statistics, "prod-simple")


def test_own_metadata_stops_at_the_gateway(gate, issuer):
    # The server forwards all of these to the model; see harness/triton.py.
    own = {
        "cookie": "session=1",
        "proxy-authorization": "Basic eDp5",
        "sluice-principal": "alice",
        "grpcgateway-authorization": "Bearer x",
        "x-e2e-through": "yes",
    }
    with gate.showing(issuer.token("bob")).client() as client:
        answer = client.infer("parameters", [ints("IGNORED", 1)], headers=own)
    assert forwarded(answer) == {"x-e2e-through": "yes"}


def test_the_log_has_calls_but_no_secrets(sluice, gate, issuer):
    token = issuer.token("bob", jti="one that only this test shows")
    with gate.showing(token).client() as client:
        client.infer("simple_identity", [texts("INPUT0", b"a prompt that is nobody's business")])
        refused("PERMISSION_DENIED", client.unload_model, "prod-simple")

    def told():
        lines = [line for line in sluice.log().splitlines() if line.startswith("{")]
        return any(all(word in line for word in ("RepositoryModelUnload", "bob", "prod-simple")) for line in lines if json.loads(line))

    until(told, "the line of the call")
    log = sluice.log()
    for secret in (token, token.split(".")[2], "nobody's business"):
        assert secret not in log


def test_metrics_count_by_verdict(sluice, gate, issuer):
    with gate.showing(issuer.token("bob")).client() as client:
        client.infer("simple", simple())
        refused("PERMISSION_DENIED", client.unload_model, "no-such-model-in-a-label")
    text = sluice.read_metrics()
    assert "ModelInfer" in text and 'model="simple"' in text
    # A label is a name that a backend has, or none that a caller made up.
    assert "no-such-model-in-a-label" not in text and 'model="_other"' in text
