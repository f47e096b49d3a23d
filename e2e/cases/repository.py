"""Index, load and unload: plain, with a configuration, with files."""

import base64
import json

from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

from cases import case
from cases.tensors import ints, simple
from harness.process import until
from harness.transcript import outcome, status_of

# A model that is nowhere but in the request that loads it.
CODE = b"""
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        answer = pb_utils.Tensor("ANSWER", np.array([42], dtype=np.int32))
        return [pb_utils.InferenceResponse([answer]) for _ in requests]
"""
CONFIG = {
    "backend": "python",
    "max_batch_size": 0,
    "input": [{"name": "IN", "data_type": "TYPE_INT32", "dims": [1]}],
    "output": [{"name": "ANSWER", "data_type": "TYPE_INT32", "dims": [1]}],
    "instance_group": [{"kind": "KIND_CPU"}],
}


def unload(client, name):
    """Unloads and waits until it is done: Triton answers before that."""
    client.unload_model(name)
    until(lambda: not client.is_model_ready(name), f"{name} is unloaded")
    until(lambda: state(client, name) != "UNLOADING", f"{name} is gone")


def state(client, name):
    rows = client.get_model_repository_index().models
    return next((row.state for row in rows if row.name == name), "")


def index(log, what, answer):
    # The order of the rows is the gateway's.
    rows = sorted(answer.models, key=lambda row: (row.name, row.version))
    return log.add(what, rows)


@case
def repository_index(door, log):
    with door.client() as client, door.stub() as stub:
        rows = index(log, "all", client.get_model_repository_index())
        assert {"simple", "idle"} <= {row.name for row in rows}
        assert client.get_model_repository_index(as_json=True)["models"]
        ready = stub.RepositoryIndex(service_pb2.RepositoryIndexRequest(ready=True), metadata=door.metadata, timeout=10)
        rows = index(log, "ready", ready)
        assert {row.state for row in rows} == {"READY"}


@case
def load_and_unload(door, log):
    with door.client() as client:
        log.call("load", client.load_model, "idle")
        assert log.call("ready", client.is_model_ready, "idle")
        log.call("infer", client.infer, "idle", simple())
        log.call("load again", client.load_model, "idle")
        log.call("unload", unload, client, "idle")
        error = log.call("infer after", client.infer, "idle", simple())
        assert status_of(error) == "NOT_FOUND"
        index(log, "index", client.get_model_repository_index())
        log.call("unload again", client.unload_model, "idle")
        log.call("with dependents", client.unload_model, "idle", unload_dependents=True)


@case
def load_with_config(door, log):
    with door.client() as client:
        override = {**client.get_model_config("prod-simple", as_json=True)["config"], "max_batch_size": 2}
        log.call("load", client.load_model, "idle", config=json.dumps(override | {"name": "idle"}))
        config = log.call("config", client.get_model_config, "idle").config
        assert config.max_batch_size == 2
        log.call("broken", client.load_model, "idle", config="{ not json")
        log.call("not a config", client.load_model, "idle", config='{"no_such_key": 1}')
        unload(client, "idle")


@case
def load_with_files(door, log):
    with door.client() as client:
        files = {"file:1/model.py": CODE}
        log.call("load", client.load_model, "pushed", config=json.dumps(CONFIG), files=files)
        answer = log.call("infer", client.infer, "pushed", [ints("IN", 1)])
        assert answer.as_numpy("ANSWER").tolist() == [42]
        log.call("config", client.get_model_config, "pushed")
        unload(client, "pushed")
        log.call("without config", client.load_model, "pushed", files=files)


@case
def load_failures(door, log):
    with door.client() as client:
        error = log.call("unknown", client.load_model, "no-such-model")
        assert status_of(error) == "INTERNAL"
        log.call("unload unknown", client.unload_model, "no-such-model")
        broken = outcome(client.load_model, "fails_to_load")
        assert isinstance(broken, InferenceServerException)
        # The text has a traceback with paths of that run.
        log.add("fails", [broken.status(), broken.message()[:60]])
        # A failed load leaves the server unready until the model does load.
        files = {"file:1/model.py": CODE}
        client.load_model("fails_to_load", config=json.dumps(CONFIG), files=files)
        unload(client, "fails_to_load")
        assert log.call("ready again", client.is_server_ready)


@case
def load_parameters(door, log):
    with door.stub() as stub:

        def load(what, key, **value):
            request = service_pb2.RepositoryModelLoadRequest(model_name="idle")
            for field, content in value.items():
                setattr(request.parameters[key], field, content)
            log.call(what, stub.RepositoryModelLoad, request, metadata=door.metadata, timeout=30)

        load("unknown key", "k", string_param="v")
        load("config as bytes", "config", bytes_param=b"{}")
        load("file as text", "file:1/model.py", string_param=base64.b64encode(CODE).decode())
