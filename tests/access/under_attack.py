"""What attackers hold: sockets that send any bytes, and tokens made of any parts."""

import base64
import json
import socket
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from jwt.algorithms import RSAAlgorithm

Json = dict[str, Any]

CALLS = [
    ("POST", "/portal"),
    ("POST", "/checkout"),
    ("GET", "/subscription"),
    ("POST", "/subscription/refresh"),
]
POSTS = [path for method, path in CALLS if method == "POST"]


class Counted:
    """An app that keeps what it was asked."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self.calls: list[str] = []

    def __call__(self, environ: Json, start_response: Any) -> Iterable[bytes]:
        self.calls.append(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}")
        return self._app(environ, start_response)


# Tokens


def part(value: Any) -> str:
    """A part of a token: bytes as they are, anything else as JSON."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def read(encoded: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(encoded + "=="))


def forged(header: Any, claims: Any, key: RSAPrivateKey, signs: bytes | None = None) -> str:
    """A token of any header, signed with RS256 by this key, whatever the header says."""
    signed = f"{part(header)}.{part(claims)}"
    mac = RSAAlgorithm(RSAAlgorithm.SHA256).sign(signed.encode() if signs is None else signs, key)
    return f"{signed}.{part(mac)}"


def bearer(token: str) -> Json:
    return {"Authorization": f"Bearer {token}"}


# Sockets


class Answer:
    """One HTTP answer read from a socket."""

    def __init__(self, received: bytes) -> None:
        head, _, self.body = received.partition(b"\r\n\r\n")
        if head.startswith(b"HTTP/1.1 100"):
            head, _, self.body = self.body.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        assert first.startswith("HTTP/1."), received[:200]
        self.status = int(first.split()[1])
        self.headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            self.headers[name.lower()] = value.strip()

    @property
    def json(self) -> Json:
        value: Json = json.loads(self.body)
        return value

    def refused(self, code: str, status: int) -> None:
        """Fail unless this is our error of that code, in its documented shape."""
        assert (self.status, self.json.get("code")) == (status, code), self.body
        assert set(self.json) == {"error", "code", "request_id"}
        assert self.json["request_id"] == self.headers["x-request-id"]
        assert self.headers["cache-control"] == "no-store"
        assert self.headers["x-content-type-options"] == "nosniff"


def received(connection: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    parts = []
    with suppress(ConnectionResetError):
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


def address(url: str) -> tuple[str, int]:
    host, _, port = url.removeprefix("http://").rpartition(":")
    return host, int(port)


def exchange(url: str, *sent: bytes, half_close: bool = False) -> Answer:
    """Send these bytes and read the answer. The server may answer before it has read it all."""
    with socket.create_connection(address(url), timeout=30) as connection:
        with suppress(OSError):  # the server may have hung up already
            for piece in sent:
                connection.sendall(piece)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
        return Answer(received(connection))


def request(method: str, path: str, *headers: str, host: str = "billing.example.com") -> bytes:
    """The head of a request on a connection that ends with it."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
