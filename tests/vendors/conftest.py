"""The wires to Stripe and Supabase, on which a test says what the vendor answers."""

from collections.abc import Iterator, Mapping

import given
import httpx
import pytest
import responses
from alone import clock, in_tokyo, log, no_budget  # noqa: F401
from by_requests import exchange_by_requests
from stripe._http_client import HTTPClient
from supabase_answers import Supabase

from portal_service.connection import Answer
from portal_service.slots import Slots, TimedOut
from portal_service.stripe_api import Stripe
from portal_service.supabase_db import Database
from portal_service.transport import ConnectionLost, Transport, Unreachable

Headers = Mapping[str, str]


@pytest.fixture
def at_stripe(monkeypatch: pytest.MonkeyPatch) -> Iterator[responses.RequestsMock]:
    """What Stripe answers on the wire. The SDK does not sleep before it tries again."""
    monkeypatch.setattr(HTTPClient, "_sleep_time_seconds", lambda self, retries: 0)
    monkeypatch.setattr(Transport, "_exchange", exchange_by_requests)
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


@pytest.fixture
def ours() -> Stripe:
    """Our side of the wire."""
    return Stripe(given.settings())


@pytest.fixture
def supabase(monkeypatch: pytest.MonkeyPatch) -> Supabase:
    supabase = Supabase()

    def exchange(
        _: Transport, method: str, url: str, headers: Headers, body: bytes | None, seconds: float
    ) -> Answer:
        waits = {"timeout": httpx.Timeout(seconds).as_dict()}
        request = httpx.Request(method, url, headers=headers, content=body, extensions=waits)
        try:
            answer = supabase.handle(request)
        except httpx.TimeoutException as error:
            raise TimedOut from error
        except (httpx.ReadError, httpx.RemoteProtocolError) as error:
            raise ConnectionLost from error
        except httpx.HTTPError as error:
            raise Unreachable from error
        return Answer(answer.status_code, answer.headers, answer.content)

    monkeypatch.setattr(Transport, "_exchange", exchange)
    return supabase


@pytest.fixture(scope="module")
def _database() -> Database:
    """One for all, since a client takes its time to be made."""
    return Database(given.settings())


@pytest.fixture
def database(_database: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    """Nobody has asked it yet: whether it hangs is known of this test alone."""
    monkeypatch.setattr(_database._transport, "_slots", Slots(64))
    return _database
