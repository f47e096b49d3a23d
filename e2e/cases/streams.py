"""ModelStreamInfer: order, errors in the stream, decoupled models, the end.

Requests to decoupled models and to others are never under way on one stream at
the same time here: Triton 2.51 can abort of that ("ASSERTION FAILED:
!byte_buffer->Valid()" in proto_buffer_writer.h), directly as through a proxy.
"""

import queue
from contextlib import contextmanager

import numpy as np
from tritonclient.utils import InferenceServerException

from cases import case
from cases.tensors import ints, repeat, simple, simple_request, slow, tensor, texts
from harness.process import until
from harness.transcript import outcome, status_of


class Answers:
    """A callback that keeps what it is called with."""

    def __init__(self):
        self.queue = queue.Queue()

    def __call__(self, result, error):
        self.queue.put(result if error is None else error)

    def take(self, count, seconds=30):
        return [self.queue.get(timeout=seconds) for _ in range(count)]

    def rest(self):
        """What is left when the stream has ended."""
        left = []
        while not self.queue.empty():
            left.append(self.queue.get())
        return left


@contextmanager
def stream(door, **options):
    """An open stream of a fresh client: the client, and what it is answered."""
    answers = Answers()
    with door.client() as client:
        client.start_stream(answers, **options)
        yield client, answers


def ids(answers):
    return [answer.get_response().id for answer in answers]


def by_id(answers):
    """Answers of each request in their order, whatever the order between requests."""
    grouped = {}
    for answer in answers:
        grouped.setdefault(answer.get_response().id, []).append(answer)
    return grouped


@case
def answers_in_order(door, log):
    with stream(door) as (client, answers):
        for number in range(50):
            inputs = simple(left=np.full((1, 16), number, np.int32))
            client.async_stream_infer("simple", inputs, request_id=str(number))
        client.stop_stream()
        got = log.add("answers", answers.rest())
        assert ids(got) == [str(number) for number in range(50)]


@case
def models_mixed_in_one_stream(door, log):
    with stream(door) as (client, answers):
        client.async_stream_infer("slow", slow(100), request_id="a")
        client.async_stream_infer("simple", simple(), request_id="b", model_version="1")
        client.async_stream_infer("simple_identity", [texts("INPUT0", b"c")], request_id="c")
        client.stop_stream()
        # Not decoupled, so in the order of the requests. CANCELLED counts on.
        got = answers.rest()
        assert ids(got) == ["a", "b", "c"]
        log.add("answers", got[1:])


@case
def errors_do_not_end_the_stream(door, log):
    with stream(door) as (client, answers):
        client.async_stream_infer("simple", simple(), request_id="good")
        client.async_stream_infer("no-such-model", simple(), request_id="unknown")
        client.async_stream_infer("simple", simple()[:1], request_id="one input")
        client.async_stream_infer("simple", simple(), request_id="version", model_version="x")
        client.async_stream_infer("fails", [texts("KIND", b"NOT_FOUND", shape=(1,))], request_id="model")
        client.async_stream_infer("idle", simple(), request_id="not loaded")
        client.async_stream_infer("simple", simple(), request_id="good again")
        client.stop_stream()
        got = log.add("answers", answers.rest())
        assert len(got) == 7 and ids([got[0], got[6]]) == ["good", "good again"]


@case
def errors_as_they_are_on_the_wire(door, log):
    bad = simple_request(id="parameter")
    bad.parameters["u"].uint64_param = 1
    requests = [
        simple_request(id="unknown", model_name="no-such-model"),
        bad,
        simple_request(id="good"),
        simple_request(id="", model_name="no-such-model"),
    ]
    with door.stub() as stub:
        call = stub.ModelStreamInfer(iter(requests), metadata=door.metadata, timeout=20)
        log.add("answers", list(call))
        log.add("status", [call.code().name, call.details(), sorted(call.trailing_metadata())])
        log.add("initial", sorted(call.initial_metadata()))


@case
def decoupled(door, log):
    with stream(door) as (client, answers):
        client.async_stream_infer("repeat_int32", repeat([4, 5, 6]), request_id="three")
        three = log.add("three", answers.take(3))
        assert [int(answer.as_numpy("OUT")[0]) for answer in three] == [4, 5, 6]
        client.async_stream_infer("repeat_int32", repeat([]), request_id="none")
        client.async_stream_infer("repeat_int32", repeat([7]), request_id="one", model_version="1")
        client.stop_stream()
        log.add("rest", answers.rest())


@case
def decoupled_with_empty_final(door, log):
    with stream(door) as (client, answers):
        for name, values, version in (("two", [1, 2], ""), ("none", [], ""), ("version", [3], "1")):
            client.async_stream_infer(
                "repeat_int32",
                repeat(values),
                request_id=name,
                model_version=version,
                enable_empty_final_response=True,
            )
            got = log.add(name, answers.take(len(values) + 1))
            assert got[-1].get_response().parameters["triton_final_response"].bool_param
        client.stop_stream()
        log.add("rest", answers.rest())


@case
def decoupled_interleaved(door, log):
    with stream(door) as (client, answers):
        for name in ("a", "b", "c"):
            client.async_stream_infer("repeat_int32", repeat(range(10), delay=5), request_id=name)
        client.stop_stream()
        log.add("answers", by_id(answers.rest()))


@case
def decoupled_error(door, log):
    with stream(door) as (client, answers):
        for final in (True, False):
            client.async_stream_infer(
                "fails_decoupled", [ints("BEFORE", 2)], request_id="e", enable_empty_final_response=final
            )
            log.add(f"final {final}", answers.take(3 + final))
        client.async_stream_infer("repeat_int32", repeat([1]), request_id="after")
        client.stop_stream()
        log.add("rest", answers.rest())


@case
def half_close_lets_the_rest_finish(door, log):
    with stream(door) as (client, answers):
        client.async_stream_infer("repeat_int32", repeat(range(20), delay=25), request_id="slow")
        client.stop_stream()
        got = log.add("answers", answers.rest())
        assert len(got) == 20


@case
def cancel_stops_the_model(door, log):
    with door.client() as observer:
        before = cancelled(observer)
        with stream(door) as (client, answers):
            client.async_stream_infer("slow", slow(10_000))
            until(lambda: busy(observer), "the model is at work")
            client.stop_stream(cancel_requests=True)
            log.add("told", [status_of(error) for error in answers.rest()])
        log.add("cancelled", cancelled(observer) - before)
        assert cancelled(observer) == before + 1


def cancelled(client):
    """How many requests the model slow has seen cancelled; waits until it is free."""
    answer = client.infer("slow", slow(0), client_timeout=20)
    return int(answer.as_numpy("CANCELLED")[0])


def busy(client):
    """Whether the model slow is at work: it takes one request at a time."""
    waiting = outcome(client.infer, "slow", slow(0), client_timeout=0.3)
    return isinstance(waiting, InferenceServerException)


@case
def stream_deadline(door, log):
    with door.client() as observer:
        before = cancelled(observer)
        with stream(door, stream_timeout=0.5) as (client, answers):
            client.async_stream_infer("slow", slow(10_000))
            log.add("deadline", answers.take(1))
            client.stop_stream()
        log.add("cancelled", cancelled(observer) - before)


@case
def errors_asked_for_as_status(door, log):
    # Only for errors of a model does this header end the stream, and then
    # Triton 2.51 dies of it now and again (SIGSEGV, with any model): here it is
    # shown that the other errors stay messages.
    with stream(door, headers={"triton_grpc_error": "true"}) as (client, answers):
        client.async_stream_infer("simple", simple()[:1], request_id="one input")
        log.add("refused", answers.take(1))
        client.async_stream_infer("simple", simple(), request_id="good")
        log.add("answered", answers.take(1))


@case
def compressed_stream(door, log):
    for algorithm in ("gzip", "deflate"):
        with stream(door, compression_algorithm=algorithm) as (client, answers):
            client.async_stream_infer("simple", simple(), request_id=algorithm)
            client.async_stream_infer("simple_identity", [texts("INPUT0", b"x" * 10_000)])
            client.stop_stream()
            assert len(log.add(algorithm, answers.rest())) == 2


@case
def large_stream_messages(door, log):
    values = np.arange(2_000_000, dtype=np.float32).reshape(1, -1)
    with stream(door) as (client, answers):
        for _ in range(3):
            client.async_stream_infer("identity_fp32", [tensor("INPUT0", values)])
        client.stop_stream()
        got = answers.rest()
        assert all((answer.as_numpy("OUTPUT0") == values).all() for answer in got)
        log.add("answers", len(got))


@case
def empty_stream(door, log):
    with door.stub() as stub:
        call = stub.ModelStreamInfer(iter([]), metadata=door.metadata, timeout=10)
        log.add("answers", list(call))
        log.add("status", call.code().name)
