"""async_infer with its cancellation, deadlines, and the asyncio client."""

import asyncio
import threading

import numpy as np

from cases import case
from cases.streams import Answers, busy, cancelled
from cases.tensors import LEFT, RIGHT, repeat, simple, slow
from harness.process import until
from harness.transcript import outcome, status_of


@case
def async_infer(door, log):
    answers = Answers()
    with door.client() as client:
        for number in range(20):
            inputs = simple(left=np.full((1, 16), number, np.int32))
            client.async_infer("simple", inputs, answers, request_id=f"{number:02}")
        got = sorted(answers.take(20), key=lambda answer: answer.get_response().id)
        log.add("answers", got)
        client.async_infer("no-such-model", simple(), answers)
        log.add("error", answers.take(1))


@case
def async_infer_cancelled(door, log):
    answers = Answers()
    with door.client() as client:
        before = cancelled(client)
        call = client.async_infer("slow", slow(10_000), answers)
        until(lambda: busy(client), "the model is at work")
        call.cancel()
        log.add("told", answers.take(1))
        log.add("cancelled", cancelled(client) - before)
        assert cancelled(client) == before + 1


@case
def client_deadline(door, log):
    with door.client() as client:
        before = cancelled(client)
        error = log.call("infer", client.infer, "slow", slow(10_000), client_timeout=0.3)
        assert status_of(error) == "DEADLINE_EXCEEDED"
        log.add("cancelled", cancelled(client) - before)
        assert cancelled(client) == before + 1
        log.call("in time", client.is_server_live, client_timeout=10)


@case
def asyncio_client(door, log):
    async def talk():
        async with door.aio_client() as client:
            log.add("live", await client.is_server_live())
            log.add("model ready", await client.is_model_ready("simple"))
            log.add("server ready", await client.is_server_ready())
            log.add("metadata", await client.get_model_metadata("simple"))
            log.add("config", await client.get_model_config("simple", as_json=True))
            log.add("trace", await client.get_trace_settings("simple"))
            log.add("log", await client.get_log_settings())
            log.add("regions", await client.get_system_shared_memory_status())
            log.add("cuda regions", await client.get_cuda_shared_memory_status())
            log.add("load", await errors_of(client.load_model("no-such-model")))
            log.add("unload", await client.unload_model("no-such-model"))
            assert (await client.get_model_repository_index()).models
            assert (await client.get_inference_statistics("simple")).model_stats
            results = await asyncio.gather(
                *(client.infer("simple", simple(), request_id=f"aio-{n}") for n in range(10))
            )
            log.add("gathered", results)
            assert all((result.as_numpy("OUTPUT0") == LEFT + RIGHT).all() for result in results)
            compressed = await client.infer("simple", simple(), compression_algorithm="deflate")
            log.add("deflate", compressed)
            log.add("unknown", await errors_of(client.infer("no-such-model", simple())))
            log.add("deadline", await errors_of(client.infer("slow", slow(10_000), client_timeout=0.3)))

    asyncio.run(talk())


async def errors_of(call):
    """outcome() for something to be awaited."""
    try:
        value = await call
    except Exception as error:  # put through outcome, which sorts it out.
        return outcome(raise_, error)
    return value


def raise_(error):
    raise error


@case
def asyncio_stream(door, log):
    async def requests():
        for number in range(5):
            yield {"model_name": "simple", "inputs": simple(), "request_id": str(number)}
        yield {"model_name": "no-such-model", "inputs": simple(), "request_id": "unknown"}

    async def repeated():
        yield {"model_name": "repeat_int32", "inputs": repeat([8, 9]), "request_id": "repeat"}

    async def talk(about):
        async with door.aio_client() as client:
            return [error or result async for result, error in client.stream_infer(about())]

    assert len(log.add("answers", asyncio.run(talk(requests)))) == 6
    assert len(log.add("decoupled", asyncio.run(talk(repeated)))) == 2


@case
def asyncio_stream_cancelled(door, log):
    async def one_slow_request():
        yield {"model_name": "slow", "inputs": slow(10_000)}
        await asyncio.sleep(10)

    async def talk():
        async with door.aio_client() as client:
            answers = client.stream_infer(one_slow_request())
            reading = asyncio.ensure_future(anext(aiter(answers)))
            await asyncio.wait([reading], timeout=0.3)
            log.add("cancelled", answers.cancel())
            try:
                await reading
            except asyncio.CancelledError:
                log.add("told", "cancelled")

    with door.client() as client:
        before = cancelled(client)
        asyncio.run(talk())
        log.add("seen by the model", cancelled(client) - before)
        assert cancelled(client) == before + 1


@case
def many_threads_one_client(door, log):
    results = []
    with door.client() as client:

        def work(number):
            left = np.full((1, 16), number, np.int32)
            for _ in range(10):
                answer = client.infer("simple", simple(left=left), client_timeout=30)
                results.append((answer.as_numpy("OUTPUT0") == left + RIGHT).all())

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert log.add("answers", [len(results), all(map(bool, results))]) == [80, True]
