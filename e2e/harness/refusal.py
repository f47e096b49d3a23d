"""Reads the refusals that are Sluice's own: status, text and google.rpc.ErrorInfo."""

import grpc
from google.rpc import error_details_pb2, status_pb2
from tritonclient.utils import InferenceServerException


def refused(code, function, *args, **kwargs):
    """Calls function, which must fail with the status code; returns its text."""
    try:
        answer = function(*args, **kwargs)
    except InferenceServerException as error:
        assert error.status() == f"StatusCode.{code}", error
        return error.message()
    except grpc.RpcError as error:
        assert error.code().name == code, error
        return error.details()
    raise AssertionError(f"{code} was expected, but: {answer}")


def reason(function, *args, **kwargs):
    """The stable reason of the refusal that function, a bare stub's method, runs into."""
    try:
        answer = function(*args, **kwargs)
    except grpc.RpcError as error:
        return reason_of(error)
    raise AssertionError(f"a refusal was expected, but: {answer}")


def reason_of(error):
    for key, value in error.trailing_metadata():
        if key != "grpc-status-details-bin":
            continue
        status = status_pb2.Status.FromString(value)
        for detail in status.details:
            info = error_details_pb2.ErrorInfo()
            if detail.Unpack(info):
                assert info.domain == "sluice"
                return info.reason
    raise AssertionError(f"no google.rpc.ErrorInfo: {error}")
