"""Unary calls to a real MLServer, directly and through Sluice."""

import pytest
from tritonclient.grpc import service_pb2

import cases
from cases.streams import Answers
from cases.tensors import ints, texts
from harness.door import Door
from harness.mlserver import MLServer
from harness.process import until
from harness.refusal import refused
from harness.sluice import Sluice
from harness.transcript import outcome, status_of


@pytest.fixture(scope="module")
def mlserver(tmp_path_factory):
    server = MLServer(tmp_path_factory.mktemp("mlserver"))
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture(scope="module")
def direct(mlserver):
    return Door("direct", mlserver.address)


@pytest.fixture(scope="module")
def through(tmp_path_factory, issuer, mlserver):
    backend = {"name": "ml", "type": "mlserver", "addresses": [mlserver.address], "models": ["*"]}
    gateway = Sluice(tmp_path_factory.mktemp("before-mlserver"), issuer, [backend])
    try:
        gateway.start()
        yield Door("through Sluice", gateway.address).showing(issuer.token("operator"))
    finally:
        gateway.stop()


def health(door, log):
    with door.client() as client:
        assert log.call("live", client.is_server_live)
        assert log.call("ready", client.is_server_ready)
        assert log.call("model", client.is_model_ready, "identity")
        log.call("unknown", client.is_model_ready, "no-such-model")


def metadata(door, log):
    with door.client() as client:
        log.call("server", client.get_server_metadata)
        log.call("model", client.get_model_metadata, "identity")
        log.call("unknown", client.get_model_metadata, "no-such-model")


def infer(door, log):
    with door.client() as client:
        answer = log.call("ints", client.infer, "identity", [ints("INPUT0", 1, -2, 3)], request_id="i")
        assert answer.as_numpy("OUTPUT0").tolist() == [1, -2, 3]
        log.call("bytes", client.infer, "identity", [texts("INPUT0", b"a", b"", b"\xc3\xa4")], request_id="b")
        for algorithm in ("gzip", "deflate"):
            log.call(algorithm, client.infer, "identity", [ints("INPUT0", 5)], compression_algorithm=algorithm)
        log.call("parameters", client.infer, "identity", [ints("INPUT0", 1)], parameters={"a": 1, "b": "c"})


def typed(door, log):
    request = service_pb2.ModelInferRequest(model_name="identity", id="typed")
    input_ = request.inputs.add(name="INPUT0", datatype="INT32", shape=[2])
    input_.contents.int_contents.extend([1, 2])
    with door.stub() as stub:
        answer, call = stub.ModelInfer.with_call(request, metadata=door.metadata, timeout=10)
        log.add("answer", answer)
        log.add("trailing", sorted(call.trailing_metadata()))


def mistakes(door, log):
    with door.client() as client:
        failed = log.call("model", client.infer, "identity", [ints("FAIL", 1)], request_id="f")
        assert status_of(failed) == "INVALID_ARGUMENT"
        log.call("unknown", client.infer, "no-such-model", [ints("INPUT0", 1)])


def repository(door, log):
    with door.client() as client:
        rows = client.get_model_repository_index().models
        log.add("index", sorted(rows, key=lambda row: row.name))
        log.call("load", client.load_model, "other")
        log.call("unload", client.unload_model, "other")
        log.call("infer after", client.infer, "other", [ints("INPUT0", 1)])
        log.call("load again", client.load_model, "other")
        log.call("infer", client.infer, "other", [ints("INPUT0", 1)], request_id="o")
        log.call("unknown", client.load_model, "no-such-model")


def what_it_does_not_have(door, log):
    with door.client() as client:
        calls = {
            "config": (client.get_model_config, "identity"),
            "statistics": (client.get_inference_statistics, "identity"),
            "trace": (client.get_trace_settings, "identity"),
        }
        for name, call in calls.items():
            # The text is whoever's says it.
            assert log.add(name, status_of(outcome(*call))) == "UNIMPLEMENTED"


@pytest.mark.parametrize(
    "case",
    [health, metadata, infer, typed, mistakes, repository, what_it_does_not_have],
    ids=lambda case: case.__name__,
)
def test_same_answers(case, direct, through):
    expected = cases.run(case, direct)
    assert cases.run(case, through) == expected


def test_streams_are_refused_clearly(through):
    # MLServer's stream has another message type; misread, it looks like errors.
    answers = Answers()
    with through.client() as client:
        client.start_stream(answers)
        client.async_stream_infer("identity", [ints("INPUT0", 1)], request_id="s")
        [error] = answers.take(1, seconds=10)
        assert "stream" in error.message().lower()
        client.stop_stream()


def test_who_may(through, issuer):
    with through.showing(issuer.token("bob")).client() as client:
        client.infer("identity", [ints("INPUT0", 1)])
        assert "model-admin" in refused("PERMISSION_DENIED", client.unload_model, "identity")
    with through.showing(issuer.token("ci")).client() as client:
        refused("PERMISSION_DENIED", client.infer, "identity", [ints("INPUT0", 1)])


def test_beside_a_triton(issuer, mlserver, triton, tmp_path):
    """Two backends behind one address: by name, and where an answer spans both."""
    backends = [
        {"name": "ml", "type": "mlserver", "addresses": [mlserver.address], "models": ["identity", "other"]},
        {"name": "triton", "type": "triton", "addresses": [triton.address], "models": ["*"]},
    ]
    gateway = Sluice(tmp_path, issuer, backends)
    try:
        gateway.start()
        with Door("both", gateway.address).showing(issuer.token("operator")).client() as client:
            until(client.is_server_ready, "the gateway is ready")
            client.infer("identity", [ints("INPUT0", 1)])
            assert client.get_model_config("labelled").config.name == "labelled"
            names = {row.name for row in client.get_model_repository_index().models}
            assert {"identity", "other", "simple", "idle"} <= names
            assert client.get_server_metadata().name == "triton"
    finally:
        gateway.stop()
