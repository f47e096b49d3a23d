"""A door: one address at which the protocol is spoken, and how to get in.

Cases take a door and make their clients there, so that the same case runs
against Triton itself and through Sluice.
"""

from contextlib import contextmanager
from dataclasses import dataclass, field

import grpc
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from tritonclient.grpc import service_pb2_grpc

# As tritonclient sets them.
LIMITS = [("grpc.max_send_message_length", 2**31 - 1), ("grpc.max_receive_message_length", 2**31 - 1)]


class Headers(triton.InferenceServerClientPlugin):
    """The way a program with an unchanged tritonclient shows its token."""

    def __init__(self, headers):
        self.headers = headers

    def __call__(self, request):
        request.headers.update(self.headers)


@dataclass(frozen=True)
class Door:
    name: str
    address: str
    headers: dict = field(default_factory=dict)
    # Keyword arguments that tritonclient takes for TLS.
    tls: dict = field(default_factory=dict)

    def showing(self, token):
        """The same door for the bearer of token; without one for a stranger."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return Door(self.name, self.address, headers, self.tls)

    def at(self, address):
        """A door of the same kind at another address."""
        return Door(self.name, address, self.headers, self.tls)

    def client(self, **options):
        """An unchanged tritonclient."""
        client = triton.InferenceServerClient(self.address, **self.tls, **options)
        client.register_plugin(Headers(self.headers))
        return client

    def aio_client(self, **options):
        client = triton_aio.InferenceServerClient(self.address, **self.tls, **options)
        client.register_plugin(Headers(self.headers))
        return client

    @property
    def metadata(self):
        return tuple(self.headers.items())

    @contextmanager
    def channel(self):
        """A bare gRPC channel, for what tritonclient does not send."""
        with self.open_channel() as channel:
            yield channel

    def open_channel(self):
        if not self.tls:
            return grpc.insecure_channel(self.address, options=LIMITS)
        files = (self.tls.get(name) for name in ("root_certificates", "private_key", "certificate_chain"))
        return grpc.secure_channel(
            self.address, grpc.ssl_channel_credentials(*map(read_if_named, files)), options=LIMITS
        )

    @contextmanager
    def stub(self):
        """The generated stub of tritonclient; metadata has to be given by hand."""
        with self.channel() as channel:
            yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


def read_if_named(path):
    if path is None:
        return None
    with open(path, "rb") as file:
        return file.read()
