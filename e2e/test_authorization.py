"""Who may do what: alice, bob, ci and a stranger, before a real Triton and in the demo."""

import grpc
import pytest
from tritonclient.grpc import service_pb2

from cases.repository import unload
from cases.streams import Answers
from cases.tensors import LEFT, RIGHT, simple, simple_request
from harness.refusal import reason, refused

# Every RPC of the service with a request that says enough to be decided on.
REQUESTS = {
    "ModelReady": service_pb2.ModelReadyRequest(name="simple"),
    "ModelMetadata": service_pb2.ModelMetadataRequest(name="simple"),
    "ModelInfer": simple_request(),
    "ModelConfig": service_pb2.ModelConfigRequest(name="simple"),
    "ModelStatistics": service_pb2.ModelStatisticsRequest(name="simple"),
    "RepositoryIndex": service_pb2.RepositoryIndexRequest(),
    "RepositoryModelLoad": service_pb2.RepositoryModelLoadRequest(model_name="simple"),
    "RepositoryModelUnload": service_pb2.RepositoryModelUnloadRequest(model_name="simple"),
    "SystemSharedMemoryStatus": service_pb2.SystemSharedMemoryStatusRequest(),
    "SystemSharedMemoryRegister": service_pb2.SystemSharedMemoryRegisterRequest(name="r", key="/r", byte_size=8),
    "SystemSharedMemoryUnregister": service_pb2.SystemSharedMemoryUnregisterRequest(),
    "CudaSharedMemoryStatus": service_pb2.CudaSharedMemoryStatusRequest(),
    "CudaSharedMemoryRegister": service_pb2.CudaSharedMemoryRegisterRequest(name="r", raw_handle=b"h", byte_size=8),
    "CudaSharedMemoryUnregister": service_pb2.CudaSharedMemoryUnregisterRequest(),
    "TraceSetting": service_pb2.TraceSettingRequest(),
    "LogSettings": service_pb2.LogSettingsRequest(),
}

# What bob's role gives him.
VIEWER = {"ModelReady", "ModelMetadata", "ModelInfer", "ModelConfig", "RepositoryIndex"}


def test_alice_infers_loads_and_unloads(world):
    with world.door("alice").client() as client:
        assert (client.infer("simple", simple()).as_numpy("OUTPUT0") == LEFT + RIGHT).all()
        client.load_model(world.spare)
        assert client.is_model_ready(world.spare)
        unload(client, world.spare)
        if world.spare != "idle":
            client.load_model(world.spare)


def test_bob_infers_but_does_not_load(world):
    with world.door("bob").client() as client:
        assert (client.infer("simple", simple()).as_numpy("OUTPUT0") == LEFT + RIGHT).all()
        assert client.get_model_metadata("simple").name == "simple"
        for verb, call in (("load", client.load_model), ("unload", client.unload_model)):
            text = refused("PERMISSION_DENIED", call, "simple")
            for word in ("bob", verb, '"simple"', "model-admin"):
                assert word in text
        assert client.is_model_ready("simple")


def test_ci_only_infers_on_simple(world):
    with world.door("ci").client() as client:
        assert (client.infer("simple", simple()).as_numpy("OUTPUT0") == LEFT + RIGHT).all()
        for call in (client.get_model_metadata, client.load_model, client.unload_model):
            refused("PERMISSION_DENIED", call, "simple")
        for model in ("simple_identity", "prod-simple", "no-such-model", "SIMPLE", "simple ", ""):
            error = "INVALID_ARGUMENT" if model == "" else "PERMISSION_DENIED"
            refused(error, client.infer, model, simple())


def test_a_refusal_does_not_tell_whether_the_model_exists(world):
    with world.door("ci").client() as client:
        texts = [
            refused("PERMISSION_DENIED", client.infer, model, simple()).replace(model, "M")
            for model in ("prod-simple", "no-such-model")
        ]
    assert texts[0] == texts[1]


@pytest.mark.parametrize("rpc", REQUESTS)
def test_a_stranger_gets_nothing(world, rpc):
    with world.stranger.stub() as stub:
        call = getattr(stub, rpc)
        refused("UNAUTHENTICATED", call, REQUESTS[rpc], timeout=10)
        assert reason(call, REQUESTS[rpc], timeout=10) == "TOKEN_MISSING"


@pytest.mark.parametrize("rpc", REQUESTS)
def test_a_viewer_gets_what_the_role_says(world, rpc):
    door = world.door("bob")
    with door.stub() as stub:
        try:
            getattr(stub, rpc)(REQUESTS[rpc], metadata=door.metadata, timeout=10)
            allowed = True
        except grpc.RpcError as error:
            assert error.code().name == "PERMISSION_DENIED"
            allowed = False
    # The demo lets its viewers see statistics, too.
    assert allowed == (rpc in VIEWER or (rpc == "ModelStatistics" and world.spare != "idle"))


def test_a_stranger_may_probe(world):
    with world.stranger.client() as client:
        assert client.is_server_live() and client.is_server_ready()
        assert client.get_server_metadata().name == "triton"


def test_a_stranger_opens_no_stream(world):
    answers = Answers()
    with world.stranger.client() as client:
        client.start_stream(answers)
        [error] = answers.take(1, seconds=10)
        assert error.status() == "StatusCode.UNAUTHENTICATED"


def test_one_refused_message_leaves_the_stream_open(world):
    # In the order of the requests, the refused one among them.
    door = world.door("ci")
    requests = [simple_request(id="1"), simple_request(id="2", model_name="prod-simple"), simple_request(id="3")]
    with door.stub() as stub:
        call = stub.ModelStreamInfer(iter(requests), metadata=door.metadata, timeout=20)
        good, refusal, good_again = list(call)
        assert call.code() is grpc.StatusCode.OK
    assert good.infer_response.id == "1" and good.infer_response.outputs
    assert good_again.infer_response.id == "3" and good_again.infer_response.outputs
    assert "ci" in refusal.error_message and "prod-simple" in refusal.error_message
    assert refusal.infer_response.id == "2" and not refusal.infer_response.model_name
    assert refusal.infer_response.parameters["sluice_reason"].string_param == "NO_ROLE_ALLOWS"


def test_many_refusals_keep_their_places(world):
    door = world.door("ci")
    names = ["simple" if number % 3 else "prod-simple" for number in range(60)]
    requests = [simple_request(id=str(number), model_name=name) for number, name in enumerate(names)]
    with door.stub() as stub:
        answers = list(stub.ModelStreamInfer(iter(requests), metadata=door.metadata, timeout=20))
    assert [answer.infer_response.id for answer in answers] == [request.id for request in requests]
    assert [bool(answer.error_message) for answer in answers] == [name != "simple" for name in names]
