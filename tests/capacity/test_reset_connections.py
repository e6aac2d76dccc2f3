"""A connection to Supabase that was reset is tried once more at once: each of our calls is a read,
a compare-and-swap, or right when it is repeated.
"""

import socket
import struct
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from service_under_test import Json, Log, MakeService, Service, known_subscription, refused, rows

from sandbox.world import World


class Resetting:
    """A proxy before Supabase that resets connections, as gateways do to idle ones.

    after: how many requests of a connection are answered; the next one is reset, unread by Supabase
    or, with `answered`, once Supabase has done what it asks. most: so many resets, and no more.
    """

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self._behind = (parts.hostname or "", parts.port or 80)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.after = 1
        self.answered = False
        self.resets = 0
        self.most = 1_000
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            asked = 0
            while request := _message(client):
                asked += 1
                if asked <= self.after or self.resets >= self.most:
                    client.sendall(self._ask(request))
                    continue
                self.resets += 1
                if self.answered:
                    self._ask(request)
                # Closed so, it is a reset.
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return

    def _ask(self, request: bytes) -> bytes:
        with socket.create_connection(self._behind) as behind:
            behind.sendall(request)
            # The stand-in closes after each answer; a gateway keeps its connection to us.
            head, _, body = _message(behind).partition(b"\r\n\r\n")
            lines = [x for x in head.split(b"\r\n") if not x.lower().startswith(b"connection:")]
            lines[0] = lines[0].replace(b"HTTP/1.0", b"HTTP/1.1")
            return b"\r\n".join(lines) + b"\r\n\r\n" + body


def _message(connection: socket.socket) -> bytes:
    """A whole request or answer; nothing where the other side hung up."""
    read = b""
    while b"\r\n\r\n" not in read:
        if not (more := connection.recv(65536)):
            return b""
        read += more
    head, _, body = read.partition(b"\r\n\r\n")
    names = (line.partition(b":") for line in head.lower().split(b"\r\n"))
    length = next((int(value) for name, _, value in names if name == b"content-length"), 0)
    while len(body) < length:
        if not (more := connection.recv(65536)):
            return b""
        body += more
    return head + b"\r\n\r\n" + body


@pytest.fixture
def proxy(world: World) -> Iterator[Resetting]:
    proxy = Resetting(world.supabase_url)
    yield proxy
    proxy.close()


@pytest.fixture
def service(make_service: MakeService, ada: str, proxy: Resetting) -> Service:
    return make_service(supabase_url=proxy.url)


def test_eight_calls_in_a_row_are_answered(service: Service, proxy: Resetting) -> None:
    assert [service.status().status_code for _ in range(8)] == [200] * 8
    assert proxy.resets >= 3


@pytest.mark.parametrize("answered", [False, True])
def test_checkout_and_portal_are_too(
    world: World, service: Service, proxy: Resetting, answered: bool
) -> None:
    proxy.answered = answered
    for _ in range(3):
        assert service.checkout().status_code == 200
        assert service.portal().status_code == 200
        assert service.refresh().status_code == 200
    assert len(world.stripe.customers) == 1
    assert proxy.resets


@pytest.mark.parametrize("answered", [False, True])
def test_a_write_that_was_done_and_not_answered_is_right_when_it_is_repeated(
    world: World, service: Service, proxy: Resetting, answered: bool
) -> None:
    proxy.answered = answered
    proxy.most = 5  # in step with the questions they would meet just the writes, for ever
    subscription = known_subscription(service)
    for action in ("fail_payment", "pay", "cancel_now"):
        world.stripe.act(subscription["id"], action)
        assert service.refresh().status_code == 200

    assert rows(world)[subscription["id"]]["status"] == "canceled"
    assert len(world.rows()) == 1
    assert proxy.resets


def test_once_more_and_not_again_and_again(service: Service, proxy: Resetting, log: Log) -> None:
    proxy.after = 0

    refused(service.status(), "database_unavailable")
    assert proxy.resets == 2
    line: Json = log.line("supabase call failed")
    assert line["level"] == "ERROR"
