"""An unchanged client gets the same answers through Sluice as from Triton."""

import inspect

import pytest
import tritonclient.grpc as triton

import cases
from cases import (
    asynchronous,
    headers,
    health,
    infer,
    memory,
    mistakes,
    repository,
    sequences,
    settings,
    statistics,
    streams,
)

MODULES = (
    health,
    infer,
    mistakes,
    streams,
    sequences,
    asynchronous,
    headers,
    memory,
    settings,
    statistics,
    repository,
)
CASES = [case for module in MODULES for case in cases.of(module)]


def name(case):
    return f"{case.__module__.removeprefix('cases.')}-{case.__name__}"


def public_methods(client):
    return {method for method in vars(client) if not method.startswith("_")}


def test_every_call_of_the_client_is_made():
    source = "".join(map(inspect.getsource, MODULES))
    assert {m for m in public_methods(triton.InferenceServerClient) if f".{m}" not in source} == set()


@pytest.mark.parametrize("case", CASES, ids=name)
def test_same_answers(case, direct, through):
    expected = cases.run(case, direct)
    assert cases.run(case, through) == expected
