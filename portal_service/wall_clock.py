"""Calls that end in time by the clock on the wall. A socket's own timeout is about one read or one
address: a vendor that drips a byte now and then, or a name with several addresses, never meets it.
Name resolution alone is outside. Knows sockets and urllib3's connections, and no vendor.
"""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

_LOOK_SECONDS = 5.0


class Call:
    """One call and its end on the monotonic clock. `expired` once that end has come."""

    def __init__(self, seconds: float) -> None:
        self.until = time.monotonic() + seconds
        self.expired = False
        self.socket: socket.socket | None = None

    def left(self) -> float:
        """Seconds, and always a few."""
        return max(self.until - time.monotonic(), 0.001)

    def expire(self) -> None:
        """Wakes the thread that waits for the socket, wherever in the answer it is."""
        self.expired = True
        if self.socket is not None:
            with suppress(OSError):  # of the plain socket: TLS must not be touched from here
                socket.socket.shutdown(self.socket, socket.SHUT_RDWR)


class WallClock:
    """Ends every call in time. A socket's own timeout is about one read: a vendor that drips a byte
    now and then never meets it. Its thread ends where there was nothing to watch for a while.
    """

    def __init__(self) -> None:
        self._calls: set[Call] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._wakes_at = 0.0

    @contextmanager
    def during(self, call: Call) -> Iterator[None]:
        with self._changed:
            self._calls.add(call)
            if self._thread is None or not self._thread.is_alive():  # also after a fork
                self._thread = threading.Thread(target=self._run, name="wall clock", daemon=True)
                self._thread.start()
            elif call.until < self._wakes_at:
                self._changed.notify()
        _present.call = call
        try:
            yield
        finally:
            _present.call = None
            with self._changed:
                self._calls.discard(call)

    def _run(self) -> None:
        with self._changed:
            while True:
                now = time.monotonic()
                for call in [call for call in self._calls if call.until <= now]:
                    call.expire()
                    self._calls.discard(call)
                self._wakes_at = min([now + _LOOK_SECONDS, *(call.until for call in self._calls)])
                was_told = self._changed.wait(self._wakes_at - now)
                if not was_told and not self._calls:
                    self._thread = None
                    return


class _Present(threading.local):
    call: Call | None = None


_present = _Present()  # the call that this thread is at


class _Timed(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        """Each address of the name gets its share of the time, not all of it."""
        with suppress(socket.gaierror, UnicodeError, TypeError):
            found = socket.getaddrinfo(self._dns_host, self.port, type=socket.SOCK_STREAM)
            self.timeout = self.timeout / max(1, len(found))  # type: ignore[operator]
        sock = super()._new_conn()
        if _present.call is not None:
            sock.settimeout(_present.call.left())  # all that TLS may take; connecting is done
        return sock

    def getresponse(self) -> Any:
        call = _present.call
        if call is not None:
            call.socket = self.sock
            if call.expired:  # before there was a socket that could be woken
                call.expire()
        return super().getresponse()


class _TimedTLS(_Timed, HTTPSConnection):
    pass


class Pool(HTTPConnectionPool):
    ConnectionCls = _Timed


class PoolTLS(HTTPSConnectionPool):
    ConnectionCls = _TimedTLS
