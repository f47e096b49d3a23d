"""The audit log of `sluice demo`: what an unchanged tritonclient did is found, replayed, exported and proven."""

import csv
import json
import re

import numpy as np
import pytest

from cases.streams import Answers
from cases.tensors import simple, tensor, texts
from harness.demo import Demo
from harness.process import until
from harness.refusal import refused
from harness.sluice import command

SEEDED = re.compile(r"jane\.doe@example\.com|4111 ?1111|536-90-4399")

# What OCSF 1.6.0 requires of an API Activity (class 6003) and of its objects, and
# of which attributes it wants one at least.
REQUIRED = {
    (): {"activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid", "actor", "api", "src_endpoint"},
    ("metadata",): {"product", "version"},
    ("api",): {"operation"},
}
ONE_OF = {
    ("actor",): {"process", "user", "invoked_by", "session", "app_name", "app_uid"},
    ("src_endpoint",): {"ip", "uid", "name", "hostname", "svc_name"},
    ("metadata", "product"): {"name", "uid"},
}


@pytest.fixture
def demo(tmp_path):
    """A demo of one's own, whose files stay."""
    server = Demo(tmp_path, data=tmp_path / "data")
    try:
        yield server.start()
    finally:
        server.stop()


def ran(answer, code=0):
    assert answer.returncode == code, f"{answer.returncode}: {answer.stdout}{answer.stderr}"
    return answer.stdout


def audit(demo, *words, code=0):
    """Runs a sluice audit command as alice, who is an auditor."""
    return ran(demo.sluice("alice", "audit", *words), code)


def found(demo, *query):
    return json.loads(audit(demo, "search", *query, "--output", "json"))


def told(record):
    """A record in few words."""
    fields = record["fields"]
    names = ("user.name", "sluice.verb", "gen_ai.request.model", "sluice.verdict", "id")
    return " ".join(fields.get(name, "-") for name in names)


def say(demo, name, request_id):
    """Has somebody ask for a stream of tokens, and returns the answers."""
    answers = Answers()
    with demo.door().showing(demo.token(name)).client() as client:
        client.start_stream(answers)
        inputs = [texts("text_input", b"read it back", shape=(1,)), tensor("stream", np.array([True]))]
        client.async_stream_infer("tokens", inputs, request_id=request_id)
        client.stop_stream()
    return answers.rest()


def calls(demo):
    """Calls of alice, bob and ci, allowed and refused, and what has to be found of them."""
    for name in ("alice", "bob", "ci"):
        with demo.door().showing(demo.token(name)).client() as client:
            client.infer("simple", simple(), request_id=f"{name}-1")
            if name == "ci":
                refused("PERMISSION_DENIED", client.infer, "simple_string", simple(), request_id="ci-2")
            if name == "bob":
                refused("PERMISSION_DENIED", client.load_model, "simple")
            if name == "alice":
                client.unload_model("simple_string")
                client.load_model("simple_string")
    assert len(say(demo, "bob", "bob-2")) >= 40
    return {
        "alice infer simple allowed alice-1",
        "alice unload simple_string allowed -",
        "alice load simple_string allowed -",
        "bob infer simple allowed bob-1",
        "bob load simple denied -",
        "bob infer tokens allowed bob-2",
        "ci infer simple allowed ci-1",
        "ci infer simple_string denied ci-2",
    }


def wait_for(demo, want):
    """Waits until all that is wanted is in the log."""
    missing = set()

    def all_there():
        missing.clear()
        missing.update(want - {told(record) for record in found(demo, "--limit", "1000")})
        return not missing

    try:
        until(all_there, "every call is in the log", seconds=60)
    except AssertionError as problem:
        problem.add_note(f"missing: {missing}")
        raise


def test_every_call_is_found(demo):
    want = calls(demo)

    wait_for(demo, want)
    for name in ("alice", "bob", "ci"):
        records = [told(r) for r in found(demo, "--principal", name, "--kind", "call,message")]
        assert {line for line in want if line.startswith(name + " ")} <= set(records)
        assert all(line.startswith(name + " ") for line in records)
    [denied] = found(demo, "--principal", "bob", "--verb", "load", "--verdict", "denied")
    assert denied["fields"]["error.type"] == "NO_ROLE_ALLOWS" and denied["fields"]["client.address"] == "127.0.0.1"
    assert {told(r).split()[0] for r in found(demo, "--entity", "CARD")} == {"bob"}
    # Reading is recorded, and for auditors alone.
    until(lambda: found(demo, "--verb", "audit_read", "--principal", "alice"), "reading is recorded")
    assert "NO_ROLE_ALLOWS" in demo.sluice("bob", "audit", "search").stderr


def test_a_token_stream_replays_masked_with_its_timing(demo):
    answers = say(demo, "bob", "r-1")
    [record] = until(lambda: found(demo, "--principal", "bob", "--kind", "message"), "the request is recorded", seconds=60)
    session = record["fields"]["session.id"]
    timing = record["fields"]["sluice.timing_us"]
    assert len(timing) == record["fields"]["sluice.answers"] >= len(answers)

    shown = json.loads(audit(demo, "show", record["id"], "--payload", "--output", "json"))
    frames = shown["payload"]["frames"]
    assert shown["payload"]["complete"] and [f["kind"] for f in frames][:2] == [1, 3]
    # The frames came when the record says that the answers did, give or take a moment.
    at = [float(f["at"].rstrip("s")) for f in frames if f["kind"] == 3]
    assert at == sorted(at) and abs(at[-1] - sum(timing) / 1e6) < 0.5

    played = audit(demo, "replay", session, "--speed", "20")
    said = b"".join(b"".join(a.as_numpy("text_output").flatten().tolist()) for a in answers if a.get_response().outputs)
    assert said.decode() in played and "[CARD]" in said.decode()
    again = audit(demo, "replay", session, "--against", "tokens", "--diff", "--grpc", demo.address)
    assert "1 request answered as before" in again
    for text in (played, json.dumps(shown), again):
        assert not SEEDED.search(text)
    for file in (demo.folder / "data").iterdir():
        content = file.read_bytes()
        for secret in (b"jane.doe@example.com", b"4111 1111 1111 1111", b"536-90-4399"):
            assert secret not in content, file


def test_the_log_verifies_until_one_byte_is_changed(demo, tmp_path):
    wait_for(demo, calls(demo))
    config = tmp_path / "data" / "sluice.yaml"
    key = tmp_path / "audit.pub"
    key.write_text(ran(command("audit", "key", "--config", config)))
    assert audit(demo, "verify", "--key", key).endswith("OK\n")
    [record] = found(demo, "--principal", "bob", "--verb", "load")
    demo.stop()
    assert ran(command("audit", "verify", "--config", config, "--key", key)).endswith("OK\n")

    database = tmp_path / "data" / "sluice.audit.db"
    content = bytearray(database.read_bytes())
    content[content.index(record["fields"]["sluice.call"].encode())] ^= 1
    database.write_bytes(content)
    answer = command("audit", "verify", "--config", config, "--key", key)
    assert answer.returncode == 1 and "edited" in answer.stdout and "OK" not in answer.stdout
    demo.start()
    assert "edited" in audit(demo, "verify", "--key", key, code=1)


def test_exports_are_read_by_others(demo, tmp_path):
    want = calls(demo)
    wait_for(demo, want)
    folder = tmp_path / "csv"
    audit(demo, "export", "--format", "csv", "--to", folder, "--no-proofs")
    with (folder / "records-00000.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(r["name"], r["verb"], r["model"], r["verdict"]) for r in rows} >= {tuple(line.split()[:4]) for line in want}
    assert len({len(r) for r in rows}) == 1 and not any(None in r for r in rows)

    folder = tmp_path / "ocsf"
    audit(demo, "export", "--format", "ocsf", "--to", folder, "--no-proofs")
    events = [json.loads(line) for line in (folder / "records-00000.ocsf.jsonl").read_text().splitlines()]
    assert len(events) >= len(want)
    for event in events:
        assert (event["class_uid"], event["category_uid"], event["metadata"]["version"]) == (6003, 6, "1.6.0")
        assert event["type_uid"] == 600300 + event["activity_id"] and isinstance(event["time"], int)
        for path, names in REQUIRED.items():
            assert names <= set(part(event, path)), (path, event)
        for path, names in ONE_OF.items():
            assert names & set(part(event, path)), (path, event)


def part(event, path):
    for key in path:
        event = event[key]
    return event


def test_an_export_is_proven_with_the_key_alone(demo, tmp_path):
    want = calls(demo)
    key = tmp_path / "audit.pub"
    key.write_text(ran(command("audit", "key", "--config", tmp_path / "data" / "sluice.yaml")))

    def proven():
        """An export of what is signed by now, every call in it."""
        folder = tmp_path / f"export-{len(list(tmp_path.glob('export-*')))}"
        audit(demo, "export", "--format", "jsonl", "--to", folder)
        [file] = folder.glob("records-00000.*")
        return folder if {told({"fields": json.loads(line)}) for line in file.read_text().splitlines()} >= want else None

    folder = until(proven, "the calls are signed", seconds=60, every=1)
    demo.stop()
    nowhere = {"SLUICE_SERVER": "http://127.0.0.1:1"}
    assert ran(command("audit", "verify", "--export", folder, "--key", key, env=nowhere)).endswith("OK\n")
    [file] = folder.glob("records-00000.*")
    file.write_text(file.read_text().replace('"ci"', '"bob"', 1))
    answer = command("audit", "verify", "--export", folder, "--key", key, env=nowhere)
    assert answer.returncode == 1 and "is not the file that the manifest tells of" in answer.stdout
