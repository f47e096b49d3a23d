"""A door at which REST is spoken, and how to get in."""

import http.client
import socket
import time
from dataclasses import dataclass, field

import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from tritonclient.http import InferenceServerClientPlugin

# Headers of an answer that are the same whoever answers. The rest belong to the
# connection, or are more than Triton says.
COMPARED = ("content-type", "inference-header-content-length", "content-encoding", "accept-encoding")


class Headers(InferenceServerClientPlugin):
    """The way a program with an unchanged tritonclient shows its token."""

    def __init__(self, headers):
        self.headers = headers

    def __call__(self, request):
        request.headers.update(self.headers)


@dataclass
class Answer:
    """One HTTP answer, its body as it came."""

    status: int
    headers: dict
    body: bytes

    def __str__(self):
        said = {name: self.headers[name] for name in COMPARED if name in self.headers}
        return f"{self.status} {said} {self.body!r}"


@dataclass(frozen=True)
class WebDoor:
    name: str
    address: str
    headers: dict = field(default_factory=dict)

    def showing(self, token):
        """The same door for the bearer of token; without one for a stranger."""
        return WebDoor(self.name, self.address, {"Authorization": f"Bearer {token}"} if token else {})

    def client(self, **options):
        """An unchanged tritonclient."""
        client = triton.InferenceServerClient(self.address, **options)
        client.register_plugin(Headers(self.headers))
        return client

    def aio_client(self, **options):
        client = triton_aio.InferenceServerClient(self.address, **options)
        client.register_plugin(Headers(self.headers))
        return client

    def ask(self, method, path, body=b"", headers=None, chunked=False):
        """One request, written as it is given: nothing in the path is encoded."""
        if isinstance(body, str):
            body = body.encode()
        connection = http.client.HTTPConnection(self.address, timeout=60)
        try:
            connection.putrequest(method, path, skip_accept_encoding=True)
            for name, value in {**self.headers, **(headers or {})}.items():
                connection.putheader(name, value)
            if chunked:
                connection.putheader("Transfer-Encoding", "chunked")
            elif body or method == "POST":
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders()
            send(connection, body, chunked)
            return read(connection)
        finally:
            connection.close()

    def ask_and_leave(self, method, path, body, seconds):
        """Sends a request, waits for so long, and closes the connection."""
        host, port = self.address.rsplit(":", 1)
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.address}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        with socket.create_connection((host, int(port)), timeout=10) as s:
            s.sendall("\r\n".join([*lines, "", body]).encode())
            time.sleep(seconds)


def send(connection, body, chunked):
    if not chunked:
        connection.send(body)
        return
    for at in range(0, len(body), 1000):
        part = body[at : at + 1000]
        connection.send(f"{len(part):x}\r\n".encode() + part + b"\r\n")
    connection.send(b"0\r\n\r\n")


def read(connection):
    answer = connection.getresponse()
    headers = {name.lower(): value for name, value in answer.getheaders()}
    return Answer(answer.status, headers, answer.read())
