"""What a case saw, as lines of text that two doors' answers are compared by.

Nothing is left out silently: a protobuf message is written out together with
its bytes in deterministic form (so that unknown fields count too), an error
with its type, status and text. What may differ is taken out by a function that
says so in its name, before the line is written.
"""

import hashlib

import grpc
import numpy as np
from google.protobuf import text_format
from google.protobuf.message import Message
from tritonclient.grpc import InferResult
from tritonclient.utils import InferenceServerException


class Transcript:
    """The lines of one run of a case."""

    def __init__(self):
        self.lines = []

    def add(self, what, value):
        """Writes value under the name what, and returns it."""
        self.lines.append(f"{what}: {render(value)}")
        return value

    def call(self, what, function, *args, **kwargs):
        """Calls function, writes what it returned or raised, and returns that."""
        return self.add(what, outcome(function, *args, **kwargs))


def outcome(function, *args, **kwargs):
    """What function returned, or the server's error that it raised."""
    try:
        return function(*args, **kwargs)
    except (InferenceServerException, grpc.RpcError) as error:
        return error


def render(value):
    if isinstance(value, Message):
        return render_message(value)
    if isinstance(value, InferResult):
        return render_message(value.get_response())
    if isinstance(value, InferenceServerException):
        return f"{type(value).__name__} {value.status()} {value.message()!r}"
    if isinstance(value, grpc.RpcError):
        return f"RpcError {value.code()} {value.details()!r}"
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{list(value.shape)} {value.tolist()!r}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {render(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(render, value)) + "]"
    return repr(value)


def render_message(message):
    whole = message.SerializeToString(deterministic=True)
    digest = hashlib.sha256(whole).hexdigest()[:12]
    text = text_format.MessageToString(message, as_one_line=True)
    if len(text) > 4000:
        text = text[:4000] + " ..."
    return f"{message.DESCRIPTOR.name} {len(whole)} bytes {digest} {{ {text} }}"


def status_of(error):
    """The name of the gRPC status of an error that a client raised."""
    if isinstance(error, grpc.RpcError):
        return error.code().name
    if isinstance(error, InferenceServerException):
        return (error.status() or "none").removeprefix("StatusCode.")
    raise AssertionError(f"no error, but {render(error)}")
