"""What readiness learns beside the probes: whether the settings name what Stripe has, and whether a
purchase can be stored.
"""

import threading
from collections.abc import Iterator

import pytest
from service_under_test import Log, MakeService, Service, calls, execute

from portal_service import health
from sandbox.world import World


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "CACHE_SECONDS", 0.0)


@pytest.fixture
def a_table_that_refuses(world: World) -> Iterator[None]:
    execute(world, "alter table subscriptions add column tier text not null")
    yield
    execute(world, "alter table subscriptions drop column tier")


def looked(service: Service) -> dict[str, str]:
    """The checks, once the look that the first probe begins is over."""
    service.root("/readyz")
    for thread in threading.enumerate():
        if thread.name == health.LOOK_NAME:
            thread.join()
    answer = service.root("/readyz")
    assert answer.status_code == 200
    return (answer.json or {})["checks"]


def test_all_is_there(make_service: MakeService, log: Log) -> None:
    assert set(looked(make_service()).values()) == {"up"}
    assert not [line for line in log.lines if line["level"] != "INFO"]


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"id": "price_of_the_other_mode"}, "does not exist under this key"),
        ({"active": False}, "is archived"),
        ({"recurring": None}, "is not recurring"),
    ],
)
def test_a_price_that_can_not_be_sold_is_named(
    world: World, make_service: MakeService, log: Log, change: dict[str, object], reason: str
) -> None:
    price = world.stripe.prices.pop("price_pro") | change
    world.stripe.prices[str(price["id"])] = price

    assert looked(make_service())["stripe"] == "degraded"
    line = log.line("STRIPE_PLANS names something")
    assert (line["level"], line["id"], line["reason"]) == ("ERROR", "price_pro", reason)
    assert "STRIPE_PLANS" in line["cure"]


def test_a_portal_configuration_that_is_not_there_is_named(
    make_service: MakeService, log: Log
) -> None:
    service = make_service(portal_configuration="bpc_other")

    assert looked(service)["stripe"] == "degraded"
    line = log.line("STRIPE_PORTAL_CONFIGURATION names something")
    assert (line["id"], line["reason"]) == ("bpc_other", "does not exist under this key")


def test_a_table_that_refuses_a_purchase_is_told(
    make_service: MakeService, log: Log, a_table_that_refuses: None
) -> None:
    assert looked(make_service())["schema"] == "degraded"
    line = log.line("a purchase can't be stored")
    assert line["level"] == "ERROR" and "tier" in line["vendor_message"]


def test_the_trial_stores_nothing(world: World, make_service: MakeService) -> None:
    looked(make_service())
    assert not world.rows()


def test_a_probe_does_not_look_again_within_minutes(
    world: World, make_service: MakeService
) -> None:
    service = make_service()
    looked(service)
    asked = [call for call in calls(world.stripe) if "/prices/" in call]
    looked(service)
    assert [call for call in calls(world.stripe) if "/prices/" in call] == asked
