"""Whatever order the world takes, the row ends as Stripe's state. Which bugs these lives would find
is in mutants.py. `HYPOTHESIS_PROFILE=thorough` plays many more of them.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from lives import SCRIPTS
from simulation import Script, Stage
from steps import SteppedRealStripe
from table import connect

from portal_service import Settings
from portal_service.stripe_api import Stripe
from portal_service.supabase_db import Database
from sandbox.faults import Faults
from sandbox.stripe import api as stripe_api
from sandbox.supabase import api as supabase_api
from sandbox.web import Server
from sandbox.world import JWT_SECRET

THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"


@pytest.fixture(scope="module")
def plain(stage: Callable[..., Stage]) -> Stage:
    return stage()


@pytest.fixture(scope="module")
def over_http(table_url: str, simulated_settings: Settings) -> Iterator[Stage]:
    """With the service's own clients, and both stand-ins."""
    supabase = supabase_api.create_app(table_url, JWT_SECRET, Faults())
    with connect(table_url) as owner, Server(supabase) as supabase_server:
        stage = Stage(simulated_settings, owner, None)
        key = simulated_settings.stripe_secret_key
        with Server(stripe_api.create_app(stage.account, Faults(), {key})) as stripe_server:
            stage.settings = replace(
                simulated_settings,
                supabase_url=supabase_server.url,
                supabase_key=supabase_api.api_key("service_role", JWT_SECRET),
                stripe_api_base=stripe_server.url,
            )
            client = Stripe(stage.settings)
            stage.database = Database(stage.settings)
            stage.stripe = lambda scheduler, account: SteppedRealStripe(scheduler, client)
            yield stage


@settings(max_examples=20_000 if THOROUGH else 200, deadline=None)
@given(script=SCRIPTS)
def test_every_life_ends_in_the_right_row(plain: Stage, script: Script) -> None:
    plain.play(script)


@settings(max_examples=1_000 if THOROUGH else 10, deadline=None)
@given(script=SCRIPTS)
def test_and_so_it_does_over_http(over_http: Stage, script: Script) -> None:
    over_http.play(script)
