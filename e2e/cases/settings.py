"""Trace and log settings, read and changed."""

from tritonclient.grpc import service_pb2

from cases import case
from harness.transcript import status_of


@case
def trace_settings(door, log):
    with door.client() as client:
        log.call("global", client.get_trace_settings)
        log.call("of a model", client.get_trace_settings, "simple")
        log.call("unknown model", client.get_trace_settings, "no-such-model")
        log.call("as json", client.get_trace_settings, as_json=True)
        log.call("change", client.update_trace_settings, settings={"trace_rate": "7", "log_frequency": "3"})
        log.call("of one model", client.update_trace_settings, "simple", {"trace_count": "5"})
        log.call("inherited", client.get_trace_settings, "simple")
        log.call("list", client.update_trace_settings, "simple", {"trace_level": ["TIMESTAMPS", "TENSORS"]})
        log.call("back of a model", client.update_trace_settings, "simple", CLEARED)
        log.call("back", client.update_trace_settings, settings={**CLEARED, "trace_level": ["OFF"]})
        log.call("after", client.get_trace_settings, "simple")
        log.call("unknown key", client.update_trace_settings, settings={"no_such_key": "1"})
        log.call("wrong value", client.update_trace_settings, settings={"trace_rate": "often"})
        log.call("wrong level", client.update_trace_settings, settings={"trace_level": ["LOUD"]})
        log.call("file", client.update_trace_settings, settings={"trace_file": "/tmp/no"})
        unknown = log.call("of unknown", client.update_trace_settings, "no-such-model", {"trace_rate": "1"})
        assert status_of(unknown) == "INVALID_ARGUMENT"


# None tells tritonclient to clear a setting.
CLEARED = {"trace_level": None, "trace_rate": None, "trace_count": None, "log_frequency": None}


@case
def log_settings(door, log):
    with door.client() as client:
        before = log.call("all", client.get_log_settings)
        log.call("as json", client.get_log_settings, as_json=True)
        log.call("change", client.update_log_settings, {"log_verbose_level": 1, "log_format": "ISO8601"})
        log.call("flag", client.update_log_settings, {"log_warning": False})
        settings = {"log_verbose_level": 0, "log_format": "default", "log_warning": True}
        after = log.call("back", client.update_log_settings, settings)
        assert before == after
        log.call("unknown key", client.update_log_settings, {"no_such_key": 1})
        file = log.call("file", client.update_log_settings, {"log_file": "/tmp/no"})
        assert status_of(file) == "UNIMPLEMENTED"
    with door.stub() as stub:
        request = service_pb2.LogSettingsRequest()
        request.settings["log_info"].string_param = "yes"
        log.call("wrong type", stub.LogSettings, request, metadata=door.metadata, timeout=10)
