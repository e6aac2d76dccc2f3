"""A price or a portal configuration that Stripe can't use: 500 with variable and cure in the log,
and readiness says so before anybody clicks.
"""

import threading
from collections.abc import Callable

import pytest
from service_under_test import (
    Json,
    Log,
    MakeService,
    Service,
    calls,
    known_subscription,
    link,
    price_questions,
    refused,
)

from portal_service import health
from portal_service.config import Plan
from sandbox.world import STRIPE_KEY, World

BAD_PRICE = Plan("pro", ("price_of_live_mode",))


def archived(world: World) -> None:
    world.stripe.archive("price_pro")


def of_the_other_mode(world: World) -> None:
    world.stripe.prices["price_pro"]["livemode"] = True


def missing(world: World) -> None:
    del world.stripe.prices["price_pro"]


def once_only(world: World) -> None:
    world.stripe.prices["price_pro"] |= {"recurring": None, "type": "one_time"}


@pytest.mark.parametrize("wrong", [archived, of_the_other_mode, missing])
def test_checkout_is_not_configured_and_the_log_names_variable_and_cure(
    world: World, service: Service, log: Log, wrong: Callable[[World], None]
) -> None:
    wrong(world)

    refused(service.checkout(), "checkout_not_configured")
    (line,) = [one for one in log.lines if one.get("answer") == "checkout_not_configured"]
    assert line["level"] == "ERROR"
    assert "STRIPE_PLANS" in line["cure"] and "STRIPE_SECRET_KEY" in line["cure"]
    assert world.stripe.sessions == {}


def test_so_is_a_confirm_flow_to_such_a_price(world: World, service: Service, log: Log) -> None:
    known_subscription(service)
    world.stripe.archive("price_team")

    body = {"flow": "subscription_update_confirm", "plan": "team"}
    refused(service.portal(body=body), "checkout_not_configured")
    assert world.stripe.portal_sessions == {}


def test_another_plan_can_still_be_bought(world: World, service: Service) -> None:
    archived(world)
    assert service.checkout(body={"plan": "team"}).status_code == 200


@pytest.mark.parametrize("wrong", ["unknown", "archived"])
def test_the_portal_is_not_configured(
    world: World, make_service: MakeService, ada: str, log: Log, wrong: str
) -> None:
    (default,) = world.stripe.configurations.values()
    if wrong == "archived":
        world.stripe.configurations["bpc_ours"] = default | {
            "id": "bpc_ours",
            "is_default": False,
            "active": False,
        }
    link(world, world.stripe.create_customer()["id"])

    refused(make_service(portal_configuration="bpc_ours").portal(), "portal_not_configured")
    line = log.line("stripe call failed")
    assert line["level"] == "ERROR" and "STRIPE_PORTAL_CONFIGURATION" in line["cure"]


# Readiness


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probes look again each time."""
    monkeypatch.setattr(health, "CACHE_SECONDS", 0.0)


def after_the_look() -> None:
    for thread in threading.enumerate():
        if thread.name == health.LOOK_NAME:
            thread.join(10)


def stripe_state(service: Service) -> str:
    """What readiness says of Stripe, once what the settings name was looked up."""
    service.root("/readyz")
    after_the_look()
    answer = service.root("/readyz")
    assert answer.status_code == 200  # all else can still be served
    checks: Json = (answer.json or {})["checks"]
    return str(checks["stripe"])


@pytest.mark.parametrize(
    "wrong, reason",
    [
        (archived, "is archived"),
        (of_the_other_mode, "does not exist under this key"),
        (missing, "does not exist under this key"),
        (once_only, "is not recurring"),
    ],
)
def test_a_price_that_can_not_be_sold_is_degraded_and_named(
    world: World, service: Service, log: Log, wrong: Callable[[World], None], reason: str
) -> None:
    wrong(world)

    assert stripe_state(service) == "degraded"
    line = log.line("STRIPE_PLANS names something")
    assert (line["level"], line["id"], line["reason"]) == ("ERROR", "price_pro", reason)
    assert "STRIPE_PLANS" in line["cure"]


def test_an_old_price_of_a_plan_may_be_archived(
    world: World, make_service: MakeService, ada: str
) -> None:
    world.stripe.archive("price_pro_year")
    plan = Plan("pro", ("price_pro", "price_pro_year"))
    assert stripe_state(make_service(plans=(plan,))) == "up"


@pytest.mark.parametrize("wrong", ["unknown", "archived", None])
def test_a_portal_configuration_is_looked_up_too(
    world: World, make_service: MakeService, ada: str, log: Log, wrong: str | None
) -> None:
    (default,) = world.stripe.configurations.values()
    if wrong != "unknown":
        world.stripe.configurations["bpc_ours"] = default | {
            "id": "bpc_ours",
            "active": wrong is None,
        }

    state = stripe_state(make_service(portal_configuration="bpc_ours"))
    assert state == ("degraded" if wrong else "up")
    assert ("STRIPE_PORTAL_CONFIGURATION names something" in log.text) == bool(wrong)


def test_all_is_up_where_all_is_there(service: Service, log: Log) -> None:
    assert stripe_state(service) == "up"
    assert "names something" not in log.text


def test_it_is_told_once_and_over_when_it_is_mended(
    world: World, service: Service, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr("portal_service.plans.KEPT_SECONDS", 0.0)
    archived(world)
    for _ in range(3):
        assert stripe_state(service) == "degraded"
    assert log.line("STRIPE_PLANS names something")

    world.stripe.prices["price_pro"]["active"] = True
    stripe_state(service)
    assert stripe_state(service) == "up"


def test_it_is_looked_up_every_few_minutes_and_never_by_a_probe(
    world: World, service: Service
) -> None:
    stripe_state(service)
    asked = price_questions(world.stripe)
    assert sorted(asked) == ["GET /v1/prices/price_pro", "GET /v1/prices/price_team"]

    for _ in range(5):
        service.root("/readyz")
    after_the_look()
    assert price_questions(world.stripe) == asked
    assert health.LOOK_SECONDS >= 120


def test_a_stripe_that_does_not_answer_is_no_wrong_setting(
    world: World, service: Service, log: Log
) -> None:
    world.faults.stripe = "error"
    service.root("/readyz")
    after_the_look()
    assert "names something" not in log.text


def test_a_key_without_the_permission_is_one_line_and_no_fault(
    world: World, make_service: MakeService, ada: str, log: Log
) -> None:
    world.stripe.forbidden[STRIPE_KEY] = ["/v1/prices", "/v1/billing_portal/configurations"]

    assert stripe_state(make_service(portal_configuration="bpc_x")) == "up"
    assert log.line("the Stripe key may not read prices")["level"] == "WARNING"
    assert log.line("the Stripe key may not read portal configurations")["level"] == "WARNING"
    assert not [line for line in log.lines if line["level"] == "ERROR"]
    assert "GET /v1/prices/price_pro" not in calls(world.stripe)
