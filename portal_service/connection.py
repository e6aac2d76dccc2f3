"""One connection to a vendor, and HTTP/1.1 over it, each step within what is left of the time by
the clock on the wall. A socket's own timeout is about one read or one address: a vendor that drips
a byte now and then, or a name with several addresses, never meets it. Name resolution is outside.

Answers are read by llhttp, the parser of Node.js, through `httptools`. Knows no vendor, and nothing
of who waits for whom: transport.py does.
"""

import re
import select
import socket
import ssl
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

import httptools

_READ_BYTES = 65_536  # more than a record of TLS has: what is left of one, poll doesn't know of
_GZIP_OR_ZLIB = 47  # zlib's number for: whichever of them the first bytes are
_TARGET = re.compile(r"[!-~]+")  # what a request line may name: no blank, no control character


class Headers(Mapping[str, str]):
    """Of an answer. What comes twice is joined by a comma."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {}

    def add(self, name: str, value: str) -> None:
        name = name.lower()
        self._values[name] = f"{self._values[name]}, {value}" if name in self._values else value

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]  # by name, whichever case it is written in
    body: bytes  # decoded, whatever the wire's encoding


class _Reading:
    """An answer as it comes in; what httptools calls."""

    def __init__(self) -> None:
        self.headers = Headers()
        self.is_whole = False
        self.may_be_kept = False
        self._status = 0
        self._body: list[bytes] = []
        self._has_head = False
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """Take in what came; nothing is the end of the connection. Raises HttpParserError, and
        ConnectionResetError where the answer is not whole then.
        """
        if data:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserError:
                if not self.is_whole:
                    raise
                self.may_be_kept = False  # something stands behind the answer
        elif self._has_head and not self.headers.keys() & {"content-length", "transfer-encoding"}:
            self.is_whole = True  # an answer without a length ends where its connection does
        else:
            raise ConnectionResetError("the connection ended before the answer")

    def answer(self) -> Answer:
        """Raises zlib.error."""
        body = b"".join(self._body)
        if body and self.headers.get("content-encoding", "identity") != "identity":
            body = zlib.decompress(body, _GZIP_OR_ZLIB)
        return Answer(self._status, self.headers, body)

    def on_message_begin(self) -> None:
        if self.is_whole:  # or what stands behind the answer would be taken for it
            raise ValueError("more than one answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.add(name.decode("latin-1"), value.decode("latin-1"))

    def on_headers_complete(self) -> None:
        self._has_head, self._status = True, self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        if self._status < 200:  # a hint, before the answer
            self.headers, self._has_head = Headers(), False
        else:
            self.is_whole, self.may_be_kept = True, self._parser.should_keep_alive()


class Connection:
    """until, wherever it stands: the end on the monotonic clock; TimeoutError is raised then."""

    def __init__(self, connected: socket.socket) -> None:
        self._take(connected)
        self.may_be_kept = True

    def _take(self, connected: socket.socket) -> None:
        """The socket itself waits for nothing, and we by poll where there is something to wait for:
        one with a time-out polls before each step, and each call to the kernel costs the thread
        its turn in the interpreter.
        """
        connected.setblocking(False)
        self._socket = connected
        self._readable = select.poll()
        self._readable.register(connected, select.POLLIN)

    @classmethod
    def to(cls, host: str, port: int, until: float) -> "Connection":
        """Raises OSError, and UnicodeError for what can't be a name."""
        return cls(_connected(host, port, until))

    def tunnel(self, authority: str, authorization: str | None, until: float) -> None:
        """Let the proxy at the other end connect us to `host:port`. Raises OSError."""
        lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
        if authorization:
            lines.append(f"Proxy-Authorization: {authorization}")
        self._send("\r\n".join([*lines, "\r\n"]).encode(), until)
        head = b""
        while b"\r\n\r\n" not in head:
            if not (more := self._receive(until)):
                raise ConnectionResetError("the proxy hung up")
            head += more
        if head.split(b" ", 2)[1:2] != [b"200"]:
            raise OSError("the proxy does not connect us")

    def encrypt(self, tls: ssl.SSLContext, host: str, until: float) -> None:
        """Raises OSError, where the certificate is not one of the host's too."""
        self._socket.settimeout(_left(until))
        self._take(tls.wrap_socket(self._socket, server_hostname=host))

    def ask(self, request: bytes, until: float) -> Answer:
        """One request and its answer. After any failure the connection is of no use.

        Raises OSError, httptools.HttpParserError and zlib.error.
        """
        self.may_be_kept = False
        self._send(request, until)
        reading = _Reading()
        while not reading.is_whole:
            reading.feed(self._receive(until))
        self.may_be_kept = reading.may_be_kept
        return reading.answer()

    def is_dropped(self) -> bool:
        """Whether the other side ended it, or said something unasked, while it was idle."""
        return bool(self._readable.poll(0))

    def close(self) -> None:
        self._socket.close()

    def _send(self, data: bytes, until: float) -> None:
        left = memoryview(data)
        while left:
            try:
                left = left[self._socket.send(left) :]
            except (BlockingIOError, ssl.SSLWantWriteError):
                writable = select.poll()
                writable.register(self._socket, select.POLLOUT)
                _wait(writable, until)
            except ssl.SSLWantReadError:
                _wait(self._readable, until)

    def _receive(self, until: float) -> bytes:
        while True:
            _wait(self._readable, until)
            with suppress(BlockingIOError, ssl.SSLWantReadError):  # half of a record of TLS
                return self._socket.recv(_READ_BYTES)


def request_bytes(
    method: str, target: str, host: str, headers: Mapping[str, str], body: bytes | str | None
) -> bytes:
    """A request as it is sent. Raises ValueError where something in it would end its line."""
    content = body.encode() if isinstance(body, str) else body or b""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if content or method != "GET":
        lines.append(f"Content-Length: {len(content)}")
    head = "\r\n".join([*lines, "", ""])
    if head.count("\n") != len(lines) + 1 or head.count("\r") != len(lines) + 1:
        raise ValueError("a line break in a header")
    if not _TARGET.fullmatch(target):
        raise ValueError("a blank in an address")
    return head.encode("latin-1") + content


def _connected(host: str, port: int, until: float) -> socket.socket:
    """Each address of the name gets its share of the time, not all of it."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for still_there, (family, kind, protocol, _, address) in zip(
        range(len(found), 0, -1), found, strict=True
    ):
        connecting = socket.socket(family, kind, protocol)
        try:
            connecting.settimeout(_left(until) / still_there)
            connecting.connect(address)
            connecting.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            connecting.close()
            if still_there == 1:
                raise
        else:
            return connecting
    raise OSError("the name has no address")


def _wait(for_: select.poll, until: float) -> None:
    """Raises TimeoutError."""
    if not for_.poll(_left(until) * 1000):
        raise TimeoutError


def _left(until: float) -> float:
    """Seconds. Raises TimeoutError where there are none."""
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
