"""Every call of tritonclient.http."""

import json

import numpy as np
import tritonclient.http as triton
import tritonclient.utils.shared_memory as shm
from tritonclient.utils import InferenceServerException

from cases import case
from cases.infer import EDGES
from cases.memory import PREFIX, SIZE, region
from cases.repository import CODE, CONFIG
from cases.tensors import LEFT, RIGHT
from harness.process import until


def tensor(name, values, datatype=None, binary=True):
    made = triton.InferInput(name, list(values.shape), datatype or triton.np_to_triton_dtype(values.dtype))
    made.set_data_from_numpy(values, binary_data=binary)
    return made


def simple(binary=True):
    return [tensor("INPUT0", LEFT, binary=binary), tensor("INPUT1", RIGHT, binary=binary)]


def seen(result):
    """All that a client sees of an answer."""
    said = result.get_response()
    return said, {o["name"]: result.as_numpy(o["name"]) for o in said["outputs"]}


def infer(client, *args, **options):
    return seen(client.infer(*args, **options))


@case
def health_and_metadata(door, log):
    with door.client() as client:
        assert log.call("live", client.is_server_live)
        assert log.call("ready", client.is_server_ready)
        assert log.call("model", client.is_model_ready, "simple")
        log.call("version", client.is_model_ready, "simple", "1")
        assert not log.call("no model", client.is_model_ready, "nope")
        log.call("server", client.get_server_metadata)
        log.call("metadata", client.get_model_metadata, "every_type")
        log.call("of a version", client.get_model_metadata, "simple", "1")
        log.call("of none", client.get_model_metadata, "nope")
        log.call("of no version", client.get_model_metadata, "simple", "9")
        log.call("with a query", client.get_model_metadata, "simple", query_params={"a": 1})
        for model in ("simple", "every_type", "repeat_int32", "accumulator", "tokens"):
            log.call(f"config of {model}", client.get_model_config, model)
        log.call("config of none", client.get_model_config, "nope", "1")


@case
def statistics(door, log):
    with door.client() as client:
        client.infer("simple", simple())
        one = client.get_inference_statistics("simple")["model_stats"][0]
        assert one["inference_stats"]["success"]["count"] > 0
        log.add("keys", json.dumps(shape_of(one)))
        of_all = client.get_inference_statistics()["model_stats"]
        log.add("models", [row["name"] for row in of_all])
        log.call("of none", client.get_inference_statistics, "nope")
        log.add("of a version", client.get_inference_statistics("simple", "1")["model_stats"][0]["version"])


def shape_of(value):
    """A document's keys, in their order, without its numbers."""
    if isinstance(value, dict):
        return {key: shape_of(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape_of(inner) for inner in value[:1]]
    return type(value).__name__


@case
def infer_forms(door, log):
    with door.client() as client:
        for binary_in in (True, False):
            for wanted in (None, (True, True), (True, False), (False, False)):
                outputs = wanted and [
                    triton.InferRequestedOutput(f"OUTPUT{i}", binary_data=b) for i, b in enumerate(wanted)
                ]
                got = log.call(f"{binary_in} {wanted}", infer, client, "simple", simple(binary_in), outputs=outputs)
                assert (got[1]["OUTPUT0"] == LEFT + RIGHT).all()
        mixed = [simple(False)[0], simple(True)[1]]
        log.call("mixed", infer, client, "simple", mixed, request_id="an id")
        log.call("of a version", infer, client, "simple", simple(), model_version="1")


@case
def every_type(door, log):
    with door.client() as client:
        for datatype, values in EDGES.items():
            name = f"INPUT_{datatype}"
            for binary in (True, False):
                try:
                    asked = [tensor(name, values, datatype, binary)]
                except (InferenceServerException, UnicodeDecodeError) as error:
                    log.add(f"{datatype} {binary} is refused by the client", type(error).__name__)
                    continue
                log.call(f"{datatype} {binary}", infer, client, "every_type", asked)
                wanted = [triton.InferRequestedOutput(f"OUTPUT_{datatype}", binary_data=False)]
                log.call(f"{datatype} {binary} as JSON", infer, client, "every_type", asked, outputs=wanted)


@case
def options(door, log):
    scores = np.array([[0.25, 9.5, -1, 3]], dtype=np.float32)
    with door.client() as client:
        for binary in (True, False):
            wanted = [triton.InferRequestedOutput("OUTPUT0", binary_data=binary, class_count=2)]
            log.call(f"classes {binary}", infer, client, "labelled", [tensor("INPUT0", scores)], outputs=wanted)
        seen_by_model = [tensor("IGNORED", np.array([1], dtype=np.int32))]
        parameters = {"text": "a", "yes": True, "no": False, "number": -5, "fraction": 0.25, "large": 2**53 + 1}
        log.call("parameters", infer, client, "parameters", seen_by_model, parameters=parameters)
        log.call("priority", infer, client, "parameters", seen_by_model, priority=2, timeout=5_000_000)
        for step, flags in enumerate(({"sequence_start": True}, {}, {"sequence_end": True})):
            step_of = [tensor("INPUT", np.array([[step + 1]], dtype=np.int32))]
            log.call(f"sequence {step}", infer, client, "accumulator", step_of, sequence_id=77, **flags)
        log.call("sequence by name", infer, client, "accumulator", step_of, sequence_id="s", sequence_start=True, sequence_end=True)


@case
def compression(door, log):
    with door.client() as client:
        for asked in (None, "gzip", "deflate"):
            for answered in (None, "gzip", "deflate"):
                got = log.call(
                    f"{asked} {answered}",
                    infer,
                    client,
                    "simple",
                    simple(asked != "gzip"),
                    request_compression_algorithm=asked,
                    response_compression_algorithm=answered,
                )
                assert (got[1]["OUTPUT0"] == LEFT + RIGHT).all()


@case
def large_bodies(door, log):
    numbers = np.arange(3_000_000, dtype=np.float32).reshape(1, -1)
    with door.client() as client:
        for binary in (True, False):
            asked = [tensor("INPUT0", numbers if binary else numbers[:, :200_000], binary=binary)]
            wanted = [triton.InferRequestedOutput("OUTPUT0", binary_data=binary)]
            got = infer(client, "identity_fp32", asked, outputs=wanted)
            assert (got[1]["OUTPUT0"] == (numbers if binary else numbers[:, :200_000])).all()
            log.add(f"{binary}", got[1]["OUTPUT0"].shape)


@case
def mistakes(door, log):
    with door.client() as client:
        log.call("no model", infer, client, "nope", simple())
        log.call("no version", infer, client, "simple", simple(), model_version="9")
        log.call("one input", infer, client, "simple", simple()[:1])
        log.call("another name", infer, client, "simple", [tensor("X", LEFT), simple()[1]])
        log.call("another type", infer, client, "simple", [tensor("INPUT0", LEFT.astype(np.float32)), simple()[1]])
        log.call("another shape", infer, client, "simple", [tensor("INPUT0", LEFT[:, :8]), simple()[1]])
        log.call("another output", infer, client, "simple", simple(), outputs=[triton.InferRequestedOutput("X")])
        log.call("decoupled", infer, client, "repeat_int32", [tensor("IN", np.array([1], dtype=np.int32))])
        for kind in (b"invalid", b"exception"):
            asked = [tensor("KIND", np.array([kind], dtype=np.object_), "BYTES")]
            log.add(kind.decode(), status_and_end(client, asked))


def status_and_end(client, asked):
    """An error of a model, whose text may hold the place in its code."""
    try:
        return client.infer("fails", asked)
    except InferenceServerException as error:
        return error.status(), error.message().strip().splitlines()[-1]


@case
def async_infer(door, log):
    with door.client(concurrency=4) as client:
        waiting = [client.async_infer("simple", simple(), request_id=f"{n}") for n in range(8)]
        log.add("answers", [seen(w.get_result()) for w in waiting])


@case
def bodies_by_hand(door, log):
    body, length = triton.InferenceServerClient.generate_request_body(simple(), request_id="by hand")
    headers = {"Inference-Header-Content-Length": str(length)}
    got = door.ask("POST", "/v2/models/simple/infer", body, headers)
    said = int(got.headers["inference-header-content-length"])
    log.add("answer", seen(triton.InferenceServerClient.parse_response_body(got.body, header_length=said)))


@case
def settings(door, log):
    with door.client() as client:
        before = log.call("trace", client.get_trace_settings)
        log.call("changed", client.update_trace_settings, settings={"trace_rate": "77", "trace_level": ["TIMESTAMPS"]})
        log.call("of a model", client.update_trace_settings, "simple", {"trace_rate": "78"})
        log.call("read of a model", client.get_trace_settings, "simple")
        log.call("cleared", client.update_trace_settings, "simple", {"trace_rate": None})
        log.call("of no model", client.get_trace_settings, "nope")
        log.call("a wrong one", client.update_trace_settings, settings={"trace_rate": "x"})
        back = {"trace_rate": before["trace_rate"], "trace_level": before["trace_level"]}
        log.call("back", client.update_trace_settings, settings=back)
        log.call("log", client.get_log_settings)
        log.call("louder", client.update_log_settings, {"log_verbose_level": 1, "log_info": True})
        log.call("quieter", client.update_log_settings, {"log_verbose_level": 0})
        log.call("a wrong file", client.update_log_settings, {"log_file": "x"})


def settled(index):
    """The models of an index that no case loads or unloads."""
    return [row for row in index if row["name"] not in ("idle", "pushed_by_http", "pushed")]


@case
def repository(door, log):
    with door.client() as client:
        log.add("index", settled(client.get_model_repository_index()))
        log.call("load", client.load_model, "idle")
        log.call("infer", infer, client, "idle", simple())
        log.call("unload", client.unload_model, "idle")
        until(lambda: not client.is_model_ready("idle"), "idle is unloaded")
        log.call("infer after", infer, client, "idle", simple())
        log.call("unload again", client.unload_model, "idle", unload_dependents=True)
        log.call("no model", client.load_model, "nope")
        log.call("a bad config", client.load_model, "idle", config="{")


@case
def load_with_files(door, log):
    with door.client() as client:
        files = {"file:1/model.py": CODE}
        log.call("load", client.load_model, "pushed_by_http", config=json.dumps(CONFIG), files=files)
        got = log.call("infer", infer, client, "pushed_by_http", [tensor("IN", np.array([1], dtype=np.int32))])
        assert got[1]["ANSWER"][0] == 42
        client.unload_model("pushed_by_http")
        until(lambda: not client.is_model_ready("pushed_by_http"), "it is unloaded")


@case
def shared_memory(door, log):
    with door.client() as client, region("web") as handle:
        shm.set_shared_memory_region(handle, [LEFT])
        log.call("register", client.register_system_shared_memory, "web", PREFIX + "web", 2 * SIZE)
        log.add("status", without_prefix(client.get_system_shared_memory_status("web")))
        log.add("all", without_prefix(client.get_system_shared_memory_status()))
        placed = triton.InferInput("INPUT0", [1, 16], "INT32")
        placed.set_shared_memory("web", SIZE)
        out = triton.InferRequestedOutput("OUTPUT0", binary_data=False)
        out.set_shared_memory("web", SIZE, SIZE)
        wanted = [out, triton.InferRequestedOutput("OUTPUT1", binary_data=False)]
        log.call("infer", lambda: client.infer("simple", [placed, simple()[1]], outputs=wanted).get_response())
        assert (shm.get_contents_as_numpy(handle, np.int32, [1, 16], offset=SIZE) == LEFT + RIGHT).all()
        log.call("again", client.register_system_shared_memory, "web", PREFIX + "web", SIZE)
        until(lambda: unregistered(client), "it is unregistered")
        log.call("status of none", client.get_system_shared_memory_status, "web")
        log.call("cuda", client.get_cuda_shared_memory_status)
        log.call("cuda of none", client.get_cuda_shared_memory_status, "web")
        log.call("cuda register", client.register_cuda_shared_memory, "web", b"QUJD", 0, 64)
        log.call("cuda unregister", client.unregister_cuda_shared_memory)


def unregistered(client):
    try:
        client.unregister_system_shared_memory("web")
    except InferenceServerException as error:
        # Triton may not have let go of the last request yet.
        if "Failed to unregister" not in error.message():
            raise
        return False
    return True


def without_prefix(regions):
    return [{**r, "key": r["key"].removeprefix(PREFIX)} for r in regions]


@case
def connection_is_kept_and_closed(door, log):
    client = door.client()
    for _ in range(3):
        log.call("live", client.is_server_live)
    client.close()
