"""POST /checkout: a Checkout session for the caller, never a second charge."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from service_under_test import (
    APP_URL,
    Json,
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
    rows,
    session_of,
)

from sandbox.stripe.state import StripeState
from sandbox.world import World

CUSTOMERS = "POST /v1/customers"
LIST_SUBSCRIPTIONS = "GET /v1/subscriptions"
LIST_SESSIONS = "GET /v1/checkout/sessions"
CREATE = "POST /v1/checkout/sessions"


def statuses(stripe: StripeState) -> list[str]:
    return [session["status"] for session in stripe.sessions.values()]


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
        ({"plan": "pro"}, "price_pro", 1),
        ({"plan": "team"}, "price_team", 1),
        ({"price": "price_team"}, "price_team", 1),
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
    [
        {"plan": "free"},
        {"plan": "Pro"},
        {"plan": ""},
        {"plan": ["pro"]},
        {"plan": {"name": "pro"}},
        {"plan": 1},
        {"price": "price_other"},
        {"price": "prod_pro"},
        {"price": ["price_pro"]},
        {"price": {}},
        {"plan": "pro", "price": "price_pro"},
        {"quantity": 0},
        {"quantity": -1},
        {"quantity": 1_000_000},
        {"quantity": 1.5},
        {"quantity": 1.0},
        {"quantity": "1"},
        {"quantity": True},
        {"quantity": [1]},
        {"return_path": "https://evil.example/"},
        {"return_path": "//evil.example"},
        {"customer": "cus_1"},
        {"metadata": {}},
        {"price_id": "price_pro"},
    ],
)
def test_anything_else_is_refused_before_anybody_is_asked(
    world: World, service: Service, body: Json
) -> None:
    refused(service.checkout(body=body), "invalid_request")
    assert calls(world.stripe) == []
    assert linked(world) == {}


@pytest.mark.parametrize(
    "path, success, cancel",
    [
        ("/settings", "/settings?checkout_session_id=", "/settings"),
        ("/settings?tab=1", "/settings?tab=1&checkout_session_id=", "/settings?tab=1"),
    ],
)
def test_return_path_replaces_both_addresses(
    world: World, service: Service, path: str, success: str, cancel: str
) -> None:
    order = order_of(world.stripe, service.checkout(body={"return_path": path}))
    assert order["success_url"] == f"{APP_URL}{success}{{CHECKOUT_SESSION_ID}}"
    assert order["cancel_url"] == f"{APP_URL}{cancel}"


def test_the_session_id_goes_before_a_fragment(world: World, service: Service) -> None:
    order = order_of(world.stripe, service.checkout(body={"return_path": "/a#b"}))
    assert order["success_url"] == f"{APP_URL}/a?checkout_session_id={{CHECKOUT_SESSION_ID}}#b"


def test_the_default_addresses_are_settings(
    world: World, make_service: MakeService, ada: str
) -> None:
    service = make_service(checkout_success_path="/thanks", checkout_cancel_path="/pricing")

    order = order_of(world.stripe, service.checkout())
    assert order["success_url"].startswith(f"{APP_URL}/thanks?checkout_session_id={{")
    assert order["cancel_url"] == f"{APP_URL}/pricing"


@pytest.mark.parametrize(
    "wanted, sent", [("hi-IN", "hi-IN"), ("de-AT", "de"), ("en-AU", "en"), ("xx", "auto")]
)
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


# Step 1: a running row


@pytest.mark.parametrize(
    "status, reason, running",
    [
        ("active", None, True),
        ("trialing", None, True),
        ("past_due", None, True),
        ("unpaid", None, True),
        ("some_new_status", None, True),
        ("paused", "pause_requested", True),
        ("paused", "first_payment_failure", True),
        ("paused", "final_payment_failure", True),
        ("paused", "system", True),
        ("paused", "trial_end_without_payment_method", False),
        ("paused", None, False),
        ("incomplete", None, False),
        ("incomplete_expired", None, False),
        ("canceled", None, False),
    ],
)
def test_a_running_row_is_a_conflict_where_stripe_can_not_be_asked(
    world: World, service: Service, status: str, reason: str | None, running: bool
) -> None:
    service.checkout("eve")  # the price is known
    put_row(world, status=status, paused_reason=reason)
    world.faults.stripe = "error"

    refused(service.checkout(), "already_subscribed" if running else "stripe_unavailable")


@pytest.mark.parametrize("status", ["active", "trialing", "past_due", "unpaid"])
def test_a_running_row_is_a_conflict_once_stripe_says_so_too(
    world: World, service: Service, status: str
) -> None:
    subscription = world.stripe.create_subscription("user_ada", "price_pro", status)
    service.outcome(last_event(world.stripe, "customer.subscription.created"))
    world.stripe.calls.clear()

    refused(service.checkout(), "already_subscribed")
    assert calls(world.stripe) == [LIST_SUBSCRIPTIONS]
    assert rows(world)[subscription["id"]]["status"] == status
    assert world.stripe.sessions == {}


def test_a_running_row_counts_beside_a_better_one_that_is_not(
    world: World, service: Service
) -> None:
    world.stripe.create_subscription("user_ada", "price_pro", "past_due")
    service.outcome(last_event(world.stripe, "customer.subscription.created"))
    world.stripe.create_subscription("user_ada", "price_team", "canceled")
    service.outcome(last_event(world.stripe, "customer.subscription.created"))

    refused(service.checkout(), "already_subscribed")


def test_a_running_row_of_the_other_mode_is_none(world: World, service: Service) -> None:
    put_row(world, livemode=True)
    assert service.checkout().status_code == 200


# Step 2: the customer


def test_the_linked_customer_buys(world: World, service: Service) -> None:
    customer = world.stripe.create_customer()["id"]
    link(world, customer)

    assert session_of(world.stripe, service.checkout())["customer"] == customer
    assert CUSTOMERS not in calls(world.stripe)


def test_without_a_link_the_customer_of_the_best_row_buys_again(
    world: World, service: Service
) -> None:
    subscription = world.stripe.create_subscription("user_ada", "price_pro")
    world.stripe.act(subscription["id"], "cancel_now")
    put_row(world, stripe_subscription_id=subscription["id"], status="canceled",
            stripe_customer_id=subscription["customer"])  # fmt: skip

    assert session_of(world.stripe, service.checkout())["customer"] == subscription["customer"]


@pytest.mark.parametrize("with_row", [True, False])
def test_a_stored_customer_that_stripe_deleted_is_replaced_once(
    world: World, service: Service, with_row: bool
) -> None:
    subscription = world.stripe.create_subscription("user_ada", "price_pro")
    old = subscription["customer"]
    if with_row:
        service.outcome(last_event(world.stripe))
    else:
        link(world, old)
    world.stripe.delete_customer(old)
    if with_row:
        service.outcome(last_event(world.stripe, "customer.subscription.deleted"))

    new = session_of(world.stripe, service.checkout())["customer"]
    assert new != old
    assert linked(world) == {"user_ada": new}
    assert calls(world.stripe).count(CUSTOMERS) == 1
    assert session_of(world.stripe, service.checkout())["customer"] == new


def test_a_stored_customer_that_stripe_never_had_is_replaced_once(
    world: World, service: Service
) -> None:
    link(world, "cus_of_another_account")

    new = session_of(world.stripe, service.checkout())["customer"]
    assert linked(world) == {"user_ada": new}


def test_a_customer_that_vanishes_again_and_again_is_replaced_once_only(
    service_at: Callable[..., Service], other_stripe: OtherStripe
) -> None:
    def vanish(method: str, path: str) -> None:
        if f"{method} {path}" == LIST_SESSIONS:
            for customer in other_stripe.state.customers.values():
                customer["deleted"] = True

    other_stripe.held = vanish

    refused(service_at(other_stripe).checkout(), "customer_not_found")
    assert calls(other_stripe.state).count(CUSTOMERS) == 2


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


# Step 3: Stripe is asked


def test_a_running_subscription_that_only_stripe_knows_is_written_and_a_conflict(
    world: World, service: Service
) -> None:
    session = session_of(world.stripe, service.checkout())
    paid = world.stripe.checkout(session["id"], "pay")
    event = last_event(world.stripe, "customer.subscription.created")
    refused(service.deliver(event, secret="whsec_wrong"), "invalid_signature")
    assert world.rows() == []

    refused(service.checkout(), "already_subscribed")
    row = rows(world)[paid["subscription"]]
    assert (row["status"], row["stripe_customer_id"]) == ("active", paid["customer"])
    assert row["user_id"] == world.user_id("ada")
    assert statuses(world.stripe) == ["complete"]
    assert service.shown()["subscribed"]


def test_a_subscription_that_ended_at_stripe_alone_is_written_and_no_conflict(
    world: World, service: Service
) -> None:
    subscription = world.stripe.create_subscription("user_ada", "price_pro", "incomplete")
    service.outcome(last_event(world.stripe))
    world.stripe.act(subscription["id"], "expire")

    assert service.checkout().status_code == 200
    assert rows(world)[subscription["id"]]["status"] == "incomplete_expired"


def test_a_subscription_that_came_to_life_at_stripe_alone_is_a_conflict(
    world: World, service: Service
) -> None:
    subscription = world.stripe.create_subscription("user_ada", "price_pro", "incomplete")
    service.outcome(last_event(world.stripe))
    world.stripe.act(subscription["id"], "pay")

    refused(service.checkout(), "already_subscribed")
    assert rows(world)[subscription["id"]]["status"] == "active"
    assert world.stripe.sessions == {}


# Step 4: the session


def test_a_second_call_gives_the_open_session_back(world: World, service: Service) -> None:
    first, second = service.checkout(), service.checkout()

    assert first.json == second.json
    assert statuses(world.stripe) == ["open"]
    assert calls(world.stripe).count(CREATE) == 1


@pytest.mark.parametrize(
    "body", [{"plan": "team"}, {"quantity": 2}, {"locale": "de"}, {"return_path": "/elsewhere"}]
)
def test_an_open_session_for_anything_else_is_expired(
    world: World, service: Service, body: Json
) -> None:
    first = session_of(world.stripe, service.checkout())
    second = session_of(world.stripe, service.checkout(body=body))

    assert world.stripe.sessions[first["id"]]["status"] == "expired"
    assert second["status"] == "open"


def test_back_and_forth_between_plans_leaves_one_open_session(
    world: World, service: Service
) -> None:
    for plan in ("pro", "team", "pro", "team", "pro"):
        assert service.checkout(body={"plan": plan}).status_code == 200
    assert statuses(world.stripe) == ["expired"] * 4 + ["open"]


@pytest.mark.parametrize("how", ["expire", "pay"])
def test_after_a_session_is_over_the_next_is_a_new_one(
    world: World, service: Service, how: str
) -> None:
    first = session_of(world.stripe, service.checkout())
    paid = world.stripe.checkout(first["id"], how)
    if how == "pay":
        world.stripe.act(paid["subscription"], "cancel_now")

    second = session_of(world.stripe, service.checkout())
    assert second["id"] != first["id"]
    assert second["status"] == "open"


def test_sessions_that_are_not_ours_are_left_alone(world: World, service: Service) -> None:
    customer = world.stripe.create_customer()["id"]
    link(world, customer)
    session = session_of(world.stripe, service.checkout())
    foreign = {**session, "id": "cs_test_foreign", "metadata": {}}
    world.stripe.sessions["cs_test_foreign"] = foreign
    world.stripe.orders["cs_test_foreign"] = world.stripe.orders[session["id"]]

    service.checkout(body={"plan": "team"})
    assert world.stripe.sessions["cs_test_foreign"]["status"] == "open"
    assert world.stripe.sessions[session["id"]]["status"] == "expired"


def test_a_session_that_is_paid_this_very_moment_is_a_conflict(
    service_at: Callable[..., Service], other_stripe: OtherStripe
) -> None:
    service, stripe = service_at(other_stripe), other_stripe.state
    first = session_of(stripe, service.checkout())

    def pay_once_listed(method: str, path: str) -> None:
        if f"{method} {path}" == LIST_SESSIONS and stripe.sessions[first["id"]]["url"]:
            stripe.checkout(first["id"], "pay")

    other_stripe.held = pay_once_listed

    refused(service.checkout(body={"plan": "team"}), "already_subscribed")
    assert statuses(stripe) == ["complete"]


def test_a_session_that_expires_this_very_moment_is_no_conflict(
    service_at: Callable[..., Service], other_stripe: OtherStripe
) -> None:
    service, stripe = service_at(other_stripe), other_stripe.state
    first = session_of(stripe, service.checkout())

    def expire_once_listed(method: str, path: str) -> None:
        if f"{method} {path}" == LIST_SESSIONS and stripe.sessions[first["id"]]["url"]:
            stripe.checkout(first["id"], "expire")

    other_stripe.held = expire_once_listed

    assert service.checkout(body={"plan": "team"}).status_code == 200
    assert statuses(stripe) == ["expired", "open"]


@pytest.mark.parametrize("customer", ["known", "new"])
def test_a_double_click_makes_one_session_and_one_customer(
    world: World, service_at: Callable[..., Service], other_stripe: OtherStripe, customer: str
) -> None:
    service, stripe = service_at(other_stripe), other_stripe.state
    if customer == "known":
        link(world, stripe.create_customer()["id"])
    both_listed = threading.Barrier(2, timeout=10)
    first_two = iter(range(2))

    def meet(method: str, path: str) -> None:
        if f"{method} {path}" == LIST_SESSIONS and next(first_two, None) is not None:
            both_listed.wait()

    other_stripe.held = meet

    with ThreadPoolExecutor(2) as clicks:
        answers = list(clicks.map(lambda _: service.checkout(), range(2)))

    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json == answers[1].json
    assert statuses(stripe) == ["open"]
    assert len(stripe.customers) == 1
    assert list(linked(world).values()) == list(stripe.customers)


# STRIPE_CHECKOUT_PARAMS


@pytest.mark.parametrize(
    "params, update",
    [
        ({"automatic_tax": {"enabled": True}}, {"address": "auto"}),
        ({"tax_id_collection": {"enabled": True}}, {"name": "auto", "address": "auto"}),
        (
            {"automatic_tax": {"enabled": True}, "tax_id_collection": {"enabled": True}},
            {"name": "auto", "address": "auto"},
        ),
        ({"automatic_tax": {"enabled": False}}, None),
        ({"allow_promotion_codes": True}, None),
        ({"customer_update": {"shipping": "auto"}}, {"shipping": "auto"}),
        (
            {"automatic_tax": {"enabled": True}, "customer_update": {"address": "never"}},
            {"address": "auto"},
        ),
    ],
)
def test_the_operators_parameters_are_merged_in(
    world: World, make_service: MakeService, ada: str, params: Json, update: Json | None
) -> None:
    order = order_of(world.stripe, make_service(checkout_params=params).checkout())

    assert order.pop("customer_update", None) == update
    assert order.items() >= {k: v for k, v in params.items() if k != "customer_update"}.items()


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


def test_a_changed_operators_parameter_makes_another_session(
    world: World, make_service: MakeService, ada: str
) -> None:
    make_service().checkout()
    make_service(checkout_params={"allow_promotion_codes": True}).checkout()
    assert statuses(world.stripe) == ["expired", "open"]


# What Stripe refuses


def test_what_stripe_refuses_for_good_is_a_conflict(world: World, service: Service) -> None:
    customer = world.stripe.create_customer()["id"]
    link(world, customer)
    world.stripe.add_price("price_euro", "prod_other", 700, currency="eur")
    subscription = world.stripe.create_subscription(None, "price_euro", customer=customer)
    world.stripe.act(subscription["id"], "pause", reason="trial_end_without_payment_method")

    refused(service.checkout(), "stripe_refused")
    assert world.stripe.sessions == {}
