"""ModelStatistics of one model and of all."""

from cases import case
from cases.repository import unload
from cases.tensors import simple
from harness.transcript import outcome, status_of


def without_timings(statistics):
    """Leaves the counts and takes out what a clock says."""
    statistics.last_inference = 0
    groups = [
        statistics.inference_stats,
        *statistics.batch_stats,
        *statistics.response_stats.values(),
    ]
    for group in groups:
        for field, value in group.ListFields():
            if field.name != "batch_size":
                value.ns = 0
    return statistics


@case
def statistics_of_one(door, log):
    with door.client() as client:
        # Loading begins the counts anew, whatever other cases did before.
        client.load_model("idle")
        for _batch in ((1, 16), (1, 16)):
            client.infer("idle", simple())
        outcome(client.infer, "idle", simple()[:1])
        stats = client.get_inference_statistics("idle")
        assert [s.inference_count for s in stats.model_stats] == [2]
        log.add("counts", [without_timings(s) for s in stats.model_stats])
        versioned = client.get_inference_statistics("idle", "1")
        log.add("version 1", [without_timings(s) for s in versioned.model_stats])
        assert client.get_inference_statistics("idle", as_json=True)["model_stats"]
        log.call("version 2", client.get_inference_statistics, "idle", "2")
        unload(client, "idle")
        log.call("unloaded", client.get_inference_statistics, "idle")
        error = log.call("unknown", client.get_inference_statistics, "no-such-model")
        assert status_of(error) == "INVALID_ARGUMENT"


@case
def statistics_of_all(door, log):
    with door.client() as client:
        client.infer("simple", simple())
        stats = client.get_inference_statistics().model_stats
        # Counts go on from case to case; the rows' order is the gateway's.
        rows = sorted((s.name, s.version) for s in stats)
        assert ("simple", "1") in log.add("rows", rows)
        assert next(s.inference_count for s in stats if s.name == "simple") > 0
