"""Stateful models: sequences by number and by name, unary and on a stream."""

import numpy as np

from cases import case
from cases.streams import stream
from cases.tensors import tensor
from harness.transcript import status_of


def value(number):
    return [tensor("INPUT", np.array([[number]], dtype=np.int32))]


def steps(numbers):
    """Each number with its place in the sequence, as infer's arguments."""
    last = len(numbers) - 1
    for place, number in enumerate(numbers):
        yield number, {"sequence_start": place == 0, "sequence_end": place == last}


@case
def unary_sequences(door, log):
    with door.client() as client:
        for sequence in (1001, 2**62, "by-name"):
            sums = []
            for number, place in steps([1, 10, 100]):
                result = log.call(
                    f"{sequence} {number}",
                    client.infer,
                    "accumulator",
                    value(number),
                    sequence_id=sequence,
                    request_id=f"{sequence}-{number}",
                    **place,
                )
                sums.append(int(result.as_numpy("OUTPUT")[0][0]))
            assert sums == [1, 11, 111]


@case
def sequences_side_by_side(door, log):
    with stream(door) as (client, answers):
        for (low, place), (high, _) in zip(steps([1, 2, 3]), steps([100, 200, 300]), strict=False):
            client.async_stream_infer("accumulator", value(low), sequence_id=2001, request_id="low", **place)
            client.async_stream_infer("accumulator", value(high), sequence_id="high", request_id="high", **place)
        client.stop_stream()
        got = log.add("answers", answers.rest())
        sums = [(a.get_response().id, int(a.as_numpy("OUTPUT")[0][0])) for a in got]
        assert sums == [("low", 1), ("high", 100), ("low", 3), ("high", 300), ("low", 6), ("high", 600)]


@case
def broken_sequences(door, log):
    with door.client() as client:
        without_id = log.call("no id", client.infer, "accumulator", value(1))
        assert status_of(without_id) == "INVALID_ARGUMENT"
        without_start = log.call("no start", client.infer, "accumulator", value(1), sequence_id=3001)
        assert status_of(without_start) == "INVALID_ARGUMENT"
