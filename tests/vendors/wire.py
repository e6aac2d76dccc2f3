"""A server of sockets, which answers each request as the test says, byte by byte if wanted."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
DRIPS = 400
DRIP_SECONDS = 0.05

# Gets the connection once a request has come; True keeps it for the next one.
Behaviour = Callable[[socket.socket], bool]


def answers(raw: bytes = OK) -> Behaviour:
    def answer(connection: socket.socket) -> bool:
        connection.sendall(raw)
        return True

    return answer


def resets(connection: socket.socket) -> bool:
    return False


def drips(begin: bytes, drop: bytes, end: bytes) -> Behaviour:
    """Begins, sends a drop at a time for 20 s, and ends: whoever waits so long gets an answer."""

    def drip(connection: socket.socket) -> bool:
        connection.sendall(begin)
        for _ in range(DRIPS):
            connection.settimeout(DRIP_SECONDS)
            with suppress(TimeoutError):
                if not connection.recv(1):
                    return False
            connection.settimeout(None)
            connection.sendall(drop)
        connection.sendall(end)
        return False

    return drip


class Wire:
    """What the server heard: each request, and how many connections."""

    def __init__(self, behaviours: Sequence[Behaviour], context: ssl.SSLContext | None) -> None:
        self.behaviours = list(behaviours)  # the last one goes on for ever
        self.requests: list[bytes] = []
        self.connections = 0
        self._context = context
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http{'s' if context else ''}://localhost:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError):
            if self._context:
                connection = self._context.wrap_socket(connection, server_side=True)
            with connection:
                with self._lock:
                    self.connections += 1
                while heard := self._hear(connection):
                    with self._lock:
                        self.requests.append(heard)
                        more = len(self.behaviours) > 1
                        behave = self.behaviours.pop(0) if more else self.behaviours[0]
                    if not behave(connection):
                        return

    @staticmethod
    def _hear(connection: socket.socket) -> bytes:
        heard = b""
        while b"\r\n\r\n" not in heard:
            if not (more := connection.recv(65_536)):
                return b""
            heard += more
        head, _, body = heard.partition(b"\r\n\r\n")
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                while len(body) < int(line.split(b":")[1]):
                    if not (more := connection.recv(65_536)):
                        return b""
                    body += more
        return head + b"\r\n\r\n" + body


@contextmanager
def wire(*behaviours: Behaviour, context: ssl.SSLContext | None = None) -> Iterator[Wire]:
    served = Wire(behaviours, context)
    try:
        yield served
    finally:
        served.close()


@contextmanager
def blackhole() -> Iterator[int]:
    """A port of this machine that takes no connection and refuses none: its queue is full."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            with suppress(BlockingIOError):
                filler.connect(listener.getsockname())
        yield listener.getsockname()[1]
