"""One service, and two strangers to each other: whoever attacks, and those whose it is."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

sys.path += [str(Path(__file__).parents[1] / name) for name in ("integration", "schema")]

from attacker import Ids, Recorder, Wiretap, settled_victims  # noqa: E402
from leaks.watch import nothing_leaks  # noqa: E402, F401  (every test here is watched)
from service_under_test import APP_URL, Log, Service  # noqa: E402

from portal_service import Settings  # noqa: E402
from sandbox.stripe import api as stripe_api  # noqa: E402
from sandbox.supabase import api as supabase_api  # noqa: E402
from sandbox.web import Server  # noqa: E402
from sandbox.world import JWT_SECRET, STRIPE_KEY, World  # noqa: E402


@pytest.fixture(scope="session")
def wires(shared_world: World) -> Iterator[Wiretap]:
    """The world's Stripe and Supabase at addresses of their own, where every request is kept."""
    world = shared_world
    stripe = Recorder(
        stripe_api.create_app(world.stripe, world.faults, {STRIPE_KEY}, lambda: world.stripe_url)
    )
    supabase = Recorder(supabase_api.create_app(world.database_url, JWT_SECRET, world.faults))
    with Server(stripe) as stripe_server, Server(supabase) as supabase_server:
        yield Wiretap(stripe, supabase, stripe_server.url, supabase_server.url)


@pytest.fixture
def service(world: World, wires: Wiretap) -> Service:
    settings = Settings.from_environment(world.environment(APP_URL))
    settings = replace(
        settings,
        stripe_api_base=wires.stripe_url,
        supabase_url=wires.supabase_url,
        rate_limit="100000/minute",
        refresh_rate_limit="100000/minute",
    )
    return Service(world, settings, Log())


@pytest.fixture
def victims(service: Service, wires: Wiretap) -> Ids:
    """The identifiers of bob, who subscribes, and of cyd, who is at the checkout."""
    ids = settled_victims(service)
    wires.forget()
    return ids
