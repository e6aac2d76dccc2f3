"""The whole main job over HTTP: the real service, a real Postgres, signed webhooks."""

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from started import Caller, StartedSandbox, wait_for


def session_in(url: str) -> str:
    found = re.search(r"cs_test_\w+", url)
    assert found, url
    return found[0]


def only_row(sandbox: StartedSandbox) -> dict[str, Any]:
    (row,) = sandbox.get("/rows")
    return dict(row)


def buy(sandbox: StartedSandbox, caller: Caller) -> str:
    """Checkout to the end; the id of its session."""
    session_id = session_in(caller.url_of("/checkout"))
    sandbox.post(f"/stripe/checkout/{session_id}", action="pay")
    return session_id


def test_from_the_free_plan_through_a_subscriptions_life_and_back(sandbox: StartedSandbox) -> None:
    ada = Caller(sandbox, "ada")

    def act(action: str) -> None:
        subscription_id = only_row(sandbox)["stripe_subscription_id"]
        sandbox.post(f"/stripe/subscriptions/{subscription_id}", action=action)

    def when(**expected: Any) -> dict[str, Any]:
        """The status, as soon as the webhook has made it this."""

        def as_expected() -> dict[str, Any] | None:
            status = ada.subscription()
            return status if expected.items() <= status.items() else None

        return wait_for(as_expected)

    # signed in, on the free plan
    free = ada.subscription()
    assert (free["subscribed"], free["plan"], free["status"]) == (False, "free", None)
    assert free["can_manage_billing"] is False
    assert sandbox.get("/rows") == []

    # checkout: a page where one can pay, and come back from
    url = ada.url_of("/checkout")
    assert url.startswith(sandbox.info["stripe_url"])
    assert requests.get(url, timeout=10).status_code == 200
    session_id = session_in(url)

    # paid at the stand-in: subscribed, with the renewal date
    sandbox.post(f"/stripe/checkout/{session_id}", action="pay")
    subscribed = when(subscribed=True)
    assert (subscribed["plan"], subscribed["status"]) == ("pro", "active")
    assert subscribed["price_id"] == "price_pro"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", subscribed["current_period_end"])
    assert subscribed["can_manage_billing"] is True
    row = only_row(sandbox)
    assert (row["status"], row["plan"], row["livemode"]) == ("active", "pro", False)
    assert row["user_id"] == sandbox.post("/session", user="ada")["user_id"]
    assert row["current_period_end"][:19] == subscribed["current_period_end"][:19]

    # the page after checkout asks Stripe, and finds the same
    refreshed = ada.call("POST", "/subscription/refresh", {"checkout_session_id": session_id})
    assert refreshed.json() == subscribed

    # who pays already is not sold a second subscription
    again = ada.call("POST", "/checkout")
    assert (again.status_code, again.json()["code"]) == (409, "already_subscribed")

    # a portal session
    portal = ada.url_of("/portal")
    assert portal.startswith(sandbox.info["stripe_url"])
    assert requests.get(portal, timeout=10).status_code == 200

    # cancelled at the end of the period: still subscribed, with an end
    act("cancel_at_period_end")
    ending = when(cancel_at=subscribed["current_period_end"])
    assert (ending["subscribed"], ending["status"]) == (True, "active")
    assert only_row(sandbox)["cancel_at"] is not None

    # resumed
    act("resume")
    assert when(cancel_at=None)["subscribed"] is True
    assert only_row(sandbox)["cancel_at"] is None

    # the card fails: a payment is needed
    act("fail_payment")
    owing = when(status="past_due")
    assert (owing["subscribed"], owing["needs_payment"]) == (False, True)
    assert only_row(sandbox)["status"] == "past_due"

    # paid
    act("pay")
    assert when(status="active")["needs_payment"] is False

    # cancelled at once: the free plan, and still a customer
    act("cancel_now")
    ended = when(status="canceled")
    assert (ended["subscribed"], ended["plan"]) == (False, "free")
    assert ended["ended_at"]
    assert ended["can_manage_billing"] is True
    assert only_row(sandbox)["status"] == "canceled"

    # every webhook was answered, and says what came of it
    deliveries = wait_for(lambda: all_answered(sandbox))
    assert {delivery["status_code"] for delivery in deliveries} == {200}
    assert {"applied", "refreshed", "unchanged", "ignored"} >= {d["outcome"] for d in deliveries}


def all_answered(sandbox: StartedSandbox) -> list[dict[str, Any]] | None:
    deliveries = sandbox.get("/deliveries")
    return deliveries if all(d["status_code"] for d in deliveries) else None


def test_two_users_know_nothing_of_each_other(sandbox: StartedSandbox) -> None:
    grace, linus = Caller(sandbox, "grace"), Caller(sandbox, "linus")
    buy(sandbox, grace)
    wait_for(lambda: grace.subscription()["subscribed"])

    assert linus.subscription()["plan"] == "free"
    assert linus.call("POST", "/portal").json()["code"] == "no_subscription"


def test_the_webhook_comes_after_the_customer_is_back(sandbox: StartedSandbox) -> None:
    grace = Caller(sandbox, "grace")
    sandbox.post("/faults", webhook_delay_ms=60_000)
    session_id = session_in(grace.url_of("/checkout"))
    refresh = {"checkout_session_id": session_id}

    def subscribed_by_refresh() -> bool:
        return bool(grace.call("POST", "/subscription/refresh", refresh).json()["subscribed"])

    # Like Stripe, the button waits a while for the webhook's answer.
    with ThreadPoolExecutor() as button:
        button.submit(sandbox.post, f"/stripe/checkout/{session_id}", action="pay")
        wait_for(subscribed_by_refresh, every=1.0)
        assert not any(delivery["status_code"] for delivery in sandbox.get("/deliveries"))
        sandbox.post("/reset")


def test_repeated_and_shuffled_webhooks_end_in_the_right_row(sandbox: StartedSandbox) -> None:
    sandbox.post("/faults", webhook_duplicates=2, webhook_shuffle=True)
    subscription = sandbox.post(
        "/stripe/subscriptions", user="ada", price="price_pro", status="active"
    )["id"]
    for action in ("change_plan", "cancel_at_period_end", "resume", "fail_payment", "pay"):
        sandbox.post(f"/stripe/subscriptions/{subscription}", action=action)

    sent = 3 * 6  # at least: invoices have events too
    wait_for(lambda: len(sandbox.get("/deliveries")) >= sent and all_answered(sandbox))
    row = only_row(sandbox)
    assert (row["status"], row["plan"], row["cancel_at"]) == ("active", "team", None)


def test_vendors_that_are_down(sandbox: StartedSandbox) -> None:
    linus = Caller(sandbox, "linus")

    sandbox.post("/faults", stripe="error")
    refused = linus.call("POST", "/checkout")
    assert (refused.status_code, refused.json()["code"]) == (503, "stripe_unavailable")
    assert refused.headers["Retry-After"]

    sandbox.post("/faults", stripe="up", database="down")
    refused = linus.call("GET", "/subscription")
    assert (refused.status_code, refused.json()["code"]) == (503, "database_unavailable")

    sandbox.post("/faults", database="up", clerk="down")
    assert linus.subscription()["plan"] == "free", "the last good key set survives"


@pytest.mark.parametrize("row", [True, False])
def test_a_user_without_a_row_of_the_app_can_buy(sandbox: StartedSandbox, row: bool) -> None:
    token = sandbox.post("/session", user="newcomer", row=row)["token"]
    url = f"{sandbox.info['service_url']}/api/stripe"
    headers = {"Authorization": f"Bearer {token}"}
    checkout = requests.post(f"{url}/checkout", headers=headers, timeout=20).json()
    sandbox.post(f"/stripe/checkout/{session_in(checkout['url'])}", action="pay")

    def subscribed() -> bool:
        answer = requests.get(f"{url}/subscription", headers=headers, timeout=20)
        return bool(answer.json()["subscribed"])

    wait_for(subscribed)
    assert (only_row(sandbox)["user_id"] is None) is not row


def test_who_deletes_the_account_at_clerk_is_not_charged_again(sandbox: StartedSandbox) -> None:
    ada = Caller(sandbox, "ada")
    buy(sandbox, ada)
    wait_for(lambda: ada.subscription()["subscribed"])

    sandbox.post("/clerk/users/ada", email="ada@new.example")
    sandbox.post("/clerk/users/ada", delete=True)
    wait_for(lambda: ada.subscription()["cancel_at_period_end"])

    def outcomes() -> dict[str, Any]:
        found = {each["type"]: each["outcome"] for each in sandbox.get("/clerk/deliveries")}
        return found if None not in found.values() else {}

    said = wait_for(outcomes)
    assert said["user.deleted"] == "scheduled"
    assert said["user.updated"] in ("updated", "ignored")  # as the two overtake each other
    subscription = only_row(sandbox)["stripe_subscription_id"]
    sandbox.post(f"/stripe/subscriptions/{subscription}", action="advance_period")
    wait_for(lambda: ada.subscription()["status"] == "canceled")
