"""An unchanged client gets the same answers through Sluice as from Triton."""

import pytest

import cases
from cases import asynchronous, headers, health, infer, memory, mistakes, repository  # noqa: F401
from cases import sequences, settings, statistics, streams  # noqa: F401


def names(case):
    return f"{case.__module__.removeprefix('cases.')}-{case.__name__}"


@pytest.mark.parametrize("case", cases.CASES, ids=names)
def test_same_answers(case, direct, through):
    assert cases.run(case, through) == cases.run(case, direct)
