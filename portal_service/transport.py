"""The one way out: HTTP under both vendors' SDKs and Clerk's key fetch, over connections that are
kept. It asks `slots` before it waits, tries a lost connection once more, and counts. It knows no
vendor's answers, and nothing of the requests that come in. What a connection does: connection.py.

Nothing is read or opened before the first call: Gunicorn may load the app before it forks.
"""

import base64
import os
import ssl
import time
import weakref
import zlib
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property, lru_cache
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import certifi
import httptools

from portal_service import deadline, last_call
from portal_service.connection import Answer, Connection, request_bytes
from portal_service.metrics import VENDOR_IN_FLIGHT, VENDOR_REFUSED, VENDOR_RETRIES, VENDOR_SECONDS
from portal_service.slots import NoSlot, Slots, TimedOut
from portal_service.tracing import call_span, note_status

# A time-out after less says that our budget was spent, not that the vendor hangs.
_TELLING_SECONDS = 1.0

# The parts of addresses that are no ids: what a metric's label may show.
_WORDS = frozenset(
    {
        *("v1", "billing_portal", "checkout", "configurations", "customers", "events", "expire"),
        *("prices", "products", "sessions", "subscription_items", "subscriptions"),
        *("release", "subscription_schedules"),
        *("rest", "rpc", "billing_account", "billing_customers", "billing_trial_write"),
        *("forget_owner", "gone_customers", "link_customer", "mark_customer"),
        *("upsert_subscription", "billing_hold_sync", "billing_end_sync", "billing_syncs"),
        *(".well-known", "jwks.json"),
    }
)


class Unreachable(Exception):
    """Raised when there was no connection: no such name, refused, a bad certificate."""


class ConnectionLost(Exception):
    """Raised when the connection broke before the whole answer was there, twice in a row."""


# All that `Transport.ask` raises.
NO_ANSWER = (NoSlot, TimedOut, Unreachable, ConnectionLost, deadline.OutOfTime)


class Transport:
    """One per process."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._hosts: dict[str, _Host] = {}

    @classmethod
    def for_threads(cls, threads: int) -> "Transport":
        """threads: how many requests the process serves at once."""
        return cls(Slots(threads))

    def ask(
        self,
        vendor: str,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | str | None,
        timeout: float,
    ) -> Answer:
        """One call, whose answer may be anything that HTTP allows; redirects are not followed.

        It must be safe to repeat: a connection that was lost is tried once more at once.
        method: not HEAD. timeout: seconds for one attempt, if the request's budget has as much
        left. Raises NoSlot, TimedOut, Unreachable, ConnectionLost, OutOfTime.
        """
        call = call_of(method, url)
        began = time.monotonic()
        try:
            with (
                self._slots.asking(vendor),
                VENDOR_IN_FLIGHT.labels(vendor).track_inprogress(),
                call_span(vendor, call) as span,
            ):
                began = time.monotonic()
                try:
                    answer = self._exchange(method, url, headers, body, deadline.attempt(timeout))
                except ConnectionLost:
                    VENDOR_RETRIES.labels(vendor, call).inc()
                    answer = self._exchange(method, url, headers, body, deadline.attempt(timeout))
                finally:
                    seconds = time.monotonic() - began
                    VENDOR_SECONDS.labels(vendor, call).observe(seconds)
                    last_call.keep(call, seconds)
                note_status(span, answer.status)
                return answer
        except NoSlot as refused:
            VENDOR_REFUSED.labels(vendor, call, refused.reason).inc()
            raise

    def refuse_while_resting(self, vendor: str) -> None:
        """For who would do other work before asking, for nothing. Raises NoSlot."""
        try:
            self._slots.refuse_while_resting(vendor)
        except NoSlot as refused:
            VENDOR_REFUSED.labels(vendor, "any", refused.reason).inc()
            raise

    def _exchange(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | str | None,
        seconds: float,
    ) -> Answer:
        until = time.monotonic() + seconds
        parts = urlsplit(url)
        try:
            host = self._host(parts)
            request = request_bytes(method, host.target(parts), parts.netloc, headers, body)
            return host.ask(request, until)
        except (OSError, UnicodeError, httptools.HttpParserError, zlib.error) as error:
            raise _translated(error, seconds) from error

    def _host(self, parts: SplitResult) -> "_Host":
        name = f"{parts.scheme}://{parts.netloc}"
        if name not in self._hosts:
            tls = self._tls if parts.scheme == "https" else None
            self._hosts.setdefault(name, _Host(parts, tls))
        return self._hosts[name]

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
        own = None if folder else certifi.where()
        return ssl.create_default_context(cafile=file or own, capath=folder)


class _Host:
    """How a host is reached, and the connections to it that wait for their next call: never more
    than there were calls at once.
    """

    def __init__(self, parts: SplitResult, tls: ssl.SSLContext | None) -> None:
        self._name = parts.hostname or ""
        self._port = parts.port or (443 if tls else 80)
        self._tls = tls
        self._proxy = _proxy_for(parts)
        self._idle: list[Connection] = []
        weakref.finalize(self, _close, self._idle)  # once nobody uses the transport any more

    def target(self, parts: SplitResult) -> str:
        """What the request line names: for a proxy that does not connect us through, all of it."""
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        is_told_all = self._proxy and not self._tls
        return f"{parts.scheme}://{parts.netloc}{path}" if is_told_all else path

    def ask(self, request: bytes, until: float) -> Answer:
        """Raises as Connection does."""
        connection = self._kept() or self._new(until)
        try:
            answer = connection.ask(request, until)
        except BaseException as error:
            connection.close()
            if isinstance(error, ConnectionError):
                _close(self._idle)  # they may be lost as well: who tries again gets a new one
            raise
        if connection.may_be_kept:
            self._idle.append(connection)
        else:
            connection.close()
        return answer

    def _kept(self) -> Connection | None:
        with suppress(IndexError):  # there is none, or another thread was faster
            while connection := self._idle.pop():
                if not connection.is_dropped():
                    return connection
                connection.close()
        return None

    def _new(self, until: float) -> Connection:
        via = self._proxy
        name, port = (via.hostname or "", via.port or 80) if via else (self._name, self._port)
        connection = Connection.to(name, port, until)
        try:
            if self._tls and via:
                connection.tunnel(f"{self._name}:{self._port}", _authorization(via), until)
            if self._tls:
                connection.encrypt(self._tls, self._name, until)
        except BaseException:
            connection.close()
            raise
        return connection


def _close(idle: list[Connection]) -> None:
    with suppress(IndexError):
        while True:
            idle.pop().close()


@lru_cache(maxsize=256)
def call_of(method: str, url: str) -> str:
    """What a metric and the log call it."""
    return f"{method} {template(url)}"


def template(url: str) -> str:
    """The path of an address with its ids left out."""
    parts = urlsplit(url).path.split("/")
    return "/".join(part if part in _WORDS or not part else "{id}" for part in parts)


def _proxy_for(url: SplitResult) -> SplitResult | None:
    """What HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY say, as curl reads them. Raises OSError
    for a proxy that is not spoken to in plain HTTP.
    """
    if proxy_bypass(url.netloc):
        return None
    proxies = getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    if proxy is None:
        return None
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    if parts.scheme != "http":
        raise OSError(f"a proxy by {parts.scheme} is not supported")
    return parts


def _authorization(proxy: SplitResult) -> str | None:
    if proxy.username is None:
        return None
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


def _translated(error: Exception, seconds: float) -> Exception:
    """seconds: that the attempt was given."""
    if isinstance(error, TimeoutError):
        return TimedOut(counts=seconds >= _TELLING_SECONDS)
    broken = isinstance(error, (ConnectionError, httptools.HttpParserError, zlib.error))
    if broken and not isinstance(error, ConnectionRefusedError):
        return ConnectionLost(type(error).__name__)
    return Unreachable(f"{type(error).__name__}: {error}")
