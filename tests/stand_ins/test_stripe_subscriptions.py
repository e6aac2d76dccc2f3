"""What can happen to a subscription of the stand-in, and how it looks in each release."""

from datetime import UTC, datetime

import pytest
import stripe

from sandbox.faults import Faults
from sandbox.stripe import shapes
from sandbox.stripe.state import StripeState
from sandbox.stripe.subscribing import STATUSES
from sandbox.stripe.webhooks import Webhooks

JANUARY_31 = 1_769_860_800  # 2026-01-31 12:00


@pytest.fixture
def state() -> StripeState:
    return StripeState(Webhooks("whsec_x", Faults()), clock=lambda: JANUARY_31 + 0.7)


@pytest.fixture
def subscription(state: StripeState) -> dict:
    return state.create_subscription("user_ada", "price_pro")


def last_event(state: StripeState) -> dict:
    return list(state.events.values())[-1]


def events_after(state: StripeState, subscription: dict, action: str, **more) -> list[str]:
    before = len(state.events)
    state.act(subscription["id"], action, **more)
    return [event["type"] for event in list(state.events.values())[before:]]


def test_a_subscription_from_nowhere_has_a_customer_with_the_users_id(state, subscription):
    customer = state.customers[subscription["customer"]]
    second = state.create_subscription("user_ada", "price_team", metadata={"a": "b"})

    assert customer["metadata"] == {"clerk_user_id": "user_ada"}
    assert subscription["metadata"] == {"clerk_user_id": "user_ada"}
    assert second["customer"] == customer["id"]
    assert second["metadata"] == {"a": "b"}
    assert state.create_subscription(None, "price_pro")["metadata"] == {}


def test_every_field_of_the_sdks_subscription_is_there(subscription):
    for kind, object in (
        (stripe.Subscription, subscription),
        (stripe.SubscriptionItem, subscription["items"]["data"][0]),
        (stripe.Price, subscription["items"]["data"][0]["price"]),
    ):
        assert set(kind.__annotations__) - shapes.LEFT_OUT <= set(object)
    assert "current_period_end" not in subscription


@pytest.mark.parametrize("status", STATUSES)
def test_a_subscription_can_begin_in_every_status(state, status):
    made = state.create_subscription("user_ada", "price_pro", status)

    assert made["status"] == status
    assert (made["ended_at"] is not None) == (status in ("canceled", "incomplete_expired"))
    assert (made["trial_end"] is not None) == (status == "trialing")
    assert (made["status_details"] is not None) == (status == "paused")


def test_nonsense_is_refused_with_a_sentence_and_changes_nothing(state, subscription):
    before = len(state.events)
    for error, sentence, call in (
        (KeyError, "no subscription sub_x", lambda: state.act("sub_x", "pay")),
        (ValueError, "action is one of", lambda: state.act(subscription["id"], "explode")),
        (ValueError, "owes nothing", lambda: state.act(subscription["id"], "pay")),
        (ValueError, "neither paused", lambda: state.act(subscription["id"], "resume")),
        (ValueError, "not colour", lambda: state.act(subscription["id"], "pause", colour="x")),
        (
            ValueError,
            "no active price",
            lambda: state.act(subscription["id"], "change_plan", price="price_x"),
        ),
        (ValueError, "status is one of", lambda: state.create_subscription("a", "price_pro", "x")),
        (KeyError, "no price price_x", lambda: state.create_subscription("a", "price_x")),
        (
            KeyError,
            "no customer cus_x",
            lambda: state.create_subscription("a", "price_pro", customer="cus_x"),
        ),
    ):
        with pytest.raises(error, match=sentence):
            call()
    assert [event["type"] for event in list(state.events.values())[before:]] == [
        "customer.created"  # of the subscription that then had no status
    ]
    assert state.subscriptions == {subscription["id"]: subscription}


def test_cancelling_in_the_portal_sets_a_date_in_flexible_mode(state, subscription):
    after = state.act(subscription["id"], "cancel_at_period_end")

    assert after["cancel_at"] == after["items"]["data"][0]["current_period_end"]
    assert after["cancel_at_period_end"] is False
    assert (after["status"], after["canceled_at"]) == ("active", JANUARY_31)
    event = last_event(state)
    assert event["type"] == "customer.subscription.updated"
    assert event["created"] == JANUARY_31
    assert event["data"]["object"] == after
    assert event["data"]["previous_attributes"]["cancel_at"] is None
    with pytest.raises(ValueError, match="already set to end"):
        state.act(subscription["id"], "cancel_at_period_end")


def test_cancelling_in_the_portal_sets_a_flag_too_in_classic_mode(state):
    state.billing_mode = "classic"
    made = state.create_subscription("user_ada", "price_pro")

    after = state.act(made["id"], "cancel_at_period_end")

    assert after["cancel_at_period_end"] is True
    assert after["cancel_at"] == after["items"]["data"][0]["current_period_end"]


def test_a_scheduled_end_is_undone_or_comes(state, subscription):
    state.act(subscription["id"], "cancel_at_period_end")
    resumed = state.act(subscription["id"], "resume")
    assert (resumed["cancel_at"], resumed["canceled_at"]) == (None, None)
    state.act(subscription["id"], "cancel_at_period_end")

    assert events_after(state, subscription, "advance_period") == ["customer.subscription.deleted"]
    ended = state.subscriptions[subscription["id"]]
    assert (ended["status"], ended["ended_at"]) == ("canceled", JANUARY_31)
    with pytest.raises(ValueError, match="has ended"):
        state.act(subscription["id"], "resume")


def test_cancelling_at_once_ends_it(state, subscription):
    assert events_after(state, subscription, "cancel_now") == ["customer.subscription.deleted"]
    assert "previous_attributes" not in last_event(state)["data"]


def test_a_failing_card_and_a_payment(state, subscription):
    assert events_after(state, subscription, "fail_payment") == [
        "customer.subscription.updated",
        "invoice.payment_failed",
    ]
    assert state.subscriptions[subscription["id"]]["status"] == "past_due"
    assert events_after(state, subscription, "fail_payment") == ["invoice.payment_failed"]
    assert state.act(subscription["id"], "fail_payment", status="unpaid")["status"] == "unpaid"
    assert events_after(state, subscription, "pay") == [
        "customer.subscription.updated",
        "invoice.paid",
    ]
    assert state.subscriptions[subscription["id"]]["status"] == "active"


def test_changing_the_plan(state, subscription):
    (item,) = state.act(subscription["id"], "change_plan", quantity=3)["items"]["data"]
    assert (item["price"]["id"], item["plan"]["id"], item["quantity"]) == (
        "price_team",
        "price_team",
        3,
    )
    (item,) = state.act(subscription["id"], "change_plan")["items"]["data"]
    assert item["price"]["id"] == "price_pro"
    state.act(subscription["id"], "change_plan", price="price_other")
    before = last_event(state)["data"]["previous_attributes"]["items"]["data"][0]
    assert before["price"]["id"] == "price_pro"


def test_pausing_and_resuming(state, subscription):
    assert events_after(state, subscription, "pause") == ["customer.subscription.paused"]
    paused = state.subscriptions[subscription["id"]]
    assert paused["status"] == "paused"
    assert paused["status_details"]["paused"]["subscription"]["type"] == "pause_requested"
    assert events_after(state, subscription, "resume") == ["customer.subscription.resumed"]
    state.act(subscription["id"], "pause", reason="trial_end_without_payment_method")
    assert events_after(state, subscription, "pay") == [
        "customer.subscription.resumed",
        "invoice.paid",
    ]
    assert state.subscriptions[subscription["id"]]["status_details"] is None


def test_pausing_the_collection_keeps_the_status(state, subscription):
    after = state.act(subscription["id"], "pause", behavior="void")

    assert (after["status"], after["pause_collection"]["behavior"]) == ("active", "void")
    assert last_event(state)["type"] == "customer.subscription.updated"
    assert state.act(subscription["id"], "resume")["pause_collection"] is None


def test_periods_end_on_the_day_of_the_purchase_or_the_last_of_the_month(state, subscription):
    def end() -> str:
        (item,) = state.subscriptions[subscription["id"]]["items"]["data"]
        return datetime.fromtimestamp(item["current_period_end"], UTC).strftime("%m-%d %H:%M")

    assert end() == "02-28 12:00"
    assert events_after(state, subscription, "advance_period") == [
        "customer.subscription.updated",
        "invoice.paid",
    ]
    assert end() == "03-31 12:00"  # the day that the customer bought on
    state.act(subscription["id"], "advance_period")
    assert end() == "04-30 12:00"


@pytest.mark.parametrize(
    ("since", "months", "anchor", "until"),
    [
        ("2026-12-31", 1, "2026-12-31", "2027-01-31"),
        ("2027-11-30", 3, "2026-12-31", "2028-02-29"),
        ("2028-02-29", 12, "2028-02-29", "2029-02-28"),
        ("2031-02-28", 12, "2028-02-29", "2032-02-29"),
    ],
)
def test_the_ends_of_short_months(since: str, months: int, anchor: str, until: str) -> None:
    def noon(day: str) -> int:
        return int(datetime.fromisoformat(f"{day}T12:00Z").timestamp())

    assert shapes.months_later(noon(since), months, noon(anchor)) == noon(until)


def test_a_trial_ends_with_its_period_and_the_next_ones_end_on_its_day(state):
    trial = state.create_subscription("user_ada", "price_pro", "trialing")
    trial_end = trial["items"]["data"][0]["current_period_end"]
    assert (trial["trial_end"], trial["billing_cycle_anchor"]) == (trial_end, trial_end)

    after = state.act(trial["id"], "advance_period")
    assert after["status"] == "active"
    later = datetime.fromtimestamp(after["items"]["data"][0]["current_period_end"], UTC)
    assert later.strftime("%m-%d") == "03-28"  # not the 31st: it began to pay on 02-28


def test_an_incomplete_subscription_expires(state):
    made = state.create_subscription("user_ada", "price_pro", "incomplete")

    assert state.act(made["id"], "expire")["status"] == "incomplete_expired"
    assert last_event(state)["type"] == "customer.subscription.updated"


def test_what_is_handed_out_is_a_copy(state, subscription):
    subscription["status"] = "unpaid"
    subscription["items"]["data"][0]["price"]["id"] = "price_x"

    assert state.act(subscription["id"], "cancel_now")["items"]["data"][0]["price"]["id"] == (
        "price_pro"
    )


def test_an_older_release_has_the_period_on_the_subscription(state, subscription):
    end = subscription["items"]["data"][0]["current_period_end"]
    state.act(subscription["id"], "advance_period")

    event = shapes.event_in_version(last_event(state) | {}, "2025-02-24.acacia")
    updated = next(
        shapes.event_in_version(event, "2025-02-24.acacia")
        for event in state.events.values()
        if event["type"] == "customer.subscription.updated"
    )

    old = updated["data"]["object"]
    assert (event["api_version"], updated["api_version"]) == ("2025-02-24.acacia",) * 2
    assert old["current_period_start"] == end
    assert old["plan"]["id"] == "price_pro"
    assert "billing_mode" not in old
    assert "current_period_end" not in old["items"]["data"][0]
    assert updated["data"]["previous_attributes"]["current_period_end"] == end
    assert "items" not in updated["data"]["previous_attributes"]


def test_a_reset_makes_a_new_account(state, subscription):
    state.reset()

    assert state.subscriptions == state.customers == state.events == {}
    assert {"price_pro", "price_team", "price_other"} <= set(state.prices)
    assert len(state.configurations) == 1


def test_live_mode_is_live_in_every_object():
    state = StripeState(Webhooks("whsec_x", Faults()), livemode=True)
    made = state.create_subscription("user_ada", "price_pro")

    assert made["livemode"]
    assert all(event["livemode"] for event in state.events.values())
