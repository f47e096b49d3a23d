"""Unary inference: raw and typed, every datatype, options and compression."""

import ml_dtypes
import numpy as np
import tritonclient.grpc as triton
from tritonclient.grpc import service_pb2

from cases import case
from cases.tensors import LEFT, RIGHT, ints, simple, simple_request, tensor, texts

# What each datatype is at its edges.
EDGES = {
    "BOOL": np.array([True, False, True]),
    "UINT8": np.array([0, 1, 255], dtype=np.uint8),
    "UINT16": np.array([0, 1, 65535], dtype=np.uint16),
    "UINT32": np.array([0, 1, 2**32 - 1], dtype=np.uint32),
    "UINT64": np.array([0, 1, 2**64 - 1], dtype=np.uint64),
    "INT8": np.array([-128, -1, 127], dtype=np.int8),
    "INT16": np.array([-32768, -1, 32767], dtype=np.int16),
    "INT32": np.array([-(2**31), -1, 2**31 - 1], dtype=np.int32),
    "INT64": np.array([-(2**63), -1, 2**63 - 1], dtype=np.int64),
    "FP16": np.array([0.5, -65504, np.inf, np.nan], dtype=np.float16),
    "FP32": np.array([0.1, -3.4e38, -np.inf, np.nan], dtype=np.float32),
    "FP64": np.array([0.1, 1.7e308, np.inf, np.nan], dtype=np.float64),
    "BYTES": np.array([b"", b"plain", b"nul\x00inside", b"\xff\xfe not utf-8", "ümläut".encode()], dtype=np.object_),
    "BF16": np.array([0.5, -3.0e38, np.inf, np.nan], dtype=ml_dtypes.bfloat16),
}

# The field of InferTensorContents that a datatype has, and how its values are
# written there. FP16 and BF16 have none.
TYPED = {
    "BOOL": "bool_contents",
    **dict.fromkeys(["INT8", "INT16", "INT32"], "int_contents"),
    **dict.fromkeys(["UINT8", "UINT16", "UINT32"], "uint_contents"),
    "INT64": "int64_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


def as_bits(values):
    """Values as comparable ones: a NaN is equal to itself."""
    return values.tolist() if values.dtype == np.object_ else values.tobytes()


@case
def raw(door, log):
    with door.client() as client:
        result = log.call("infer", client.infer, "simple", simple(), request_id="r-1", client_timeout=10)
        assert (result.as_numpy("OUTPUT0") == LEFT + RIGHT).all()
        log.add("output", result.get_output("OUTPUT1"))
        log.call("version", client.infer, "simple", simple(), model_version="1")
        log.call("no id", client.infer, "simple", simple())
        batch = simple(np.repeat(LEFT, 8, axis=0), np.repeat(RIGHT, 8, axis=0))
        assert log.call("batch", client.infer, "simple", batch).as_numpy("OUTPUT0").shape == (8, 16)


@case
def requested_outputs(door, log):
    with door.client() as client:
        one = [triton.InferRequestedOutput("OUTPUT1")]
        log.call("one", client.infer, "simple", simple(), outputs=one)
        both = [triton.InferRequestedOutput(name) for name in ("OUTPUT1", "OUTPUT0")]
        log.call("both, turned", client.infer, "simple", simple(), outputs=both)
        log.call("unknown", client.infer, "simple", simple(), outputs=[triton.InferRequestedOutput("ZZ")])


@case
def every_type_raw(door, log):
    inputs = [tensor(f"INPUT_{datatype}", values, datatype) for datatype, values in EDGES.items()]
    with door.client() as client:
        result = log.call("infer", client.infer, "every_type", inputs)
        for datatype, values in EDGES.items():
            assert as_bits(result.as_numpy(f"OUTPUT_{datatype}")) == as_bits(values), datatype


@case
def every_type_typed(door, log):
    request = service_pb2.ModelInferRequest(model_name="every_type", id="typed")
    for datatype, contents in TYPED.items():
        values = EDGES[datatype]
        input_ = request.inputs.add(name=f"INPUT_{datatype}", datatype=datatype, shape=values.shape)
        getattr(input_.contents, contents).extend(values.tolist())
    with door.stub() as stub:
        answer = log.call("infer", stub.ModelInfer, request, metadata=door.metadata, timeout=10)
        assert len(answer.raw_output_contents) == len(TYPED)
        assert not any(output.HasField("contents") for output in answer.outputs)


@case
def typed(door, log):
    request = service_pb2.ModelInferRequest(model_name="simple")
    for name in ("INPUT0", "INPUT1"):
        input_ = request.inputs.add(name=name, datatype="INT32", shape=[1, 16])
        input_.contents.int_contents.extend(range(16))
    with door.stub() as stub:
        log.call("whole", stub.ModelInfer, request, metadata=door.metadata, timeout=10)


@case
def single_types(door, log):
    with door.client() as client:
        for datatype in ("FP16", "BF16", "FP32"):
            values = EDGES[datatype].reshape(2, 2)
            inputs = [tensor("INPUT0", values, datatype)]
            result = log.call(datatype, client.infer, f"identity_{datatype.lower()}", inputs)
            assert as_bits(result.as_numpy("OUTPUT0")) == as_bits(values)


@case
def bytes_tensors(door, log):
    numbers = [str(n).encode() for n in range(16)]
    with door.client() as client:
        log.call("numbers", client.infer, "simple_string", [texts("INPUT0", *numbers), texts("INPUT1", *numbers)])
        values = EDGES["BYTES"].tolist()
        result = log.call("identity", client.infer, "simple_identity", [texts("INPUT0", *values)])
        assert result.as_numpy("OUTPUT0").tolist() == [values]
        log.call("batch", client.infer, "simple_identity", [texts("INPUT0", *values[:4], shape=(2, 2))])
        log.call("long", client.infer, "simple_identity", [texts("INPUT0", b"x" * 100_000, b"")])


@case
def empty_tensors(door, log):
    with door.client() as client:
        log.call("numbers", client.infer, "identity_fp32", [tensor("INPUT0", np.empty((1, 0), np.float32))])
        log.call("bytes", client.infer, "simple_identity", [texts("INPUT0", shape=(1, 0))])


@case
def classification(door, log):
    scores = np.array([[0.25, 9.5, -1, 3]], dtype=np.float32)
    with door.client() as client:
        for count in (1, 3, 100):
            wanted = [triton.InferRequestedOutput("OUTPUT0", class_count=count)]
            result = log.call(f"{count}", client.infer, "labelled", [tensor("INPUT0", scores)], outputs=wanted)
            assert result.as_numpy("OUTPUT0")[0][0] == b"9.500000:1:COFFEE MUG"
        wanted = [triton.InferRequestedOutput("OUTPUT0", class_count=2)]
        log.call("without labels", client.infer, "simple", simple(), outputs=wanted)


@case
def compressed_requests(door, log):
    with door.client() as client:
        for algorithm in ("gzip", "deflate"):
            result = log.call(algorithm, client.infer, "simple", simple(), compression_algorithm=algorithm)
            assert (result.as_numpy("OUTPUT0") == LEFT + RIGHT).all()


@case
def large_message(door, log):
    # Above the 4 MiB that gRPC libraries allow unless told otherwise.
    numbers = np.arange(3_000_000, dtype=np.float32).reshape(1, -1)
    with door.client() as client:
        for algorithm, values in ((None, numbers), ("gzip", np.zeros_like(numbers))):
            inputs = [tensor("INPUT0", values)]
            result = client.infer("identity_fp32", inputs, compression_algorithm=algorithm, client_timeout=60)
            assert (result.as_numpy("OUTPUT0") == values).all()
            log.add(f"{algorithm}", len(result.get_response().raw_output_contents[0]))


@case
def custom_parameters(door, log):
    parameters = {"text": "a", "yes": True, "no": False, "number": -5, "fraction": 0.25}
    with door.client() as client:
        result = log.call("seen", client.infer, "parameters", [ints("IGNORED", 1)], parameters=parameters)
        assert b'"fraction": 0.25' in result.as_numpy("JSON")[0]
        log.call("priority", client.infer, "parameters", [ints("IGNORED", 1)], priority=2, timeout=5_000_000)


@case
def unknown_fields_reach_the_server(door, log):
    # Field 1000 is nobody's: Triton ignores it, and so must what is between.
    request = simple_request(id="strange").SerializeToString() + b"\xc2\x3e\x03abc"
    with door.channel() as channel:
        call = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            response_deserializer=service_pb2.ModelInferResponse.FromString,
        )
        log.call("infer", call, request, metadata=door.metadata, timeout=10)


@case
def answer_carries_no_metadata(door, log):
    with door.stub() as stub:
        _, call = stub.ModelInfer.with_call(simple_request(), metadata=door.metadata, timeout=10)
        log.add("initial", sorted(call.initial_metadata()))
        log.add("trailing", sorted(call.trailing_metadata()))
