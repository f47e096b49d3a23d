"""Hostile and broken requests through Sluice, with the real Triton alive behind it afterwards.

The Go tests hold the corpus; here are those that need the real server, a real
client's framing or a process whose memory can be watched.
"""

import hmac
import json
import os
import time

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tritonclient.grpc import service_pb2

from cases.repository import CONFIG
from cases.streams import Answers
from cases.tensors import ints, simple, simple_request, texts
from harness.refusal import reason, refused
from harness.sluice import Sluice, triton_backend

SERVICE = "/inference.GRPCInferenceService/"
MIB = 1 << 20

# The race detector's own bookkeeping counts as memory, too.
RACE = "E2E_RACE" in os.environ


@pytest.fixture(autouse=True)
def triton_survives(triton, sluice):
    """Whatever a test sent, both servers are there afterwards."""
    yield
    assert triton.process.alive(), triton.process.tail()
    assert sluice.process.alive(), sluice.process.tail()


@pytest.fixture
def admin(gate, issuer):
    return gate.showing(issuer.token("operator"))


def raw_call(channel, method):
    """A unary method that takes bytes as they are."""
    return channel.unary_unary(SERVICE + method)


WHOLE = simple_request(id="whole").SerializeToString()


@pytest.mark.parametrize(
    "message",
    [
        WHOLE[:-1],
        WHOLE[: len(WHOLE) // 2],
        b"\x0a",
        b"\xff" * 11,
        b"\x0a\xff\xff\xff\xff\x7f",
        b"\x0b" * 200,
        b"\x0a\x02\xc3\x28",
    ],
    ids=["cut", "half", "key only", "endless varint", "length beyond", "open groups", "name not utf-8"],
)
def test_broken_protobuf(admin, message):
    with admin.channel() as channel:
        for method in ("ModelInfer", "RepositoryModelLoad", "ModelMetadata", "TraceSetting"):
            call = raw_call(channel, method)
            assert refused("INVALID_ARGUMENT", call, message, metadata=admin.metadata, timeout=10)


def test_broken_protobuf_in_a_stream_ends_it(admin):
    with admin.channel() as channel:
        call = channel.stream_stream(SERVICE + "ModelStreamInfer")
        answers = call(iter([WHOLE[:-1]]), metadata=admin.metadata, timeout=10)
        assert "raw_input_contents" in refused("INVALID_ARGUMENT", list, answers)


def names():
    yield "empty", ""
    yield "long", "m" * MIB
    yield "slash", "a/../b"
    yield "parent", "../simple"
    yield "dots", ".."
    yield "nul", "simple\0"
    yield "newline", "simple\nforged=1"


@pytest.mark.parametrize("name", [name for _, name in names()], ids=[label for label, _ in names()])
def test_model_names(admin, sluice, name):
    with admin.stub() as stub:

        def refuse(call, request):
            assert refused("INVALID_ARGUMENT", call, request, metadata=admin.metadata, timeout=10)

        refuse(stub.ModelInfer, simple_request(model_name=name))
        refuse(stub.RepositoryModelLoad, service_pb2.RepositoryModelLoadRequest(model_name=name))
        refuse(stub.RepositoryModelUnload, service_pb2.RepositoryModelUnloadRequest(model_name=name))
        refuse(stub.ModelMetadata, service_pb2.ModelMetadataRequest(name=name))
    assert "\nforged" not in sluice.log() and "m" * 5000 not in sluice.log()


def test_repository_name(admin):
    requests = {
        "RepositoryIndex": service_pb2.RepositoryIndexRequest(repository_name="r"),
        "RepositoryModelLoad": service_pb2.RepositoryModelLoadRequest(repository_name="r", model_name="simple"),
        "RepositoryModelUnload": service_pb2.RepositoryModelUnloadRequest(repository_name="r", model_name="simple"),
    }
    with admin.stub() as stub:
        for method, request in requests.items():
            call = getattr(stub, method)
            assert refused("UNIMPLEMENTED", call, request, metadata=admin.metadata, timeout=10)
    with admin.client() as client:
        assert client.is_model_ready("simple")


@pytest.mark.parametrize("path", ["file:" + "x" * 256, "file:1/" + "y" * 300 + "/model.py", "file:1/" + "ü" * 130])
def test_file_names_that_kill_an_old_triton(admin, path):
    with admin.client() as client:
        text = refused("INVALID_ARGUMENT", client.load_model, "pushed", config=json.dumps(CONFIG), files={path: b"x"})
        assert "255" in text


def test_classification_that_kills_an_old_triton(admin):
    request = service_pb2.ModelInferRequest(model_name="simple_identity")
    request.inputs.add(name="INPUT0", datatype="BYTES", shape=[1, 1])
    request.raw_input_contents.append(b"\x01\0\0\0a")
    request.outputs.add(name="OUTPUT0").parameters["classification"].int64_param = 1
    with admin.stub() as stub:
        refused("INVALID_ARGUMENT", stub.ModelInfer, request, metadata=admin.metadata, timeout=10)
        assert reason(stub.ModelInfer, request, metadata=admin.metadata, timeout=10) == "UNSAFE_FOR_BACKEND"


def test_stream_header_that_kills_an_old_triton(admin):
    answers = Answers()
    with admin.client() as client:
        client.start_stream(answers, headers={"triton_grpc_error": "true"})
        client.async_stream_infer("fails_decoupled", [ints("BEFORE", 1)], request_id="a")
        # The header is held back: the model's error is a message like the answer
        # before it, and does not end the stream.
        [_, error] = answers.take(2, seconds=15)
        assert error.status() is None
        client.async_stream_infer("fails_decoupled", [ints("BEFORE", 1)], request_id="b")
        [_, again] = answers.take(2, seconds=15)
        assert again.message() == error.message()
        client.stop_stream(cancel_requests=True)


def part(content):
    """One part of a JSON Web Token."""
    return jwt.utils.base64url_encode(json.dumps(content).encode()).decode()


class TestTokens:
    """Tokens that prove nothing. The text says what to do, and not what was shown."""

    @pytest.fixture
    def claims(self, issuer):
        return issuer.claims("operator")

    def check(self, gate, token, **metadata):
        headers = tuple({"authorization": f"Bearer {token}", **metadata}.items())
        with gate.stub() as stub:
            text = refused("UNAUTHENTICATED", stub.ModelInfer, simple_request(), metadata=headers, timeout=10)
            assert token[-20:] not in text
            return text

    def test_unsigned(self, gate, claims):
        self.check(gate, jwt.encode(claims, None, algorithm="none", headers={"typ": "at+jwt"}))

    def test_unsigned_by_another_spelling(self, gate, issuer, claims):
        header, body, signature = issuer.sign(claims).split(".")
        for spelling in ("none", "None", "NONE"):
            forged = part({"alg": spelling})
            self.check(gate, f"{forged}.{body}.")
            self.check(gate, f"{forged}.{body}.{signature}")

    def test_signed_with_the_public_key_as_a_secret(self, gate, issuer, claims):
        public = issuer.key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        # By hand: PyJWT refuses to.
        signed = part({"alg": "HS256", "kid": issuer.kid, "typ": "at+jwt"}) + "." + part(claims)
        signature = hmac.digest(public, signed.encode(), "sha256")
        self.check(gate, f"{signed}.{jwt.utils.base64url_encode(signature).decode()}")

    def test_wrong_key(self, gate, issuer, claims):
        self.check(gate, issuer.sign(claims, key=ec.generate_private_key(ec.SECP256R1())))

    def test_unknown_key(self, gate, issuer, claims):
        stranger = ec.generate_private_key(ec.SECP256R1())
        for number in range(5):
            self.check(gate, issuer.sign(claims, key=stranger, kid=f"unknown-{number}"))

    def test_tampered(self, gate, issuer, claims):
        header, body, signature = issuer.sign(claims).split(".")
        other = issuer.sign({**claims, "sub": "alice"}).split(".")[1]
        self.check(gate, f"{header}.{other}.{signature}")

    @pytest.mark.parametrize(
        "change",
        [
            {"aud": "somebody-else"},
            {"aud": None},
            {"iss": "https://other.test"},
            {"iss": None},
            {"exp": None},
            {"exp": 1},
            {"nbf": 2**40},
            {"sub": None},
            {"sub": ""},
        ],
        ids=lambda change: "-".join(f"{k}-{v}" for k, v in change.items()),
    )
    def test_claims(self, gate, issuer, change):
        self.check(gate, issuer.token("operator", **change))

    def test_id_token(self, gate, issuer):
        self.check(gate, issuer.token("operator", at_hash="x"))

    def test_expired_says_so(self, gate, issuer):
        now = int(time.time())
        text = self.check(gate, issuer.token("operator", iat=now - 7200, exp=now - 3600))
        assert "expired" in text

    @pytest.mark.parametrize("token", ["", " ", "x", "a.b.c", "...."], ids=repr)
    def test_garbage(self, gate, token):
        with gate.stub() as stub:
            metadata = (("authorization", f"Bearer {token}"),)
            refused("UNAUTHENTICATED", stub.ModelInfer, simple_request(), metadata=metadata, timeout=10)

    def test_other_schemes(self, gate):
        for value in ("Basic YWxpY2U6eA==", "bearer", "Negotiate abc"):
            with gate.stub() as stub:
                metadata = (("authorization", value),)
                refused("UNAUTHENTICATED", stub.ModelInfer, simple_request(), metadata=metadata, timeout=10)

    def test_two_at_once(self, gate, issuer):
        tokens = [f"Bearer {issuer.token(name)}" for name in ("bob", "operator")]
        with gate.stub() as stub:
            metadata = tuple(("authorization", token) for token in tokens)
            refused("UNAUTHENTICATED", stub.ModelInfer, simple_request(), metadata=metadata, timeout=10)

    def test_megabyte(self, gate):
        assert "16 KiB" in self.check(gate, "x" * MIB)


def test_a_gibibyte_without_a_token(gate, sluice):
    before = sluice.process.peak()
    with gate.channel() as channel:
        started = time.monotonic()
        refused("UNAUTHENTICATED", raw_call(channel, "ModelInfer"), bytes(1 << 30), timeout=60)
        took = time.monotonic() - started
    assert sluice.process.peak() - before < 32 * MIB
    assert took < 30


def test_gzip_bomb(gate, sluice, issuer, triton, tmp_path):
    # A gateway with a small budget, and a message that is small on the wire only.
    limits = {"in_flight": "64MiB", "in_flight_per_principal": "32MiB"}
    small = Sluice(tmp_path, issuer, [triton_backend(triton.address)], server={"limits": limits})
    try:
        small.start()
        door = gate.at(small.address).showing(issuer.token("operator"))
        with door.client() as client:
            client.infer("simple", simple())
            before = small.process.peak()
            with door.channel() as channel:
                call = raw_call(channel, "ModelInfer")
                for compression in (grpc.Compression.Gzip, grpc.Compression.Deflate):
                    refused(
                        "RESOURCE_EXHAUSTED",
                        call,
                        bytes(256 * MIB),
                        metadata=door.metadata,
                        compression=compression,
                        timeout=60,
                    )
            assert small.process.peak() - before < (96 if not RACE else 256) * MIB
            client.infer("simple", simple())
    finally:
        small.stop()


def test_budget_is_given_back(gate, issuer, triton, tmp_path):
    limits = {"in_flight": "24MiB", "in_flight_per_principal": "24MiB"}
    small = Sluice(tmp_path, issuer, [triton_backend(triton.address)], server={"limits": limits})
    try:
        small.start()
        door = gate.at(small.address).showing(issuer.token("operator"))
        with door.client() as client:
            payload = [texts("INPUT0", b"x" * (8 * MIB))]
            for _ in range(8):
                client.infer("simple_identity", payload)
            refused("RESOURCE_EXHAUSTED", client.infer, "simple_identity", [texts("INPUT0", b"x" * (25 * MIB))])
            client.infer("simple_identity", payload)
    finally:
        small.stop()
