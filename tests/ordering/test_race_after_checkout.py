"""Stripe waits for the answer to `checkout.session.completed` before it sends the customer back:
the page where they land shows what they bought.
"""

from collections.abc import Callable

import pytest
from frontend import User

from portal_service import Settings
from portal_service.subscription import differences, row_of
from sandbox.world import World


@pytest.fixture
def ada(world: World, service_url: str) -> User:
    return User(world, service_url, "ada")


@pytest.fixture
def the_row(world: World, app) -> Callable[[], dict]:
    """The only row, which is complete."""
    plans = Settings.from_environment(world.environment("http://localhost:8000")).plans

    def the_row() -> dict:
        (row,) = world.rows()
        (subscription,) = world.stripe.subscriptions.values()
        assert not differences(row, row_of(subscription, plans, None))
        assert row["user_id"] == world.user_id("ada")
        return row

    return the_row


def test_the_row_is_complete_when_the_customer_lands(world: World, ada: User, the_row) -> None:
    world.add_user("ada")
    session = ada.buy()
    shown = ada.shown
    assert (shown["subscribed"], shown["plan"], shown["status"]) == (True, "pro", "active")
    assert the_row()["stripe_subscription_id"] == session["subscription"]
    assert ada.refused("/checkout") == "already_subscribed"

    assert world.webhooks.wait_until_delivered()
    the_row()
    assert {d["status_code"] for d in world.webhooks.deliveries()} == {200}


def test_so_it_is_however_the_events_are_repeated_and_shuffled(
    world: World, ada: User, the_row
) -> None:
    world.add_user("ada")
    world.faults.webhook_duplicates = 3
    world.faults.webhook_shuffle = True
    ada.buy()
    assert ada.shown["subscribed"]
    assert world.webhooks.wait_until_delivered()
    the_row()


@pytest.mark.parametrize("with_session", [True, False])
def test_the_webhook_comes_after_the_customer(
    with_session: bool, world: World, ada: User, the_row, monkeypatch
) -> None:
    """The page's refresh finds the purchase, and the late webhook nothing new."""
    world.add_user("ada")
    monkeypatch.setattr(world.stripe, "answer_timeout", 0.01)
    session_id = ada.open_checkout()
    world.faults.webhook_delay_ms = 60_000
    session = world.stripe.checkout(session_id, "pay")
    assert not ada.shown["subscribed"]

    body = {"checkout_session_id": session["id"]} if with_session else {}
    assert ada.refresh(**body)["subscribed"]
    before = the_row()

    world.faults.webhook_delay_ms = 0
    sent = []
    for event in list(world.stripe.events.values()):
        if event["type"] in ("customer.subscription.created", "checkout.session.completed"):
            sent += world.webhooks.resend(event["id"])
    assert len(sent) == 2
    assert all(delivery.wait_answered(10) for delivery in sent)
    outcomes = [d["outcome"] for d in world.webhooks.deliveries() if d["status_code"]]
    assert set(outcomes[-2:]) == {"unchanged"}
    assert the_row()["updated_at"] == before["updated_at"]


@pytest.mark.parametrize("with_session", [True, False])
def test_the_webhook_never_comes(with_session: bool, world: World, ada: User, the_row) -> None:
    world.add_user("ada")
    world.webhooks.url = None
    session = ada.buy()
    assert not ada.shown["subscribed"]
    body = {"checkout_session_id": session["id"]} if with_session else {}
    assert ada.refresh(**body)["subscribed"]
    the_row()
    assert ada.shown["subscribed"]


def test_without_a_webhook_and_without_the_page_nothing_is_charged_twice(
    world: World, ada: User, the_row
) -> None:
    """Who comes back another day and wants to buy again: checkout asks Stripe, and repairs too."""
    world.add_user("ada")
    world.webhooks.url = None
    ada.buy()
    assert ada.refused("/checkout") == "already_subscribed"
    the_row()


def test_the_success_page_is_told_its_session(world: World, ada: User) -> None:
    session = world.stripe.sessions[ada.open_checkout()]
    assert "checkout_session_id={CHECKOUT_SESSION_ID}" in session["success_url"]


def test_a_buyer_whom_the_app_does_not_know_yet(world: World, ada: User) -> None:
    ada.buy()
    assert ada.shown["subscribed"]
    assert world.webhooks.wait_until_delivered()
    assert [row["user_id"] for row in world.rows()] == [None]

    user_id = world.add_user("ada")
    assert ada.shown["subscribed"]
    ada.refresh()
    assert [row["user_id"] for row in world.rows()] == [user_id]
