"""An unchanged client gets the same answers through Sluice as from Triton."""

import pytest

import cases
from cases import asynchronous, headers, health, infer, memory, mistakes, repository
from cases import sequences, settings, statistics, streams

CASES = [
    case
    for module in (
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
    for case in cases.of(module)
]


def name(case):
    return f"{case.__module__.removeprefix('cases.')}-{case.__name__}"


@pytest.mark.parametrize("case", CASES, ids=name)
def test_same_answers(case, direct, through):
    expected = cases.run(case, direct)
    assert cases.run(case, through) == expected
