"""POST /portal with subscription_update_confirm: Stripe's page that shows what a change costs. And
what no flow can show for a subscription.
"""

from typing import Any

import pytest
from service_under_test import (
    APP_URL,
    Json,
    MakeService,
    Service,
    calls,
    known_subscription,
    put_row,
    refused,
    subscribe,
)

from portal_service.config import Plan
from sandbox.world import World

CONFIRM = "subscription_update_confirm"
PLANS = (
    Plan("pro", ("price_pro", "price_pro_year"), ("prod_pro",)),
    Plan("team", ("price_team", "price_team_year"), ("prod_team",)),
    Plan("usage", ("price_metered",), ("prod_metered",)),
)


@pytest.fixture
def service(make_service: MakeService, ada: str) -> Service:
    return make_service(plans=PLANS)


def only_session(world: World) -> Json:
    (session,) = world.stripe.portal_sessions.values()
    return session


def item(world: World) -> Json:
    """What Stripe's page shows as the change."""
    (only,) = only_session(world)["flow"][CONFIRM]["items"]
    return dict(only)


@pytest.mark.parametrize(
    "wish, price, quantity",
    [
        ({"plan": "team"}, "price_team", 3),
        ({"plan": "team", "interval": "year"}, "price_team_year", 3),
        ({"plan": "pro", "interval": "year"}, "price_pro_year", 3),
        ({"interval": "year"}, "price_pro_year", 3),
        ({"price": "price_team_year"}, "price_team_year", 3),
        ({"plan": "team", "quantity": 10}, "price_team", 10),
        ({"price": "price_team", "quantity": 1}, "price_team", 1),
        ({"quantity": 7}, "price_pro", 7),
        ({"plan": "pro", "quantity": 7}, "price_pro", 7),
    ],
)
def test_it_opens_the_page_that_confirms_the_change(
    world: World, service: Service, wish: Json, price: str, quantity: int
) -> None:
    subscription = known_subscription(service, quantity=3)

    answer = service.portal(body={"flow": CONFIRM, "return_path": "/done", **wish})
    assert answer.status_code == 200, answer.text
    session = only_session(world)
    assert session["flow"]["type"] == CONFIRM
    assert session["flow"][CONFIRM]["subscription"] == subscription["id"]
    assert item(world) == {
        "id": subscription["items"]["data"][0]["id"],
        "price": price,
        "quantity": quantity,
    }
    after = session["flow"]["after_completion"]
    assert after["redirect"]["return_url"] == f"{APP_URL}/done"


def test_the_plan_is_taken_at_the_present_interval(world: World, service: Service) -> None:
    known_subscription(service, "price_pro_year")
    assert service.portal(body={"flow": CONFIRM, "plan": "team"}).status_code == 200
    assert item(world)["price"] == "price_team_year"


@pytest.mark.parametrize(
    "wish",
    [{"plan": "pro"}, {"price": "price_pro"}, {"quantity": 3}, {"plan": "pro", "quantity": 3},
     {"interval": "month"}],
)  # fmt: skip
def test_a_change_to_what_is_there_opens_the_plain_portal(
    world: World, service: Service, wish: Json
) -> None:
    known_subscription(service, quantity=3)
    assert service.portal(body={"flow": CONFIRM, **wish}).status_code == 200
    assert only_session(world)["flow"] is None


def test_what_is_there_is_what_stripe_says(world: World, service: Service) -> None:
    """The webhook of the last change has not come."""
    subscription = known_subscription(service)
    world.stripe.act(subscription["id"], "change_plan", price="price_team")

    assert service.portal(body={"flow": CONFIRM, "plan": "team"}).status_code == 200
    assert only_session(world)["flow"] is None


def test_to_a_metered_price_no_quantity_is_sent(world: World, service: Service) -> None:
    (default,) = world.stripe.configurations.values()
    default["features"]["subscription_update"]["products"].append(
        {"product": "prod_metered", "prices": ["price_metered"],
         "adjustable_quantity": {"enabled": False, "minimum": 1, "maximum": None}}
    )  # fmt: skip
    known_subscription(service, quantity=3)

    answer = service.portal(body={"flow": CONFIRM, "plan": "usage"})
    assert answer.status_code == 200, answer.text
    assert item(world)["price"] == "price_metered"
    assert item(world).get("quantity") is None


# What is refused


@pytest.mark.parametrize(
    "wish",
    [
        {},
        {"plan": "gold"},
        {"price": "price_other"},
        {"price": "price_team", "interval": "month"},
        {"plan": "team", "interval": "fortnight"},
        {"quantity": 0},
    ],
)
def test_a_change_that_is_none_is_refused_before_stripe_is_asked(
    world: World, service: Service, wish: Json
) -> None:
    known_subscription(service)
    refused(service.portal(body={"flow": CONFIRM, **wish}), "invalid_request")
    assert calls(world.stripe) == []


def test_an_interval_that_is_not_sold_is_refused_with_those_that_are(
    world: World, service: Service
) -> None:
    known_subscription(service)
    body = {"flow": CONFIRM, "plan": "team", "interval": "week"}
    sentence = refused(service.portal(body=body), "invalid_request")["error"]
    assert "month" in sentence and "year" in sentence
    assert world.stripe.portal_sessions == {}


@pytest.mark.parametrize(
    "flow",
    [None, "payment_method_update", "subscription_cancel", "subscription_update",
     "subscription_pause", "customer_update"],
)  # fmt: skip
def test_no_other_flow_takes_these_fields(world: World, service: Service, flow: str | None) -> None:
    known_subscription(service)
    fields: list[Json] = [
        {"plan": "team"}, {"price": "price_team"}, {"interval": "year"}, {"quantity": 2},
    ]  # fmt: skip
    for field in fields:
        body = field if flow is None else {"flow": flow, **field}
        refused(service.portal(body=body), "invalid_request")
    assert calls(world.stripe) == []


def test_without_a_running_subscription_there_is_nothing_to_change(
    world: World, service: Service
) -> None:
    put_row(world, status="canceled", stripe_customer_id=world.stripe.create_customer()["id"])
    refused(service.portal(body={"flow": CONFIRM, "plan": "team"}), "no_subscription")


def test_what_the_configuration_forbids_is_stripes_refusal(world: World, service: Service) -> None:
    known_subscription(service)
    (default,) = world.stripe.configurations.values()
    default["features"]["subscription_update"]["enabled"] = False
    refused(service.portal(body={"flow": CONFIRM, "plan": "team"}), "stripe_refused")


# What Stripe can't show in a flow


@pytest.mark.parametrize(
    "body", [{"flow": "subscription_update"}, {"flow": CONFIRM, "plan": "team"}]
)
def test_with_several_items_the_plain_portal_opens(
    world: World, service: Service, body: Json
) -> None:
    subscribe(service, ("price_pro", 1), ("price_other", 2))
    assert service.portal(body=body).status_code == 200
    assert only_session(world)["flow"] is None


@pytest.mark.parametrize(
    "body", [{"flow": "subscription_update"}, {"flow": CONFIRM, "plan": "team"}]
)
def test_with_a_schedule_the_plain_portal_opens(world: World, service: Service, body: Any) -> None:
    subscription = known_subscription(service)
    world.stripe.subscriptions[subscription["id"]]["schedule"] = "sub_sched_1"
    assert service.portal(body=body).status_code == 200
    assert only_session(world)["flow"] is None
