"""POST /checkout: a Checkout session for the caller: what is sold, to which customer, and with what
parameters. Who is sold nothing: test_already_subscribed.py; of several sessions:
test_open_sessions.py; a customer that is gone: test_gone_customers.py.
"""

from collections.abc import Callable

import pytest
from service_under_test import (
    APP_URL,
    Json,
    Log,
    MakeService,
    OtherStripe,
    Service,
    calls,
    execute,
    last_event,
    link,
    linked,
    order_of,
    put_row,
    refused,
    session_of,
)

from sandbox.world import World

CUSTOMERS = "POST /v1/customers"
LIST_SUBSCRIPTIONS = "GET /v1/subscriptions"
LIST_SESSIONS = "GET /v1/checkout/sessions"
CREATE = "POST /v1/checkout/sessions"


# What is sold, and for whom


def test_no_body_at_all_sells_the_first_plan_to_a_customer_that_is_kept(
    world: World, service: Service
) -> None:
    answer = service.checkout()

    (customer,) = world.stripe.customers.values()
    order = order_of(world.stripe, answer)
    fingerprint = order["metadata"].pop("portal_service_fingerprint")
    assert fingerprint
    assert order == {
        "mode": "subscription",
        "customer": customer["id"],
        "line_items": [{"price": "price_pro", "quantity": 1}],
        "success_url": f"{APP_URL}/dashboard?checkout_session_id={{CHECKOUT_SESSION_ID}}",
        "cancel_url": f"{APP_URL}/dashboard",
        "client_reference_id": "user_ada",
        "metadata": {"clerk_user_id": "user_ada"},
        "subscription_data": {"metadata": {"clerk_user_id": "user_ada"}},
    }
    assert customer["metadata"] == {"clerk_user_id": "user_ada"}
    assert customer["email"] is None
    assert linked(world) == {"user_ada": customer["id"]}
    assert calls(world.stripe) == [CUSTOMERS, LIST_SESSIONS, LIST_SUBSCRIPTIONS, CREATE]


@pytest.mark.parametrize(
    "body, price, quantity",
    [
        ({"plan": "team", "quantity": 25}, "price_team", 25),
        ({"quantity": 999_999}, "price_pro", 999_999),
        ({"plan": None, "price": "price_team", "quantity": None}, "price_team", 1),
    ],
)
def test_a_plan_or_a_listed_price_in_any_quantity(
    world: World, service: Service, body: Json, price: str, quantity: int
) -> None:
    order = order_of(world.stripe, service.checkout(body=body))
    assert order["line_items"] == [{"price": price, "quantity": quantity}]


def test_the_first_price_of_a_plan_is_sold_and_any_other_on_demand(
    world: World, make_service: MakeService, ada: str
) -> None:
    (pro, team) = make_service().settings.plans
    world.stripe.prices["price_year"] = {**world.stripe.prices["price_pro"], "id": "price_year"}
    plans = (type(pro)("pro", ("price_pro", "price_year"), ()), team)
    service = make_service(plans=plans)

    first = order_of(world.stripe, service.checkout(body={"plan": "pro"}))
    other = order_of(world.stripe, service.checkout(body={"price": "price_year"}))
    assert first["line_items"][0]["price"] == "price_pro"
    assert other["line_items"][0]["price"] == "price_year"


@pytest.mark.parametrize(
    "body",
    [{"plan": "free"}, {"price": "price_other"}, {"quantity": 0}, {"interval": "fortnight"},
     {"customer": "cus_1"}],
)  # fmt: skip
def test_anything_else_is_refused_before_anybody_is_asked(
    world: World, service: Service, body: Json
) -> None:
    """Value by value: tests/rules/test_inputs.py."""
    world.faults.database = "down"
    refused(service.checkout(body=body), "invalid_request")
    assert calls(world.stripe) == []
    assert linked(world) == {}


@pytest.mark.parametrize("wanted, sent", [("hi-IN", "hi-IN"), ("en-AU", "en")])
def test_a_locale_is_matched_to_the_list_of_checkout(
    world: World, service: Service, wanted: str, sent: str
) -> None:
    assert order_of(world.stripe, service.checkout(body={"locale": wanted}))["locale"] == sent


def test_a_user_whom_the_apps_tables_do_not_know_yet_can_buy(
    world: World, service: Service
) -> None:
    session = session_of(world.stripe, service.checkout("newcomer"))
    world.stripe.checkout(session["id"], "pay")
    event = last_event(world.stripe, "customer.subscription.created")
    assert service.outcome(event) == "refreshed"

    assert service.shown("newcomer")["plan"] == "pro"
    (row,) = world.rows()
    assert row["user_id"] is None

    user_id = world.add_user("newcomer")
    service.refresh("newcomer")
    (row,) = world.rows()
    assert row["user_id"] == user_id


# Which customer


def test_the_linked_customer_buys(world: World, service: Service) -> None:
    customer = world.stripe.create_customer()["id"]
    link(world, customer)

    assert session_of(world.stripe, service.checkout())["customer"] == customer
    assert CUSTOMERS not in calls(world.stripe)


@pytest.mark.parametrize(
    "row",
    [
        {"status": "canceled"},
        {"status": "incomplete"},
        {"status": "incomplete_expired"},
        {"status": "paused", "paused_reason": "trial_end_without_payment_method"},
        {"status": "paused", "paused_reason": None},
    ],
    ids=str,
)
def test_whoever_has_no_running_row_buys_with_the_customer_of_the_best_one(
    world: World, service: Service, row: Json
) -> None:
    customer = world.stripe.create_customer()["id"]
    put_row(world, stripe_customer_id=customer, **row)

    assert order_of(world.stripe, service.checkout())["customer"] == customer


def open_sessions(world: World) -> list[str]:
    return [s["customer"] for s in world.stripe.sessions.values() if s["status"] == "open"]


def test_the_customer_of_a_row_is_kept_and_no_session_stays_open_on_another(
    world: World, service: Service
) -> None:
    first, second = (world.stripe.create_customer()["id"] for _ in range(2))
    put_row(world, stripe_subscription_id="sub_a", stripe_customer_id=first, status="canceled")
    put_row(world, stripe_subscription_id="sub_b", stripe_customer_id=second, status="canceled",
            price_id="price_team", product_id="prod_team")  # fmt: skip

    assert service.checkout().status_code == 200
    assert open_sessions(world) == [second]
    assert linked(world) == {"user_ada": second}
    execute(world, "update billing_customers set stripe_customer_id = %s", first)
    assert service.checkout().status_code == 200
    assert open_sessions(world) == [first]


def test_the_customer_is_kept_before_going_on(world: World, service: Service) -> None:
    world.stripe.archive("price_pro")

    refused(service.checkout(), "checkout_not_configured")
    (customer,) = world.stripe.customers
    assert linked(world) == {"user_ada": customer}
    refused(service.checkout(), "checkout_not_configured")
    assert list(world.stripe.customers) == [customer]


def test_a_customer_whose_link_was_lost_is_found_again_by_its_key(
    world: World, service: Service
) -> None:
    service.checkout()
    execute(world, "delete from billing_customers")

    assert service.checkout().status_code == 200
    assert len(world.stripe.customers) == 1


def test_stripes_own_fault_does_not_stick_to_the_customers_key(
    world: World, service: Service
) -> None:
    service.checkout("eve")  # the price is known
    world.stripe.reset()
    world.faults.stripe = "error"
    refused(service.checkout(), "stripe_unavailable")
    world.faults.stripe = "up"
    # A minute later: what Stripe keeps for a day is the fault of the first key.
    first, *_ = world.stripe.saved_answers
    world.stripe.saved_answers = {first: world.stripe.saved_answers[first]}

    assert service.checkout().status_code == 200
    assert len(world.stripe.customers) == 1


def test_a_customer_that_is_another_owners_is_not_taken(
    world: World, service: Service, log: Log
) -> None:
    """Stripe gives the customer of the idempotency key again, which meanwhile is eve's."""
    service.checkout()
    (customer,) = linked(world).values()
    execute(world, "update billing_customers set clerk_owner_id = 'user_eve'")

    answer = service.checkout()
    refused(answer, "internal_error")
    assert linked(world) == {"user_eve": customer}
    line = log.line("supabase call failed")
    assert (line["level"], line["code"]) == ("ERROR", "23505")


def test_a_user_has_one_customer_in_each_mode(
    world: World, service: Service, service_at: Callable[..., Service], live_stripe: OtherStripe
) -> None:
    service.checkout()
    service_at(live_stripe).checkout()

    kept = execute(world, "select livemode, stripe_customer_id from billing_customers")
    assert {row["livemode"]: row["stripe_customer_id"] for row in kept} == {
        False: next(iter(world.stripe.customers)),
        True: next(iter(live_stripe.state.customers)),
    }


# STRIPE_CHECKOUT_PARAMS. What tax demands of the customer: tests/rules/test_success_url.py


def test_the_operators_parameters_are_merged_in(
    world: World, make_service: MakeService, ada: str
) -> None:
    params = {"automatic_tax": {"enabled": True}, "customer_update": {"shipping": "auto"}}
    order = order_of(world.stripe, make_service(checkout_params=params).checkout())

    assert order["automatic_tax"] == {"enabled": True}
    assert order["customer_update"] == {"shipping": "auto", "address": "auto"}


def test_our_own_parameters_win_within_the_operators_hashes(
    world: World, make_service: MakeService, ada: str
) -> None:
    params = {
        "metadata": {"campaign": "spring", "clerk_user_id": "user_eve"},
        "subscription_data": {
            "trial_period_days": 14,
            "metadata": {"campaign": "spring", "clerk_user_id": "user_eve"},
        },
    }
    order = order_of(world.stripe, make_service(checkout_params=params).checkout())

    assert order["metadata"]["campaign"] == "spring"
    assert order["metadata"]["clerk_user_id"] == "user_ada"
    assert order["subscription_data"] == {
        "trial_period_days": 14,
        "metadata": {"campaign": "spring", "clerk_user_id": "user_ada"},
    }


def test_the_operators_locale_stays_unless_the_caller_asks(
    world: World, make_service: MakeService, ada: str
) -> None:
    service = make_service(checkout_params={"locale": "fr"})

    assert order_of(world.stripe, service.checkout())["locale"] == "fr"
    assert order_of(world.stripe, service.checkout(body={"locale": "de"}))["locale"] == "de"


def test_what_stripe_refuses_for_good_is_a_conflict(world: World, service: Service) -> None:
    customer = world.stripe.create_customer()["id"]
    link(world, customer)
    world.stripe.add_price("price_euro", "prod_other", 700, currency="eur")
    subscription = world.stripe.create_subscription(None, "price_euro", customer=customer)
    world.stripe.act(subscription["id"], "pause", reason="trial_end_without_payment_method")

    refused(service.checkout(), "stripe_refused")
    assert world.stripe.sessions == {}
