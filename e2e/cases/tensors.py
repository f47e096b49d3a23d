"""Requests that more than one case sends."""

import numpy as np
import tritonclient.grpc as triton
from tritonclient.grpc import service_pb2
from tritonclient.utils import np_to_triton_dtype

LEFT = np.arange(16, dtype=np.int32).reshape(1, 16)
RIGHT = np.full((1, 16), 3, dtype=np.int32)


def tensor(name, values, datatype=None):
    """An InferInput that holds values."""
    made = triton.InferInput(name, list(values.shape), datatype or np_to_triton_dtype(values.dtype))
    made.set_data_from_numpy(values)
    return made


def ints(name, *values):
    return tensor(name, np.array(values, dtype=np.int32))


def texts(name, *values, shape=None):
    """A BYTES tensor of one batch; values are bytes."""
    array = np.array(values, dtype=np.object_)
    return tensor(name, array.reshape(shape or (1, len(values))), "BYTES")


def simple(left=LEFT, right=RIGHT):
    """The inputs of the model simple, and of those that share its code."""
    return [tensor("INPUT0", left), tensor("INPUT1", right)]


def repeat(values, delay=0, wait=0):
    """The inputs of repeat_int32; delay and wait are in milliseconds."""
    return [
        tensor("IN", np.array(values, dtype=np.int32)),
        tensor("DELAY", np.full(len(values), delay, dtype=np.uint32)),
        tensor("WAIT", np.array([wait], dtype=np.uint32)),
    ]


def slow(milliseconds):
    """The input of the model slow."""
    return [ints("MILLISECONDS", milliseconds)]


def simple_request(**fields):
    """A ModelInferRequest for simple, to be bent by hand before it is sent."""
    request = service_pb2.ModelInferRequest(**{"model_name": "simple", **fields})
    for name, values in (("INPUT0", LEFT), ("INPUT1", RIGHT)):
        request.inputs.add(name=name, datatype="INT32", shape=values.shape)
        request.raw_input_contents.append(values.tobytes())
    return request
