"""What readiness learns in the background: whether the settings name what Stripe has, and whether a
purchase can be stored. What is wrong with a price: tests/vendors/test_wanted_prices.py.
"""

from collections.abc import Iterator

import pytest
from service_under_test import (
    Log,
    MakeService,
    Service,
    days_ahead,
    execute,
    iso,
    price_questions,
    put_row,
)

from portal_service import readiness
from sandbox.world import STRIPE_KEY, World


@pytest.fixture
def a_table_that_refuses(world: World) -> Iterator[None]:
    execute(world, "alter table subscriptions add column tier text not null")
    yield
    execute(world, "alter table subscriptions drop column tier")


def looked(service: Service) -> dict[str, str]:
    """The checks of a look."""
    answer = service.root("/readyz")
    assert answer.status_code == 200  # all else can still be served
    return (answer.json or {})["checks"]


def test_all_is_there(make_service: MakeService, log: Log) -> None:
    assert set(looked(make_service()).values()) == {"up"}
    assert not [line for line in log.lines if line["level"] != "INFO"]


def test_a_price_that_can_not_be_sold_is_named_once_and_until_it_is_mended(
    world: World, service: Service, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "SETTINGS_EVERY_SECONDS", 0.0)
    monkeypatch.setattr("portal_service.prices.KEPT_SECONDS", 0.0)
    world.stripe.archive("price_pro")

    for _ in range(2):
        assert looked(service)["stripe"] == "degraded"
    line = log.line("STRIPE_PLANS names something")
    assert (line["level"], line["id"], line["reason"]) == ("ERROR", "price_pro", "is archived")
    assert "STRIPE_PLANS" in line["cure"]

    world.stripe.prices["price_pro"]["active"] = True
    looked(service)
    assert looked(service)["stripe"] == "up"


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


@pytest.mark.parametrize(
    "billing_owner, others", [("organization", "user_ada"), ("user", "org_acme")]
)
def test_rows_of_the_other_kind_of_owner_are_told_with_their_number(
    world: World, make_service: MakeService, log: Log, billing_owner: str, others: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(readiness, "SETTINGS_EVERY_SECONDS", 0.0)
    own = {"user_ada": "org_acme", "org_acme": "user_ada"}[others]
    for name, changes in {
        "sub_1": {"clerk_owner_id": others},
        "sub_2": {"clerk_owner_id": others, "status": "past_due"},
        "sub_3": {"clerk_owner_id": own},
        "sub_4": {"clerk_owner_id": None},
        "sub_5": {"clerk_owner_id": others, "livemode": True},
        "sub_6": {"clerk_owner_id": others, "status": "canceled", "ended_at": iso(days_ahead(-1))},
    }.items():
        put_row(world, stripe_subscription_id=name, **changes)
    service = make_service(billing_owner=billing_owner)

    for _ in range(2):
        assert set(looked(service).values()) == {"up"}
    line = log.line("subscriptions belong to nobody here")
    assert (line["level"], line["count"]) == ("WARNING", 2)
    assert line["billing_owner"] == billing_owner
    assert "docs/owners.md" in line["cure"]


def test_the_trial_stores_nothing(world: World, make_service: MakeService) -> None:
    looked(make_service())
    assert not world.rows()


def test_it_is_looked_up_every_few_minutes_and_never_by_a_probe(
    world: World, service: Service
) -> None:
    looked(service)
    asked = price_questions(world.stripe)
    sold = ("price_pro", "price_pro_year", "price_team", "price_team_year")
    assert sorted(asked) == [f"GET /v1/prices/{price}" for price in sold]

    for _ in range(5):
        service.root("/readyz")
    assert price_questions(world.stripe) == asked
    assert readiness.SETTINGS_EVERY_SECONDS >= 120


def test_a_stripe_that_does_not_answer_is_no_wrong_setting(
    world: World, service: Service, log: Log
) -> None:
    world.faults.stripe = "error"
    service.root("/readyz")
    assert "names something" not in log.text


def test_a_key_without_the_permission_is_one_line_and_no_fault(
    world: World, make_service: MakeService, ada: str, log: Log
) -> None:
    world.stripe.forbidden[STRIPE_KEY] = ["/v1/prices", "/v1/billing_portal/configurations"]

    assert looked(make_service(portal_configuration="bpc_x"))["stripe"] == "up"
    assert log.line("the Stripe key may not read prices")["level"] == "WARNING"
    assert log.line("the Stripe key may not read portal configurations")["level"] == "WARNING"
    assert not [line for line in log.lines if line["level"] == "ERROR"]
