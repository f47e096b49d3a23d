"""The calls that an unchanged client makes, one function a case.

A case takes a door and a transcript. It writes down everything that the client
got, and asserts itself what must be true whatever the door, so that two equal
failures are not taken for equal answers.
"""

from harness.transcript import Transcript

CASES = []


def case(function):
    """Registers a case."""
    CASES.append(function)
    return function


def run(function, door):
    """Runs a case at a door and returns the lines of its transcript."""
    transcript = Transcript()
    function(door, transcript)
    assert transcript.lines, f"{function.__name__} wrote nothing down"
    return transcript.lines
