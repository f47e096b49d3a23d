"""TLS and mTLS, between client and Sluice and between Sluice and Triton."""

import ssl

import pytest

import cases
from cases import asynchronous, health, infer, streams
from cases.tensors import simple
from harness.certificates import Certificates, ExtendedKeyUsageOID
from harness.door import Door
from harness.process import until
from harness.refusal import refused
from harness.sluice import Sluice, triton_backend
from harness.triton import Triton

CASES = [
    health.server_is_live_and_ready,
    infer.raw,
    infer.compressed_requests,
    infer.large_message,
    streams.answers_in_order,
    asynchronous.async_infer,
]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def secured_triton(tmp_path_factory, certificates):
    """A Triton that wants a client certificate."""
    server = Triton(tmp_path_factory.mktemp("secured"), ["simple", "identity_fp32"], tls=certificates)
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture(scope="module", params=["TLS", "mTLS"])
def secured(request, tmp_path_factory, certificates, issuer, secured_triton):
    """A gateway behind TLS, in front of that Triton."""
    own = {"cert": str(certificates.server.certificate), "key": str(certificates.server.key)}
    if request.param == "mTLS":
        own["client_ca"] = str(certificates.authority)
    shown = {"cert": str(certificates.client.certificate), "key": str(certificates.client.key)}
    backend = triton_backend(secured_triton.address, tls={"ca": str(certificates.authority), **shown})
    server = Sluice(tmp_path_factory.mktemp(request.param), issuer, [backend], server={"tls": own})
    server.wants_certificate = request.param == "mTLS"
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture(scope="module")
def with_certificate(certificates):
    return {
        "ssl": True,
        "root_certificates": str(certificates.authority),
        "private_key": str(certificates.client.key),
        "certificate_chain": str(certificates.client.certificate),
    }


@pytest.fixture(scope="module")
def without_certificate(certificates):
    return {"ssl": True, "root_certificates": str(certificates.authority)}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_same_answers(case, secured, secured_triton, issuer, with_certificate, without_certificate):
    tls = with_certificate if secured.wants_certificate else without_certificate
    through = Door("through Sluice", secured.address, tls=tls).showing(issuer.token("operator"))
    direct = Door("direct", secured_triton.address, tls=with_certificate)
    expected = cases.run(case, direct)
    assert cases.run(case, through) == expected


def test_a_certificate_is_no_identity(secured, with_certificate):
    with Door("stranger", secured.address, tls=with_certificate).client() as client:
        assert client.is_server_live()
        refused("UNAUTHENTICATED", client.infer, "simple", simple())


def test_who_is_let_in(secured, issuer, without_certificate):
    anonymous = Door("anonymous", secured.address, tls=without_certificate).showing(issuer.token("bob"))
    plain = Door("plain", secured.address).showing(issuer.token("bob"))
    with anonymous.client() as client:
        if secured.wants_certificate:
            refused("UNAVAILABLE", client.infer, "simple", simple(), client_timeout=10)
        else:
            client.infer("simple", simple(), client_timeout=10)
    with plain.client() as client:
        refused("UNAVAILABLE", client.infer, "simple", simple(), client_timeout=10)


def test_a_certificate_that_changes_is_taken_over(secured, certificates):
    if secured.wants_certificate:
        pytest.skip("ssl.get_server_certificate shows no client certificate")

    def shown():
        host, port = secured.address.split(":")
        return ssl.get_server_certificate((host, int(port)), timeout=5)

    before = shown()
    certificates.pair("server", ExtendedKeyUsageOID.SERVER_AUTH)
    until(lambda: shown() != before, "the new certificate is shown")
