"""When a thread of our worker stays with the connection that it answered."""

import socket
import threading
from collections.abc import Iterator
from io import BytesIO
from types import SimpleNamespace

import pytest

from portal_service.gunicorn_worker import Worker


@pytest.fixture
def worker() -> Iterator[Worker]:
    """One with a single thread, which was never started."""
    worker = Worker.__new__(Worker)
    worker.alive, worker.cfg = True, SimpleNamespace(threads=1)
    with worker.get_thread_pool():
        yield worker


@pytest.fixture
def asking() -> Iterator[SimpleNamespace]:
    """A connection whose next request is here."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"GET /healthz HTTP/1.1\r\n\r\n")
        unreader = SimpleNamespace(buf=BytesIO())
        yield SimpleNamespace(sock=ours, parser=SimpleNamespace(unreader=unreader))


def test_it_stays_where_the_next_request_is_here(worker: Worker, asking: SimpleNamespace) -> None:
    assert worker._asks_again(asking)


def test_it_stays_with_nobody_who_is_silent(worker: Worker, asking: SimpleNamespace) -> None:
    asking.sock.recv(100)
    assert not worker._asks_again(asking)


def test_it_goes_where_others_wait_for_a_thread(worker: Worker, asking: SimpleNamespace) -> None:
    begun, go_on = threading.Event(), threading.Event()
    worker._pool.submit(lambda: begun.set() or go_on.wait(20))
    begun.wait(20)
    assert worker._asks_again(asking)
    worker._pool.submit(lambda: None)
    try:
        assert not worker._asks_again(asking)
    finally:
        go_on.set()


def test_it_goes_when_the_worker_is_told_to_stop(worker: Worker, asking: SimpleNamespace) -> None:
    worker.alive = False
    assert not worker._asks_again(asking)


def test_what_was_read_ahead_is_gunicorns(worker: Worker, asking: SimpleNamespace) -> None:
    asking.parser.unreader.buf.write(b"GET ")
    assert not worker._asks_again(asking)
