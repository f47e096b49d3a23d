"""Wrong requests: the server's own status and text have to come through."""

import numpy as np

from cases import case
from cases.tensors import LEFT, ints, simple, simple_request, tensor, texts
from harness.transcript import status_of


def refusal(log, what, expected, function, *args, **kwargs):
    error = log.call(what, function, *args, **kwargs)
    assert status_of(error) == expected, what


@case
def unknown_names(door, log):
    with door.client() as client:
        refusal(log, "model", "NOT_FOUND", client.infer, "no-such-model", simple())
        refusal(log, "version", "NOT_FOUND", client.infer, "simple", simple(), model_version="99")
        refusal(log, "version x", "INVALID_ARGUMENT", client.infer, "simple", simple(), model_version="x")
        refusal(log, "version -1", "INVALID_ARGUMENT", client.infer, "simple", simple(), model_version="-1")
        log.call("version 1x", client.infer, "simple", simple(), model_version="1x")
        refusal(log, "not loaded", "NOT_FOUND", client.infer, "idle", simple())


@case
def wrong_inputs(door, log):
    left, right = simple()
    short = tensor("INPUT1", np.zeros((1, 8), np.int32))
    floats = tensor("INPUT0", LEFT.astype(np.float32))
    many = tensor("INPUT0", np.repeat(LEFT, 9, axis=0))
    with door.client() as client:

        def wrong(what, *inputs):
            refusal(log, what, "INVALID_ARGUMENT", client.infer, "simple", list(inputs), request_id="abc")

        wrong("name", left, tensor("INPUTX", LEFT))
        wrong("missing", left)
        wrong("extra", left, right, tensor("INPUT2", LEFT))
        wrong("twice", left, left)
        wrong("shape", left, short)
        wrong("datatype", floats, right)
        wrong("batch", many, many)
        wrong("none")


@case
def wrong_contents(door, log):
    with door.stub() as stub:

        def wrong(what, bend, expected="INVALID_ARGUMENT"):
            request = simple_request(id="q1")
            bend(request)
            refusal(log, what, expected, stub.ModelInfer, request, metadata=door.metadata, timeout=10)

        def set_raw(index, value):
            return lambda request: request.raw_input_contents.__setitem__(index, value)

        wrong("raw too short", set_raw(0, b"abc"))
        wrong("raw empty", set_raw(1, b""))
        wrong("fewer raw", lambda r: r.raw_input_contents.pop())
        wrong("no raw", lambda r: r.ClearField("raw_input_contents"))
        wrong("both", lambda r: r.inputs[0].contents.int_contents.append(1))
        wrong("both, empty", lambda r: r.inputs[0].contents.SetInParent())
        wrong("unknown datatype", lambda r: setattr(r.inputs[0], "datatype", "INT33"))
        wrong("negative shape", lambda r: r.inputs[0].shape.__setitem__(0, -1))
        wrong("typed as another", typed_as_floats)
        more = simple_request()
        more.raw_input_contents.append(b"ignored")
        log.call("more raw than inputs", stub.ModelInfer, more, metadata=door.metadata, timeout=10)


def typed_as_floats(request):
    request.ClearField("raw_input_contents")
    for input_ in request.inputs:
        input_.contents.fp32_contents.extend([0.5] * 16)


@case
def wrong_parameters(door, log):
    with door.stub() as stub:

        def wrong(what, key, expected="INVALID_ARGUMENT", **value):
            request = simple_request(id="q1")
            request.parameters[key].SetInParent()
            for field, content in value.items():
                setattr(request.parameters[key], field, content)
            refusal(log, what, expected, stub.ModelInfer, request, metadata=door.metadata, timeout=10)

        wrong("reserved", "triton_strange", bool_param=True)
        wrong("unsigned", "u", uint64_param=1)
        wrong("unset", "nothing")
        wrong("sequence_start as text", "sequence_start", string_param="yes")
        wrong("sequence_id as flag", "sequence_id", bool_param=True)
        wrong("priority as text", "priority", string_param="1")
        wrong("negative priority", "priority", int64_param=-1)
        wrong("timeout as text", "timeout", string_param="1")
        log_only = simple_request()
        log_only.parameters["triton_enable_empty_final_response"].bool_param = True
        log.call("final response, unary", stub.ModelInfer, log_only, metadata=door.metadata, timeout=10)


@case
def wrong_bytes_tensors(door, log):
    with door.stub() as stub:

        def wrong(what, content, count=2):
            request = simple_request(model_name="simple_identity")
            del request.inputs[1]
            request.inputs[0].datatype = "BYTES"
            request.inputs[0].shape[:] = [1, count]
            request.raw_input_contents[:] = [content]
            refusal(log, what, "INVALID_ARGUMENT", stub.ModelInfer, request, metadata=door.metadata, timeout=10)

        wrong("too few", b"\x01\0\0\0a")
        wrong("too many", b"\x01\0\0\0a" * 3)
        wrong("length cut", b"\x01\0\0\0a\x01\0")
        wrong("element cut", b"\x01\0\0\0a\x09\0\0\0b")


@case
def model_says_no(door, log):
    expected = {
        "UNKNOWN": "UNKNOWN",
        "INTERNAL": "INTERNAL",
        "NOT_FOUND": "NOT_FOUND",
        "INVALID_ARG": "INVALID_ARGUMENT",
        "UNAVAILABLE": "UNAVAILABLE",
        "UNSUPPORTED": "UNIMPLEMENTED",
        "ALREADY_EXISTS": "ALREADY_EXISTS",
        "CANCELLED": "CANCELLED",
    }
    with door.client() as client:
        for kind, status in expected.items():
            refusal(log, kind, status, client.infer, "fails", [texts("KIND", kind.encode(), shape=(1,))])


@case
def decoupled_model_asked_unary(door, log):
    with door.client() as client:
        refusal(log, "unary", "UNIMPLEMENTED", client.infer, "repeat_int32", [ints("IN", 1)])
