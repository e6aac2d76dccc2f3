"""A price or a portal configuration that Stripe can't use: 500, with variable and cure in the log.
That readiness says so before anybody clicks: tests/contract/test_readiness_in_background.py.
"""

from collections.abc import Callable

import pytest
from service_under_test import Log, MakeService, Service, known_subscription, link, refused

from sandbox.world import World


def archived(world: World) -> None:
    world.stripe.archive("price_pro")


def of_the_other_mode(world: World) -> None:
    world.stripe.prices["price_pro"]["livemode"] = True


def missing(world: World) -> None:
    del world.stripe.prices["price_pro"]


def paid_once(world: World) -> None:
    world.stripe.prices["price_pro"] |= {"recurring": None, "type": "one_time"}


@pytest.mark.parametrize("wrong", [archived, of_the_other_mode, missing, paid_once])
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
    for price in ("price_team", "price_team_year"):
        world.stripe.archive(price)

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
