"""The wires to Stripe and Supabase, on which a test says what the vendor answers."""

from collections.abc import Iterator

import given
import httpx
import pytest
import responses
from alone import clock, in_tokyo, log, no_budget  # noqa: F401
from stripe._http_client import HTTPClient
from supabase_answers import Supabase

from portal_service.stripe_api import Stripe
from portal_service.supabase_db import Database


@pytest.fixture
def at_stripe(monkeypatch: pytest.MonkeyPatch) -> Iterator[responses.RequestsMock]:
    """What Stripe answers on the wire. The SDK does not sleep before it tries again."""
    monkeypatch.setattr(HTTPClient, "_sleep_time_seconds", lambda self, retries: 0)
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


@pytest.fixture
def ours() -> Stripe:
    """Our side of the wire."""
    return Stripe(given.settings())


@pytest.fixture
def supabase(monkeypatch: pytest.MonkeyPatch) -> Supabase:
    supabase = Supabase()
    monkeypatch.setattr(
        httpx.HTTPTransport, "handle_request", lambda self, request: supabase.handle(self, request)
    )
    return supabase


@pytest.fixture(scope="module")
def database() -> Database:
    """One for all, since a client takes its time to be made."""
    return Database(given.settings())
