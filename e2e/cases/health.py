"""Health, metadata and configuration."""

from cases import case
from harness.transcript import outcome


@case
def server_is_live_and_ready(door, log):
    with door.client() as client:
        assert log.call("live", client.is_server_live, client_timeout=10)
        assert log.call("ready", client.is_server_ready, client_timeout=10)


@case
def model_is_ready(door, log):
    with door.client() as client:
        assert log.call("ready", client.is_model_ready, "simple") is True
        log.call("version 1", client.is_model_ready, "simple", "1")
        log.call("version 2", client.is_model_ready, "simple", "2")
        log.call("version x", client.is_model_ready, "simple", "x")
        assert log.call("never loaded", client.is_model_ready, "idle") is False
        log.call("unknown", client.is_model_ready, "no-such-model")


@case
def server_metadata(door, log):
    with door.client() as client:
        metadata = client.get_server_metadata()
        assert "statistics" in metadata.extensions
        # The order of the union is the gateway's.
        log.add("extensions", sorted(metadata.extensions))
        del metadata.extensions[:]
        log.add("metadata", metadata)
        assert client.get_server_metadata(as_json=True)["name"] == "triton"


@case
def model_metadata(door, log):
    with door.client() as client:
        for name in ("simple", "every_type", "repeat_int32", "labelled"):
            log.call(name, client.get_model_metadata, name)
        log.call("as json", client.get_model_metadata, "simple", as_json=True)
        log.call("version 1", client.get_model_metadata, "simple", "1")
        log.call("version 99", client.get_model_metadata, "simple", "99")
        log.call("version abc", client.get_model_metadata, "simple", "abc")
        log.call("never loaded", client.get_model_metadata, "idle")
        log.call("unknown", client.get_model_metadata, "no-such-model")


@case
def model_config(door, log):
    with door.client() as client:
        for name in ("simple", "every_type", "accumulator", "repeat_int32", "labelled"):
            log.call(name, client.get_model_config, name)
        as_json = log.call("as json", client.get_model_config, "simple", as_json=True)
        assert as_json["config"]["max_batch_size"] == 8
        log.call("version 99", client.get_model_config, "simple", "99")
        log.call("version abc", client.get_model_config, "simple", "abc")
        log.call("unknown", client.get_model_config, "no-such-model")


@case
def standard_health_check(door, log):
    # HealthCheckRequest{service: ""} and HealthCheckResponse{status: SERVING},
    # written out: grpcio-health-checking is not needed for four bytes.
    with door.channel() as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        assert log.call("server", check, b"", timeout=10) == b"\x08\x01"


@case
def unknown_method(door, log):
    with door.channel() as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/NoSuchMethod")
        error = outcome(call, b"", timeout=10, metadata=door.metadata)
        # The text is the gRPC library's own.
        log.add("status", error.code().name)
        assert error.code().name == "UNIMPLEMENTED"
