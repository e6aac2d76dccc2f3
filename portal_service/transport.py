"""The one way out: pooled HTTP under both vendors' SDKs and Clerk's key fetch. It asks `slots`
before it waits, keeps the time by `wall_clock`, tries a reset connection once more, and counts.
It knows no vendor's answers, and nothing of the requests that come in.

Nothing is read or opened before the first call: Gunicorn may load the app before it forks.
"""

import os
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

import certifi
import urllib3

from portal_service import deadline, last_call
from portal_service.metrics import VENDOR_IN_FLIGHT, VENDOR_REFUSED, VENDOR_RETRIES, VENDOR_SECONDS
from portal_service.slots import NoSlot, Slots, TimedOut
from portal_service.wall_clock import Call, Pool, PoolTLS, WallClock

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


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes  # decoded, whatever the wire's encoding


class Transport:
    """One per process.

    threads: how many requests the process serves at once; as many connections per host are kept.
    """

    def __init__(self, slots: Slots, threads: int) -> None:
        self._slots = slots
        self._threads = threads
        self._clock = WallClock()
        self._managers: dict[str, urllib3.PoolManager] = {}
        self._lock = threading.Lock()

    @classmethod
    def for_threads(cls, threads: int) -> "Transport":
        return cls(Slots(threads), threads)

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

        It must be safe to repeat: a connection that was reset is tried once more at once.
        timeout: seconds for one attempt, if the request's budget has as much left.
        Raises NoSlot, TimedOut, Unreachable, ConnectionLost, OutOfTime.
        """
        call = call_of(method, url)
        began = time.monotonic()
        try:
            with self._slots.asking(vendor), VENDOR_IN_FLIGHT.labels(vendor).track_inprogress():
                began = time.monotonic()
                try:
                    return self._exchange(method, url, headers, body, deadline.attempt(timeout))
                except ConnectionLost:
                    VENDOR_RETRIES.labels(vendor, call).inc()
                    return self._exchange(method, url, headers, body, deadline.attempt(timeout))
                finally:
                    seconds = time.monotonic() - began
                    VENDOR_SECONDS.labels(vendor, call).observe(seconds)
                    last_call.keep(call, seconds)
        except NoSlot as refused:
            VENDOR_REFUSED.labels(vendor, call, refused.reason).inc()
            raise

    def _exchange(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | str | None,
        seconds: float,
    ) -> Answer:
        call = Call(seconds)
        try:
            with self._clock.during(call):
                answer = self._manager(url).urlopen(
                    method,
                    url,
                    body=body,
                    headers=headers,
                    redirect=False,
                    retries=False,
                    timeout=urllib3.Timeout(total=seconds),
                )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise _translated(error, call, seconds) from error
        if call.expired:  # an answer without a length ends where its connection does
            raise _late(seconds)
        return Answer(answer.status, answer.headers, answer.data)

    def _manager(self, url: str) -> urllib3.PoolManager:
        parts = urlsplit(url)
        host = f"{parts.scheme}://{parts.netloc}"
        with self._lock:
            if host not in self._managers:
                self._managers[host] = self._new_manager(parts.scheme, _proxy_for(parts))
            return self._managers[host]

    def _new_manager(self, scheme: str, proxy: str | None) -> urllib3.PoolManager:
        kept: dict[str, Any] = {"maxsize": self._threads}
        if scheme == "https" or proxy:
            kept["ssl_context"] = self._tls
        manager = urllib3.ProxyManager(proxy, **kept) if proxy else urllib3.PoolManager(**kept)
        manager.pool_classes_by_scheme = {"http": Pool, "https": PoolTLS}
        return manager

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
        own = None if folder else certifi.where()
        return ssl.create_default_context(cafile=file or own, capath=folder)


def call_of(method: str, url: str) -> str:
    """What a metric and the log call it."""
    return f"{method} {template(url)}"


def template(url: str) -> str:
    """The path of an address with its ids left out."""
    parts = urlsplit(url).path.split("/")
    return "/".join(part if part in _WORDS or not part else "{id}" for part in parts)


def _proxy_for(url: SplitResult) -> str | None:
    """What HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY say, as curl reads them."""
    if proxy_bypass(url.netloc):
        return None
    proxies = getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    return proxy if proxy is None or "://" in proxy else f"http://{proxy}"


def _translated(error: Exception, call: Call, seconds: float) -> Exception:
    late = isinstance(error, (urllib3.exceptions.TimeoutError, TimeoutError))
    refused = isinstance(error, urllib3.exceptions.NewConnectionError)  # which it calls a time-out
    if call.expired or (late and not refused):
        return _late(seconds)
    if isinstance(error, (urllib3.exceptions.ProtocolError, ConnectionError)):
        return ConnectionLost(type(error).__name__)
    return Unreachable(f"{type(error).__name__}: {error}")


def _late(seconds: float) -> TimedOut:
    return TimedOut(counts=seconds >= _TELLING_SECONDS)
