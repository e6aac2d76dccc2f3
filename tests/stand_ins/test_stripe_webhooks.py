"""Webhooks of the stand-in: signed as Stripe signs, delivered as Stripe delivers."""

import json
import threading

import pytest
import stripe
from stripe_account import SECRET, Account

from sandbox.faults import Faults
from sandbox.stripe.webhooks import DELAYS, Webhooks


@pytest.fixture
def subscription(account: Account) -> dict:
    """One that exists already: the endpoint hears only of what comes after."""
    made = account.state.create_subscription("user_ada", "price_pro")
    account.webhooks.reset()
    account.listen()
    return made


def received(account: Account) -> list[dict]:
    assert account.webhooks.wait_until_delivered()
    return [json.loads(body) for body, _ in account.received]


def statuses(account: Account) -> list[tuple[int, int | None]]:
    assert account.webhooks.wait_until_delivered()
    return [(each["attempt"], each["status_code"]) for each in account.webhooks.deliveries()]


def test_events_are_signed_and_understood_by_the_sdk(account, subscription):
    after = account.state.act(subscription["id"], "cancel_now")
    (event,) = received(account)
    ((body, header),) = account.received

    assert stripe.WebhookSignature.verify_header(body.decode(), header, SECRET, 300)
    understood = account.client.construct_event(body, header, SECRET)
    assert understood.type == "customer.subscription.deleted"
    assert understood.data.object.id == subscription["id"]
    assert event["data"]["object"] == after
    assert event["api_version"] == stripe.api_version
    assert body.startswith(b'{\n  "id": "evt_')
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.WebhookSignature.verify_header(body.decode() + " ", header, SECRET)


def test_a_delivery_is_recorded_with_its_answer(account, subscription):
    account.state.act(subscription["id"], "cancel_now")
    (event,) = received(account)

    (record,) = account.webhooks.deliveries()
    assert record["at"] >= record["created"] == event["created"]
    assert {name: record[name] for name in record if name not in ("at", "created")} == {
        "event_id": event["id"],
        "type": "customer.subscription.deleted",
        "attempt": 1,
        "status_code": 200,
        "outcome": "applied",
        "error": None,
    }


def test_what_is_not_2xx_is_delivered_again_with_a_fresh_signature(account, subscription):
    answers = iter([({"code": "database_unavailable"}, 503), ("", 302), ("ok", 204)])
    account.answer = lambda: next(answers)

    account.state.act(subscription["id"], "cancel_now")

    assert statuses(account) == [(1, 503), (2, 302), (3, 204)]
    first, *others = account.webhooks.deliveries()
    assert [first["outcome"], *(each["outcome"] for each in others)] == [
        "database_unavailable",
        None,
        None,
    ]
    bodies = {body for body, _ in account.received}
    assert len(bodies) == 1
    assert account.webhooks.delivered(first["event_id"])


def test_each_attempt_is_signed_at_its_own_time(account, subscription):
    moments = iter(range(1_800_000_000, 1_800_001_000, 100))
    account.webhooks.clock = lambda: next(moments)
    account.answer = lambda: ("", 500 if len(account.received) == 1 else 200)

    account.state.act(subscription["id"], "cancel_now")
    received(account)

    first, second = (header.split(",")[0] for _, header in account.received)
    assert first != second


def test_an_event_is_given_up_after_the_last_delay(account, subscription):
    account.answer = lambda: ("", 500)

    account.state.act(subscription["id"], "cancel_now")

    assert statuses(account) == [(1, 500), (2, 500), (3, 500), (4, 500)]
    failed = account.client.v1.events.list({"delivery_success": False, "limit": 1}).data
    assert [each.type for each in failed] == ["customer.subscription.deleted"]
    account.answer = lambda: ("", 200)
    (delivery,) = account.webhooks.resend(failed[0].id)
    assert delivery.wait_delivered(10)
    assert account.webhooks.delivered(failed[0].id)


def test_an_endpoint_that_is_away_is_an_error_and_tried_again(account, subscription):
    account.webhooks.url = "http://127.0.0.1:9/hook"

    account.state.act(subscription["id"], "cancel_now")

    assert [status for _, status in statuses(account)] == [None] * 4
    assert "ConnectError" in account.webhooks.deliveries()[0]["error"]


def test_a_delivery_under_way_has_no_status_yet(account, subscription):
    go_on = threading.Event()
    account.answer = lambda: {"outcome": "late"} if go_on.wait(10) else ("", 500)

    account.state.act(subscription["id"], "cancel_now")
    assert not account.webhooks.wait_until_delivered(0.05)
    under_way = account.webhooks.deliveries()
    go_on.set()

    assert [each["status_code"] for each in under_way] == [None]
    assert statuses(account) == [(1, 200)]


def test_what_happens_without_an_endpoint_is_noted_and_not_sent(account):
    account.state.create_customer()

    (record,) = account.webhooks.deliveries()
    assert (record["attempt"], record["error"]) == (0, "there is no webhook endpoint yet")
    with pytest.raises(KeyError, match="no event evt_x was sent"):
        account.webhooks.resend("evt_x")


def test_duplicates_are_the_same_event_again(account, subscription):
    account.faults.webhook_duplicates = 2

    account.state.act(subscription["id"], "cancel_now")

    assert len({event["id"] for event in received(account)}) == 1
    assert len(account.received) == 3


def test_a_delay_holds_the_event_back(account, subscription):
    account.faults.webhook_delay_ms = 60_000

    account.state.act(subscription["id"], "cancel_now")

    assert not account.webhooks.wait_until_delivered(0.05)
    assert account.received == []
    account.webhooks.reset()
    assert account.webhooks.wait_until_delivered(0)


def test_shuffled_events_all_arrive(account, subscription):
    account.faults.webhook_shuffle = True
    account.state.act(subscription["id"], "cancel_at_period_end")
    account.state.act(subscription["id"], "resume")
    account.state.act(subscription["id"], "fail_payment")

    sent = list(account.state.events)[-4:]
    assert sorted(event["id"] for event in received(account)) == sorted(sent)


def test_shuffling_changes_the_order(account, subscription, monkeypatch):
    monkeypatch.setattr("sandbox.stripe.webhooks.random.shuffle", lambda held: held.reverse())
    account.faults.webhook_shuffle = True
    account.state.act(subscription["id"], "cancel_at_period_end")
    account.state.act(subscription["id"], "resume")

    arrived = [event["data"]["object"]["cancel_at"] for event in received(account)]
    assert arrived[0] is None
    assert arrived[1] is not None


def test_an_endpoint_on_an_older_release_gets_the_older_shape(account, subscription):
    account.webhooks.api_version = "2025-02-24.acacia"

    account.state.act(subscription["id"], "cancel_now")

    (event,) = received(account)
    assert event["api_version"] == "2025-02-24.acacia"
    end = subscription["items"]["data"][0]["current_period_end"]
    assert event["data"]["object"]["current_period_end"] == end


def test_an_endpoint_gets_only_the_types_that_it_wants(account, subscription):
    account.webhooks.enabled_events = ["invoice.paid"]
    account.state.act(subscription["id"], "fail_payment")
    account.state.act(subscription["id"], "pay")

    assert [event["type"] for event in received(account)] == ["invoice.paid"]


def test_thin_events_name_the_object_and_nothing_else(account, subscription):
    account.webhooks.style = "thin"
    account.state.act(subscription["id"], "cancel_now")
    received(account)
    ((body, header),) = account.received

    notification = account.client.parse_event_notification(body, header, SECRET)

    assert notification.type == "v1.customer.subscription.deleted"
    assert notification.related_object.url == f"/v1/subscriptions/{subscription['id']}"
    assert notification.fetch_related_object().status == "canceled"


def test_both_forms_can_be_sent(account, subscription):
    account.webhooks.style = "both"
    account.state.act(subscription["id"], "cancel_now")

    assert {event["object"] for event in received(account)} == {"event", "v2.core.event"}


def test_events_of_one_moment_are_delivered_in_parallel(account, subscription):
    meeting = threading.Barrier(2, timeout=10)
    account.answer = lambda: {"outcome": str(meeting.wait())}

    account.state.act(subscription["id"], "fail_payment")  # two events

    assert statuses(account) == [(1, 200), (1, 200)]


def test_a_reset_forgets_what_was_to_be_sent(account, subscription):
    account.faults.webhook_delay_ms = 60_000
    delivery = account.state.emit("customer.updated", account.state.create_customer())[0]
    account.state.reset()

    assert delivery.wait_delivered(0)
    assert account.webhooks.deliveries() == []
    assert account.received == []


def test_stopped_webhooks_send_nothing():
    webhooks = Webhooks("whsec_x", Faults())
    webhooks.url = "http://127.0.0.1:9/hook"
    webhooks.stop()

    with pytest.raises(RuntimeError, match="stopped"):
        webhooks.send({"id": "evt_1", "type": "t", "created": 1, "data": {"object": {}}})


def test_stripe_tries_twelve_times_within_minutes():
    assert len(DELAYS) + 1 == 12
    assert sum(DELAYS) < 300


def test_what_waits_is_dropped_and_what_is_under_way_ends(account, subscription):
    arrived, go_on = threading.Event(), threading.Event()

    def answer_later() -> dict:
        arrived.set()
        go_on.wait(5)
        return {"outcome": "applied"}

    account.answer = answer_later
    account.state.act(subscription["id"], "cancel_at_period_end")
    assert arrived.wait(5)
    account.faults.webhook_delay_ms = 60_000
    account.state.act(subscription["id"], "resume")

    dropping = threading.Thread(target=account.webhooks.drop)
    dropping.start()
    assert dropping.is_alive(), "the endpoint has not answered yet"
    go_on.set()
    dropping.join(5)

    assert statuses(account) == [(1, 200)]
