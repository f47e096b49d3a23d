"""A real MLServer, directly and through Sluice: what is the same, and what Sluice makes like Triton's."""

import pytest
from tritonclient.grpc import InferRequestedOutput, InferResult, model_config_pb2, service_pb2

import cases
from cases.streams import by_id, stream
from cases.tensors import ints, texts
from harness.door import Door
from harness.mlserver import MLServer
from harness.process import until
from harness.refusal import refused
from harness.sluice import POLICY, Sluice
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


def mistakes(door, log):
    with door.client() as client:
        failed = log.call("model", client.infer, "identity", [ints("FAIL", 1)], request_id="f")
        assert status_of(failed) == "INVALID_ARGUMENT"
        log.call("unknown", client.infer, "no-such-model", [ints("INPUT0", 1)])


def repository(door, log):
    with door.client() as client:
        log.call("load", client.load_model, "other")
        log.call("unload", client.unload_model, "other")
        log.call("infer after", client.infer, "other", [ints("INPUT0", 1)])
        log.call("load again", client.load_model, "other")
        log.call("infer", client.infer, "other", [ints("INPUT0", 1)], request_id="o")
        log.call("unknown", client.load_model, "no-such-model")


def what_it_does_not_have(door, log):
    with door.client() as client:
        calls = {
            "statistics": (client.get_inference_statistics, "identity"),
            "trace": (client.get_trace_settings, "identity"),
        }
        for name, call in calls.items():
            # The text is whoever's says it.
            assert log.add(name, status_of(outcome(*call))) == "UNIMPLEMENTED"


@pytest.mark.parametrize(
    "case",
    [health, metadata, infer, mistakes, repository, what_it_does_not_have],
    ids=lambda case: case.__name__,
)
def test_same_answers(case, direct, through):
    expected = cases.run(case, direct)
    assert cases.run(case, through) == expected


def test_typed_answers_are_raw(direct, through):
    request = service_pb2.ModelInferRequest(model_name="identity", id="typed")
    for name, datatype, field, values in (
        ("INPUT0", "INT32", "int_contents", [1, -2]),
        ("INPUT1", "BYTES", "bytes_contents", [b"a", b"\xff"]),
        ("INPUT2", "FP64", "fp64_contents", [0.5, -0.0]),
        ("INPUT3", "BOOL", "bool_contents", [True, False]),
    ):
        made = request.inputs.add(name=name, datatype=datatype, shape=[2])
        getattr(made.contents, field).extend(values)
    trailing = {}
    for door in (direct, through):
        with door.stub() as stub:
            answer, call = stub.ModelInfer.with_call(request, metadata=door.metadata, timeout=10)
        trailing[door.name] = {key for key, _ in call.trailing_metadata()}
    # What tritonclient makes of it is what was sent.
    result = InferResult(answer)
    assert result.as_numpy("OUTPUT0").tolist() == [1, -2]
    assert result.as_numpy("OUTPUT1").tolist() == [b"a", b"\xff"]
    assert str(result.as_numpy("OUTPUT2").tolist()) == "[0.5, -0.0]"
    assert result.as_numpy("OUTPUT3").tolist() == [True, False]
    assert any(key.startswith("ce-") for key in trailing["direct"])
    assert not any(key.startswith("ce-") for key in trailing["through Sluice"])


def test_in_tritons_words(direct, through):
    with direct.client() as client:
        assert status_of(outcome(client.is_model_ready, "no-such-model")) == "UNKNOWN"
        assert {row.state for row in client.get_model_repository_index().models} == {"State.READY"}
        assert status_of(outcome(client.get_model_config, "tokens")) == "UNIMPLEMENTED"
    with through.client() as client:
        assert client.is_model_ready("no-such-model") is False
        assert {row.state for row in client.get_model_repository_index().models} == {"READY"}
        config = client.get_model_config("tokens").config
        assert config.model_transaction_policy.decoupled
        assert [(tensor.name, tensor.data_type) for tensor in config.input] == [("INPUT0", model_config_pb2.TYPE_INT32)]


def test_what_it_would_leave_out_is_refused(through):
    with through.client() as client:
        refused("UNIMPLEMENTED", client.load_model, "other", config="{}")
        top = InferRequestedOutput("OUTPUT0", class_count=1)
        refused("UNIMPLEMENTED", client.infer, "identity", [ints("INPUT0", 1)], outputs=[top])


def words(answers):
    return b"".join(word for answer in answers for word in answer.as_numpy("text_output").tolist())


def finals(answers):
    return [answer.get_response().parameters["triton_final_response"].bool_param for answer in answers]


def test_stream(through):
    with stream(through) as (client, answers):
        for name in ("a", "b"):
            client.async_stream_infer("tokens", [ints("INPUT0", 1)], request_id=name, enable_empty_final_response=True)
        client.async_stream_infer("tokens", [ints("INPUT0", 1)], request_id="c")
        client.async_stream_infer("identity", [ints("INPUT0", 7)], request_id="d")
        client.stop_stream()
        got = by_id(answers.rest())
    for name in ("a", "b"):
        assert finals(got[name]) == [False, False, False, False, True]
        assert words(got[name][:-1]) == b"What a fine day"
    assert finals(got["c"]) == [False] * 4 and words(got["c"]) == b"What a fine day"
    assert [answer.as_numpy("OUTPUT0").tolist() for answer in got["d"]] == [[7]]


def test_errors_in_a_stream(through):
    with stream(through) as (client, answers):
        client.async_stream_infer("tokens", [ints("FAIL", 1)], request_id="f")
        parts = answers.take(5)
        assert words(parts[:4]) == b"What a fine day" and parts[4].message() == "the model said no"
        client.async_stream_infer("no-such-model", [ints("INPUT0", 1)], request_id="n")
        [error] = answers.take(1)
        assert "no-such-model" in error.message()
        client.async_stream_infer("tokens", [ints("NONE", 1)], request_id="z", enable_empty_final_response=True)
        [end] = answers.take(1)
        assert end.get_response().id == "z" and finals([end]) == [True] and not end.get_response().outputs
        client.async_stream_infer("identity", [ints("INPUT0", 1)], request_id="after")
        [after] = answers.take(1)
        assert after.get_response().id == "after"
        client.stop_stream()


def test_masked_stream(tmp_path, issuer, mlserver):
    """What MLServer cuts into parts is masked as the whole, whoever asks for the end."""
    backend = {"name": "ml", "type": "mlserver", "addresses": [mlserver.address], "models": ["*"]}
    gateway = Sluice(tmp_path, issuer, [backend])
    rule = {"name": "pii", "models": ["tokens"], "tensors": ["text_output"], "entities": ["EMAIL"], "mode": "delta"}
    gateway.write("policy.yaml", {**POLICY, "masking": [rule]})
    try:
        gateway.start()
        door = Door("masking", gateway.address).showing(issuer.token("operator"))
        with stream(door) as (client, answers):
            client.async_stream_infer("tokens", [ints("SECRET", 1)], request_id="a")
            client.async_stream_infer("tokens", [ints("SECRET", 1)], request_id="b", enable_empty_final_response=True)
            client.async_stream_infer("tokens", [ints("INPUT0", 1)])
            client.stop_stream()
            got = by_id(answers.rest())
        for name in ("a", "b"):
            parts = [answer for answer in got[name] if answer.get_response().outputs]
            assert words(parts) == b"Ask [EMAIL], not me. Or [EMAIL]"
        assert finals(got["b"])[-1] and finals(got["b"]).count(True) == 1 and not any(finals(got["a"]))
        assert words(got[""]) == b"What a fine day"
    finally:
        gateway.stop()


def test_who_goes_away_stops_the_model(mlserver, through):
    with stream(through) as (client, answers):
        client.async_stream_infer("tokens", [ints("ENDLESS", 1)], request_id="e")
        [first] = answers.take(1)
        assert words([first]) == b"What "
        client.stop_stream(cancel_requests=True)
    until((mlserver.folder / "cancelled").exists, "the model has heard of it")


def test_of_the_wrong_type(tmp_path, issuer, mlserver):
    backend = {"name": "gpu", "type": "triton", "addresses": [mlserver.address], "models": ["*"]}
    gateway = Sluice(tmp_path, issuer, [backend])
    try:
        gateway.start()
        with Door("wrong", gateway.address).showing(issuer.token("operator")).client() as client:
            refused("UNAVAILABLE", client.infer, "identity", [ints("INPUT0", 1)])
            refused("UNAVAILABLE", client.unload_model, "identity")
            assert not client.is_server_ready()
        until(lambda: "backend gpu is configured as triton but answers as mlserver" in gateway.log(), "the word about its kind")
        assert 'sluice_backend_mismatch{backend="gpu"} 1' in gateway.read_metrics()
    finally:
        gateway.stop()


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
