"""POST /portal: a session of the customer portal for the caller's own customer, and its flows.

Where it comes back to: test_return_addresses.py; a customer that is gone: test_gone_customers.py.
"""

from typing import Any

import pytest
from service_under_test import (
    APP_URL,
    Json,
    MakeService,
    Service,
    calls,
    execute,
    last_event,
    link,
    put_row,
    refused,
    rows,
)

from sandbox.world import World

CREATE = "POST /v1/billing_portal/sessions"


def only_session(world: World) -> Json:
    (session,) = world.stripe.portal_sessions.values()
    return session


@pytest.fixture
def subscription(world: World, service: Service) -> Json:
    """ada's active subscription, known to Stripe and in the table."""
    subscription = world.stripe.create_subscription("user_ada", "price_pro")
    assert service.outcome(last_event(world.stripe)) == "refreshed"
    world.stripe.calls.clear()
    return subscription


def test_no_body_at_all_opens_the_portal_of_the_callers_customer(
    world: World, service: Service, subscription: Json
) -> None:
    answer = service.portal()

    session = only_session(world)
    assert (answer.status_code, answer.json) == (200, {"url": session["url"]})
    assert session["customer"] == subscription["customer"]
    assert session["return_url"] == f"{APP_URL}/dashboard"
    assert (session["flow"], session["locale"]) == (None, None)
    assert calls(world.stripe) == [CREATE]


def test_a_field_that_is_null_counts_as_left_out(
    world: World, service: Service, subscription: Json
) -> None:
    body = {"flow": None, "return_path": None, "locale": None}

    assert service.portal(body=body).status_code == 200
    assert only_session(world)["return_url"] == f"{APP_URL}/dashboard"


# Whose portal


def test_the_customer_of_the_running_row_wins_over_the_linked_one(
    world: World, service: Service
) -> None:
    old = world.stripe.create_customer()["id"]
    live = world.stripe.create_customer()["id"]
    link(world, old)
    put_row(world, stripe_customer_id=live)

    assert service.portal().status_code == 200
    assert only_session(world)["customer"] == live


def test_the_linked_customer_wins_over_that_of_an_ended_row(world: World, service: Service) -> None:
    old = world.stripe.create_customer()["id"]
    new = world.stripe.create_customer()["id"]
    link(world, new)
    put_row(world, stripe_customer_id=old, status="canceled")

    assert service.portal().status_code == 200
    assert only_session(world)["customer"] == new


@pytest.mark.parametrize("status", ["canceled", "past_due", "incomplete", "paused"])
def test_the_portal_is_open_to_everyone_who_has_a_customer(
    world: World, service: Service, status: str
) -> None:
    customer = world.stripe.create_customer()["id"]
    put_row(world, stripe_customer_id=customer, status=status)

    assert service.portal().status_code == 200
    assert only_session(world)["customer"] == customer


def test_a_customer_without_any_row_is_enough(world: World, service: Service) -> None:
    customer = world.stripe.create_customer()["id"]
    link(world, customer)

    assert service.portal().status_code == 200
    assert only_session(world)["customer"] == customer


def test_a_row_without_a_subscription_id_counts_by_its_customer(
    world: World, service: Service
) -> None:
    customer = world.stripe.create_customer()["id"]
    execute(world, "alter table subscriptions drop constraint subscriptions_pkey")
    execute(world, "alter table subscriptions alter stripe_subscription_id drop not null")
    try:
        put_row(world, stripe_subscription_id=None, stripe_customer_id=customer, status=None)
        answer = service.portal()
    finally:
        execute(world, "delete from subscriptions")
        execute(world, "alter table subscriptions add primary key (stripe_subscription_id)")

    assert answer.status_code == 200
    assert only_session(world)["customer"] == customer


def test_a_running_row_without_a_customer_leaves_that_of_another_row(
    world: World, service: Service
) -> None:
    customer = world.stripe.create_customer()["id"]
    put_row(world, stripe_customer_id=None)
    put_row(world, stripe_subscription_id="sub_old", stripe_customer_id=customer, status="canceled")

    assert service.portal().status_code == 200
    assert only_session(world)["customer"] == customer


def test_a_row_without_a_customer_has_no_subscription(world: World, service: Service) -> None:
    put_row(world, stripe_customer_id=None)

    refused(service.portal(), "no_subscription")
    assert calls(world.stripe) == []


def test_a_row_without_a_customer_of_an_owner_whom_the_app_does_not_know(
    world: World, service: Service
) -> None:
    put_row(world, stripe_customer_id=None, user_id=None)
    execute(world, "update subscriptions set clerk_owner_id = 'user_stranger'")

    refused(service.portal("stranger"), "user_not_found")


def test_a_user_whom_the_apps_tables_do_not_know_can_have_a_customer(
    world: World, service: Service
) -> None:
    customer = world.stripe.create_customer()["id"]
    link(world, customer, user="stranger")

    assert service.portal("stranger").status_code == 200
    assert only_session(world)["customer"] == customer


def test_somebody_elses_customer_is_out_of_reach(
    world: World, service: Service, subscription: Json
) -> None:
    world.add_user("eve")

    refused(service.portal("eve"), "no_subscription")
    for field in ("customer", "customer_id", "subscription", "user_id"):
        sent = {field: subscription["customer"]}
        refused(service.portal("eve", sent), "invalid_request")
    assert not world.stripe.portal_sessions


def test_neither_a_user_nor_a_customer_is_user_not_found(service: Service) -> None:
    assert refused(service.portal("stranger"), "user_not_found")["error"] == "User not found"


def test_a_user_without_a_customer_has_no_subscription(world: World, service: Service) -> None:
    assert refused(service.portal(), "no_subscription")["error"] == "No subscription found"
    assert calls(world.stripe) == []


# Flows


@pytest.mark.parametrize(
    "flow",
    ["payment_method_update", "subscription_cancel", "subscription_update", "subscription_pause"],
)  # fmt: skip
def test_a_flow_is_about_the_running_subscription_and_comes_back(
    world: World, service: Service, subscription: Json, flow: str
) -> None:
    assert service.portal(body={"flow": flow, "return_path": "/done"}).status_code == 200

    session = only_session(world)
    assert session["flow"]["type"] == flow
    assert session["flow"]["after_completion"]["type"] == "redirect"
    assert session["flow"]["after_completion"]["redirect"] == {"return_url": f"{APP_URL}/done"}
    if flow != "payment_method_update":
        assert session["flow"][flow]["subscription"] == subscription["id"]


def test_a_flow_without_a_return_path_comes_back_to_the_default_one(
    world: World, service: Service, subscription: Json
) -> None:
    assert service.portal(body={"flow": "payment_method_update"}).status_code == 200
    after = only_session(world)["flow"]["after_completion"]
    assert after["redirect"] == {"return_url": f"{APP_URL}/dashboard"}


def test_a_flow_takes_the_best_of_several_running_subscriptions(
    world: World, service: Service, subscription: Json
) -> None:
    team = world.stripe.create_subscription("user_ada", "price_team")
    service.outcome(last_event(world.stripe))

    assert service.portal(body={"flow": "subscription_update"}).status_code == 200
    flow = only_session(world)["flow"]
    assert flow["subscription_update"]["subscription"] == team["id"]


@pytest.mark.parametrize("flow", ["payment_method_update", "customer_update"])
@pytest.mark.parametrize("held", ["an ended row", "a customer alone"])
def test_a_flow_about_the_customer_needs_no_running_subscription(
    world: World, service: Service, flow: str, held: str
) -> None:
    customer = world.stripe.create_customer()["id"]
    if held == "an ended row":
        put_row(world, stripe_customer_id=customer, status="canceled")
    else:
        link(world, customer)

    assert service.portal(body={"flow": flow}).status_code == 200
    session = only_session(world)
    assert (session["customer"], session["flow"]["type"]) == (customer, flow)


@pytest.mark.parametrize(
    "flow", ["subscription_cancel", "subscription_update", "subscription_pause"]
)
@pytest.mark.parametrize("held", ["an ended row", "a customer alone"])
def test_a_flow_about_a_subscription_without_a_running_one_is_refused(
    world: World, service: Service, flow: str, held: str
) -> None:
    customer = world.stripe.create_customer()["id"]
    if held == "an ended row":
        put_row(world, stripe_customer_id=customer, status="canceled")
    else:
        link(world, customer)

    refused(service.portal(body={"flow": flow}), "no_subscription")
    assert calls(world.stripe) == []


@pytest.mark.parametrize("form", ["flexible", "classic"])
def test_what_is_set_to_end_can_be_changed_and_not_cancelled_twice(
    world: World, service: Service, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.stripe, "billing_mode", form)
    subscription = world.stripe.create_subscription("user_ada", "price_pro")
    world.stripe.act(subscription["id"], "cancel_at_period_end")
    service.outcome(last_event(world.stripe))

    assert service.portal(body={"flow": "subscription_cancel"}).status_code == 200
    assert only_session(world)["flow"] is None
    world.stripe.portal_sessions.clear()
    assert service.portal(body={"flow": "subscription_update"}).status_code == 200
    assert only_session(world)["flow"]["type"] == "subscription_update"


@pytest.mark.parametrize("wish", [{"flow": "subscription_renew"}, {"locale": 7, "flow": "x"}])
def test_a_bad_wish_is_refused_before_anybody_is_asked(
    world: World, service: Service, wish: dict[str, Any]
) -> None:
    world.faults.database = "down"

    refused(service.portal(body=wish), "invalid_request")
    assert calls(world.stripe) == []


def test_a_flow_that_the_configuration_forbids_is_stripes_refusal(
    world: World, service: Service, subscription: Json
) -> None:
    (default,) = world.stripe.configurations.values()
    default["features"]["subscription_update"]["enabled"] = False

    refused(service.portal(body={"flow": "subscription_update"}), "stripe_refused")


def test_the_configuration_is_a_setting(
    world: World, make_service: MakeService, subscription: Json
) -> None:
    (default,) = world.stripe.configurations.values()
    ours = {**default, "id": "bpc_ours", "is_default": False}
    world.stripe.configurations["bpc_ours"] = ours

    assert make_service(portal_configuration="bpc_ours").portal().status_code == 200
    assert only_session(world)["configuration"] == "bpc_ours"


def test_a_flow_about_a_subscription_that_stripe_lost_ends_its_row(
    world: World, service: Service
) -> None:
    link(world, world.stripe.create_customer()["id"])
    put_row(world, stripe_customer_id=next(iter(world.stripe.customers)))
    confirm = {"flow": "subscription_update_confirm", "plan": "team"}

    refused(service.portal(body=confirm), "no_subscription")
    assert rows(world)["sub_row"]["status"] == "canceled"


@pytest.mark.parametrize("wanted, sent", [("en-AU", "en-AU"), ("hi-IN", "auto"), ("xx", "auto")])
def test_a_locale_is_matched_to_the_list_of_the_portal(
    world: World, service: Service, subscription: Json, wanted: str, sent: str
) -> None:
    assert service.portal(body={"locale": wanted}).status_code == 200
    assert only_session(world)["locale"] == sent
