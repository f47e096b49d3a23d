"""Metadata on its way to the model, and the plugin interface."""

import json

import tritonclient.grpc as triton

from cases import case
from cases.streams import stream
from cases.tensors import ints
from harness.transcript import status_of


def forwarded(answer):
    """The metadata that the server made parameters of."""
    return json.loads(answer.as_numpy("JSON")[0])


@case
def custom_headers(door, log):
    # Copies, as a plugin writes into what it is given.
    headers = {"x-e2e-one": "1", "x-e2e-two": "zwei words"}
    with door.client() as client:
        answer = log.call("infer", client.infer, "parameters", [ints("IGNORED", 1)], headers=dict(headers))
        assert forwarded(answer) == headers
        log.call("none", client.infer, "parameters", [ints("IGNORED", 1)])
        log.call("live", client.is_server_live, headers=dict(headers))
    with stream(door, headers=dict(headers)) as (client, answers):
        client.async_stream_infer("parameters", [ints("IGNORED", 1)])
        client.stop_stream()
        got = log.add("stream", answers.rest())
        assert forwarded(got[0]) == headers


class Stamp(triton.InferenceServerClientPlugin):
    """A plugin of the user's own, beside the door's."""

    def __init__(self, inner):
        self.inner = inner

    def __call__(self, request):
        self.inner(request)
        request.headers["x-e2e-stamp"] = "by plugin"


@case
def plugins(door, log):
    with door.client() as client:
        inner = client.plugin()
        client.unregister_plugin()
        client.register_plugin(Stamp(inner))
        answer = log.call("stamped", client.infer, "parameters", [ints("IGNORED", 1)])
        assert forwarded(answer) == {"x-e2e-stamp": "by plugin"}
        log.call("with headers", client.infer, "parameters", [ints("IGNORED", 1)], headers={"x-e2e-own": "too"})
        again = log.call("second plugin", client.register_plugin, inner)
        assert status_of(again) == "none"


@case
def keepalive(door, log):
    options = triton.KeepAliveOptions(
        keepalive_time_ms=200,
        keepalive_timeout_ms=2000,
        keepalive_permit_without_calls=True,
        http2_max_pings_without_data=2,
    )
    with door.client(keepalive_options=options) as client:
        for number in range(3):
            log.call(f"live {number}", client.is_server_live, client_timeout=10)
        # Once more at the end of the block, which must not matter.
        client.close()
