"""The calls that an unchanged client makes, one function a case.

A case takes a door and a transcript. It writes down everything that the client
got, and asserts itself what must be true whatever the door, so that two equal
failures are not taken for equal answers.
"""

from harness.transcript import Transcript


def case(function):
    """Marks a function as a case."""
    function.is_case = True
    return function


def of(module):
    """The cases of a module, in the order in which they are written."""
    return [value for value in vars(module).values() if is_case_of(module, value)]


def is_case_of(module, value):
    return getattr(value, "is_case", False) and value.__module__ == module.__name__


def run(function, door):
    """Runs a case at a door and returns the lines of its transcript."""
    transcript = Transcript()
    function(door, transcript)
    assert transcript.lines, f"{function.__name__} wrote nothing down"
    return transcript.lines
