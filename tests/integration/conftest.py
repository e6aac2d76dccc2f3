"""The service in this process, against the real Postgres and the stand-ins of the sandbox."""

import ssl
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from leaks.watch import nothing_leaks  # noqa: F401  (every test here is watched)
from service_under_test import APP_URL, Clock, Log, MakeService, OtherStripe, Service

from portal_service import Settings
from sandbox.web import Server
from sandbox.world import World


@pytest.fixture(scope="module", autouse=True)
def one_ssl_context() -> Iterator[None]:
    """Each client of the database reads all certificates of the world, which takes longer than most
    tests; and nobody here speaks TLS.
    """
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("ssl.create_default_context", cache(ssl.create_default_context))
        yield


@pytest.fixture
def settings(world: World) -> Settings:
    return Settings.from_environment(world.environment(APP_URL))


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def make_service(log: Log, world: World, settings: Settings) -> MakeService:
    """Makes a service with some settings changed."""

    def make(**changes: Any) -> Service:
        return Service(world, replace(settings, **changes), log)

    return make


@pytest.fixture
def service(make_service: MakeService, ada: str) -> Service:
    """A service with the settings of the sandbox, and ada among the app's users."""
    return make_service()


@pytest.fixture
def ada(world: World) -> str:
    """The id of ada's row in the app's own table."""
    return world.add_user("ada")


@pytest.fixture
def clock(world: World, monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock(world.stripe.clock())
    monkeypatch.setattr(world.stripe, "clock", clock)
    return clock


@pytest.fixture(scope="session")
def _test_stripe() -> Iterator[OtherStripe]:
    yield from _served(OtherStripe(livemode=False))


@pytest.fixture(scope="session")
def _live_stripe() -> Iterator[OtherStripe]:
    yield from _served(OtherStripe(livemode=True))


def _served(stripe: OtherStripe) -> Iterator[OtherStripe]:
    with Server(stripe.app) as server:
        stripe.url = server.url
        yield stripe


@pytest.fixture
def other_stripe(_test_stripe: OtherStripe) -> OtherStripe:
    """An account in test mode whose answers can be held back."""
    _test_stripe.forget()
    return _test_stripe


@pytest.fixture
def live_stripe(_live_stripe: OtherStripe) -> OtherStripe:
    """An account in live mode."""
    _live_stripe.forget()
    return _live_stripe


@pytest.fixture
def service_at(make_service: MakeService, ada: str) -> Callable[..., Service]:
    """Makes a service whose Stripe is another one."""

    def make(stripe: OtherStripe, **changes: Any) -> Service:
        return make_service(stripe_secret_key=stripe.key, stripe_api_base=stripe.url, **changes)

    return make
