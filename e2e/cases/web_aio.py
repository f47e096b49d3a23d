"""Every call of tritonclient.http.aio."""

import asyncio
import json

import numpy as np
import tritonclient.http as triton

from cases import case
from cases.memory import PREFIX, SIZE, region
from cases.web_client import seen, settled, simple, tensor, without_prefix
from harness.transcript import outcome
from tritonclient.utils import InferenceServerException


def talking(talk):
    """Makes a case of a coroutine that talks to a client."""

    def run(door, log):
        async def main():
            async with door.aio_client() as client:
                await talk(door, log, client)

        asyncio.run(main())

    run.__name__, run.__module__ = talk.__name__, talk.__module__
    return case(run)


async def said(log, what, call):
    try:
        return log.add(what, await call)
    except InferenceServerException as error:
        return log.add(what, error)


async def result(call):
    return seen(await call)


@talking
async def health_and_metadata(door, log, client):
    await said(log, "live", client.is_server_live())
    await said(log, "ready", client.is_server_ready())
    await said(log, "model", client.is_model_ready("simple"))
    await said(log, "no model", client.is_model_ready("nope"))
    await said(log, "server", client.get_server_metadata())
    await said(log, "metadata", client.get_model_metadata("simple"))
    await said(log, "of none", client.get_model_metadata("nope"))
    await said(log, "config", client.get_model_config("simple"))
    statistics = await client.get_inference_statistics("simple")
    log.add("statistics", sorted(statistics["model_stats"][0]))


@talking
async def infers(door, log, client):
    for binary in (True, False):
        wanted = [triton.InferRequestedOutput("OUTPUT0", binary_data=binary)]
        await said(log, f"{binary}", result(client.infer("simple", simple(binary), outputs=wanted)))
    many = [result(client.infer("simple", simple(), request_id=str(n))) for n in range(8)]
    log.add("at once", await asyncio.gather(*many))
    for algorithm in ("gzip", "deflate"):
        call = client.infer(
            "simple", simple(), request_compression_algorithm=algorithm, response_compression_algorithm=algorithm
        )
        await said(log, algorithm, result(call))
    await said(log, "no model", client.infer("nope", simple()))
    await said(log, "one input", client.infer("simple", simple()[:1]))
    one = [tensor("IGNORED", np.array([1], dtype=np.int32))]
    await said(log, "parameters", result(client.infer("parameters", one, parameters={"a": 1})))


@talking
async def bodies_by_hand(door, log, client):
    body, length = client.generate_request_body(simple(False))
    assert length is None and json.loads(body)["inputs"]
    got = door.ask("POST", "/v2/models/simple/infer", body)
    said_length = int(got.headers["inference-header-content-length"])
    log.add("answer", client.parse_response_body(got.body, header_length=said_length).get_response())


@talking
async def settings(door, log, client):
    before = await said(log, "trace", client.get_trace_settings())
    await said(log, "changed", client.update_trace_settings(settings={"trace_rate": "75"}))
    await said(log, "back", client.update_trace_settings(settings={"trace_rate": before["trace_rate"]}))
    await said(log, "log", client.get_log_settings())
    await said(log, "log changed", client.update_log_settings({"log_verbose_level": 0}))


@talking
async def repository(door, log, client):
    log.add("index", settled(await client.get_model_repository_index()))
    await said(log, "load", client.load_model("idle"))
    await said(log, "infer", result(client.infer("idle", simple())))
    await said(log, "unload", client.unload_model("idle"))
    while await client.is_model_ready("idle"):
        await asyncio.sleep(0.02)
    await said(log, "no model", client.load_model("nope"))


@talking
async def shared_memory(door, log, client):
    with region("webaio"):
        await said(log, "register", client.register_system_shared_memory("webaio", PREFIX + "webaio", SIZE))
        log.add("status", without_prefix(await client.get_system_shared_memory_status("webaio")))
        await said(log, "unregister", client.unregister_system_shared_memory("webaio"))
        await said(log, "cuda", client.get_cuda_shared_memory_status())
        await said(log, "cuda register", client.register_cuda_shared_memory("webaio", b"QUJD", 0, 64))
        await said(log, "cuda unregister", client.unregister_cuda_shared_memory())


@case
def opens_and_closes(door, log):
    async def main():
        client = door.aio_client()
        log.add("live", await client.is_server_live())
        await client.close()

    log.add("closed", outcome(lambda: asyncio.run(main())))
