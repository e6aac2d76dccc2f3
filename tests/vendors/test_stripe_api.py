"""What goes to Stripe, byte by byte, and when it is tried again."""

import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import pytest
import responses
import stripe
from alone import Clock
from given import checkout_session, item, settings, subscription
from prometheus_client import REGISTRY
from stripe_answers import API, BROKEN, BUSY, DATE, LIMITED, LOCKED, LOST, SLOW, page, refused

from portal_service import deadline
from portal_service.errors import ServiceError
from portal_service.stripe_api import Stripe
from portal_service.stripe_errors import StripeUnavailable

AS_OF = datetime(2026, 10, 26, 7, 33, 20, tzinfo=UTC)

Json = dict[str, Any]


def body_of(call: responses.Call) -> dict[str, str]:
    return dict(parse_qsl(call.request.body or "", strict_parsing=bool(call.request.body)))


def query_of(call: responses.Call) -> dict[str, str]:
    return dict(call.request.params)


# What is sent


def test_a_subscription_is_asked_for_by_id(at_stripe: Any, ours: Stripe) -> None:
    at_stripe.get(f"{API}/subscriptions/sub_1", json=subscription(), headers={"Date": DATE})
    found, moment = ours.subscription("sub_1")
    assert found == subscription()
    assert type(found["items"]["data"][0]) is dict
    assert moment == AS_OF
    assert query_of(at_stripe.calls[0]) == {"expand[0]": "customer"}
    assert len(at_stripe.calls) == 1


def test_every_request_has_our_key_and_the_pinned_version_and_no_telemetry(
    at_stripe: Any, ours: Stripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stripe, "enable_telemetry", True)  # the SDK's default
    answer = {"json": subscription(), "headers": {"Request-Id": "req_1"}}
    at_stripe.get(f"{API}/subscriptions/sub_1", **answer)
    for _ in range(3):
        ours.subscription("sub_1")
    for call in at_stripe.calls:
        sent = call.request.headers
        assert sent["Authorization"] == "Bearer sk_test_unit"
        assert sent["Stripe-Version"] == "2026-10-28.endive"
        assert "X-Stripe-Client-Telemetry" not in sent
        assert "Stripe-Account" not in sent


@pytest.mark.parametrize("odd", ["../v1/charges", "sub_1?expand=x", "sub 1", "sub_1#x", "é", "%2e"])
def test_an_odd_id_stays_within_its_place(at_stripe: Any, ours: Stripe, odd: str) -> None:
    at_stripe.get(re.compile(".*"), json=subscription())
    ours.subscription(odd)
    path, _, query = at_stripe.calls[0].request.url.rpartition("?")
    assert query == "expand%5B0%5D=customer"
    path = path.removeprefix(f"{API}/subscriptions/")
    assert not set(path) & set("/?# ")


def test_a_customers_subscriptions_are_listed_ended_ones_too(at_stripe: Any, ours: Stripe) -> None:
    at_stripe.get(f"{API}/subscriptions", json=page(subscription()), headers={"Date": DATE})
    assert ours.subscriptions_of("cus_1") == ([subscription()], AS_OF)
    assert query_of(at_stripe.calls[0]) == {
        "customer": "cus_1", "status": "all", "limit": "100", "expand[0]": "data.customer",
    }  # fmt: skip


def test_every_page_is_read_and_the_first_ones_moment_counts(at_stripe: Any, ours: Stripe) -> None:
    pages = [[subscription(id="sub_4"), subscription(id="sub_3")], [subscription(id="sub_2")], []]
    later = "Mon, 26 Oct 2026 07:33:29 GMT"
    for number, data in enumerate(pages):
        at_stripe.get(
            f"{API}/subscriptions",
            json=page(*data, has_more=number < 2),
            headers={"Date": later if number else DATE},
        )
    found, moment = ours.subscriptions_of("cus_1")
    assert [one["id"] for one in found] == ["sub_4", "sub_3", "sub_2"]
    assert moment == AS_OF
    assert [query_of(call).get("starting_after") for call in at_stripe.calls] == [
        None, "sub_3", "sub_2",
    ]  # fmt: skip
    assert all(query_of(call)["customer"] == "cus_1" for call in at_stripe.calls)


def test_a_customer_without_subscriptions_has_none(at_stripe: Any, ours: Stripe) -> None:
    at_stripe.get(f"{API}/subscriptions", json=page())
    assert ours.subscriptions_of("cus_1")[0] == []


def test_all_subscriptions_are_walked_through_from_where_one_was(
    at_stripe: Any, ours: Stripe
) -> None:
    at_stripe.get(f"{API}/subscriptions", json=page(subscription(id="sub_2"), has_more=True))
    at_stripe.get(f"{API}/subscriptions", json=page(subscription(id="sub_1")))
    assert [one["id"] for one in ours.all_subscriptions("sub_9")] == ["sub_2", "sub_1"]
    assert [query_of(call) for call in at_stripe.calls] == [
        {"status": "all", "limit": "100", "expand[0]": "data.customer", "starting_after": after}
        for after in ("sub_9", "sub_2")
    ]


ELEVEN = [item(id=f"si_{number}") for number in range(11)]
SHOWN = subscription(items={"object": "list", "data": ELEVEN[:10], "has_more": True})


@pytest.mark.parametrize("listed", [True, False])
def test_items_that_stripe_did_not_show_are_listed(
    at_stripe: Any, ours: Stripe, listed: bool
) -> None:
    if listed:
        at_stripe.get(f"{API}/subscriptions", json=page(SHOWN, subscription(id="sub_2")))
    else:
        at_stripe.get(f"{API}/subscriptions/sub_1", json=SHOWN)
    at_stripe.get(f"{API}/subscription_items", json=page(*ELEVEN[:6], has_more=True))
    at_stripe.get(f"{API}/subscription_items", json=page(*ELEVEN[6:]))
    found = ours.subscriptions_of("cus_1")[0][0] if listed else ours.subscription("sub_1")[0]
    assert found["items"] == {"data": ELEVEN, "has_more": False}
    asked = [query_of(call) for call in at_stripe.calls[1:]]
    first = {"subscription": "sub_1", "limit": "100"}
    assert asked == [first, first | {"starting_after": "si_5"}]


def test_the_items_of_every_subscription_of_a_walk_are_listed(at_stripe: Any) -> None:
    at_stripe.get(f"{API}/subscriptions", json=page(SHOWN))
    at_stripe.get(f"{API}/subscription_items", json=page(*ELEVEN))
    calls: list[str] = []

    def retrying(ask: Any) -> Any:
        calls.append("a page")
        return ask()

    (found,) = Stripe(settings(), retrying).all_subscriptions()
    assert len(found["items"]["data"]) == 11
    assert len(calls) == 2


@pytest.mark.parametrize(
    ("path", "ask"),
    [
        ("prices/price_pro", lambda ours: ours.price("price_pro")),
        ("billing_portal/configurations/bpc_1", lambda ours: ours.portal_configuration("bpc_1")),
        ("customers/cus_1", lambda ours: ours.customer("cus_1")),
    ],
)
def test_one_thing_is_asked_for_by_id(at_stripe: Any, ours: Stripe, path: str, ask: Any) -> None:
    thing = {"id": "it", "object": "thing", "active": True}
    at_stripe.get(f"{API}/{path}", json=thing)
    found = ask(ours)
    assert found == thing
    assert type(found) is dict


@pytest.mark.parametrize(
    ("answer", "gone"),
    [
        ({"json": {"id": "cus_1", "object": "customer"}}, False),
        ({"json": {"id": "cus_1", "object": "customer", "deleted": True}}, True),
        (refused(404, code="resource_missing", param="id"), True),
        (refused(404, code="resource_missing", param="customer"), True),
    ],
)
def test_a_customer_is_gone_when_it_was_deleted_or_never_there(
    at_stripe: Any, ours: Stripe, answer: Json, gone: bool
) -> None:
    at_stripe.get(f"{API}/customers/cus_1", **answer)
    assert ours.is_gone("cus_1") is gone


def test_nobody_is_gone_because_stripe_does_not_answer(at_stripe: Any, ours: Stripe) -> None:
    at_stripe.get(f"{API}/customers/cus_1", **BROKEN)
    with pytest.raises(StripeUnavailable):
        ours.is_gone("cus_1")


def test_a_customer_is_made_of_metadata_alone(at_stripe: Any, ours: Stripe) -> None:
    at_stripe.post(f"{API}/customers", json={"id": "cus_9", "object": "customer"})
    assert ours.create_customer({"clerk_user_id": "user_ada"}, "the key") == "cus_9"
    (call,) = at_stripe.calls
    assert body_of(call) == {"metadata[clerk_user_id]": "user_ada"}
    assert call.request.headers["Idempotency-Key"] == "the key"
    assert call.request.headers["Content-Type"] == "application/x-www-form-urlencoded"


def test_a_portal_session_is_asked_for_as_documented(at_stripe: Any, ours: Stripe) -> None:
    url = "https://billing.stripe.com/p/session/test_x"
    at_stripe.post(f"{API}/billing_portal/sessions", json={"id": "bps_1", "url": url})
    back = "https://app.example.com/settings?a=1&b=2"
    params = {
        "customer": "cus_1",
        "return_url": back,
        "locale": "de",
        "configuration": "bpc_1",
        "flow_data": {
            "type": "subscription_cancel",
            "after_completion": {"type": "redirect", "redirect": {"return_url": back}},
            "subscription_cancel": {"subscription": "sub_1"},
        },
    }
    assert ours.create_portal_session(params) == url
    assert body_of(at_stripe.calls[0]) == {
        "customer": "cus_1",
        "return_url": back,
        "locale": "de",
        "configuration": "bpc_1",
        "flow_data[type]": "subscription_cancel",
        "flow_data[after_completion][type]": "redirect",
        "flow_data[after_completion][redirect][return_url]": back,
        "flow_data[subscription_cancel][subscription]": "sub_1",
    }


def test_a_checkout_session_is_asked_for_as_documented(at_stripe: Any, ours: Stripe) -> None:
    url = "https://checkout.stripe.com/c/pay/cs_test_1#x"
    at_stripe.post(f"{API}/checkout/sessions", json=checkout_session(url=url))
    params = {
        "mode": "subscription",
        "customer": "cus_1",
        "line_items": [{"price": "price_pro", "quantity": 2}],
        "success_url": "https://app.example.com/x?checkout_session_id={CHECKOUT_SESSION_ID}",
        "cancel_url": "https://app.example.com/x",
        "client_reference_id": "user_ada",
        "metadata": {"clerk_user_id": "user_ada"},
        "subscription_data": {"metadata": {"clerk_user_id": "user_ada"}, "trial_period_days": 14},
        "automatic_tax": {"enabled": True},
        "allow_promotion_codes": False,
        "customer_update": {"address": "auto"},
    }
    assert ours.create_checkout_session(params, "the key") == (url, False)
    (call,) = at_stripe.calls
    assert call.request.headers["Idempotency-Key"] == "the key"
    assert body_of(call) == {
        "mode": "subscription",
        "customer": "cus_1",
        "line_items[0][price]": "price_pro",
        "line_items[0][quantity]": "2",
        "success_url": "https://app.example.com/x?checkout_session_id={CHECKOUT_SESSION_ID}",
        "cancel_url": "https://app.example.com/x",
        "client_reference_id": "user_ada",
        "metadata[clerk_user_id]": "user_ada",
        "subscription_data[metadata][clerk_user_id]": "user_ada",
        "subscription_data[trial_period_days]": "14",
        "automatic_tax[enabled]": "true",
        "allow_promotion_codes": "false",
        "customer_update[address]": "auto",
    }


@pytest.mark.parametrize(
    ("headers", "made_before"),
    [
        ({"Idempotent-Replayed": "true"}, True),
        ({"Idempotent-Replayed": "false"}, False),
        ({}, False),
    ],
)
def test_a_session_that_the_key_made_before_can_be_told_from_a_new_one(
    at_stripe: Any, ours: Stripe, headers: Json, made_before: bool
) -> None:
    at_stripe.post(f"{API}/checkout/sessions", json=checkout_session(url="https://x"), **(
        {"headers": headers} if headers else {}
    ))  # fmt: skip
    assert ours.create_checkout_session({}, "the key") == ("https://x", made_before)


def test_checkout_sessions_are_read_and_expired(at_stripe: Any, ours: Stripe) -> None:
    session = checkout_session()
    at_stripe.get(f"{API}/checkout/sessions/cs_test_1", json=session)
    at_stripe.get(f"{API}/checkout/sessions", json=page(session, has_more=True))
    at_stripe.post(f"{API}/checkout/sessions/cs_test_1/expire", json=session)
    assert ours.checkout_session("cs_test_1") == session
    assert ours.newest_checkout_sessions("cus_1") == [session]
    ours.expire_checkout_session("cs_test_1")
    assert query_of(at_stripe.calls[1]) == {"customer": "cus_1", "limit": "100"}
    assert not at_stripe.calls[2].request.body


def test_events_are_walked_through_as_asked(at_stripe: Any, ours: Stripe) -> None:
    at_stripe.get(f"{API}/events", json=page({"id": "evt_1", "object": "event"}))
    at_stripe.get(f"{API}/events/evt_1", json={"id": "evt_1", "object": "event"})
    types = ["customer.subscription.updated", "checkout.session.completed"]
    assert [event["id"] for event in ours.events(types=types, delivery_success=False)] == ["evt_1"]
    assert query_of(at_stripe.calls[0]) == {
        "types[0]": types[0], "types[1]": types[1], "delivery_success": "false", "limit": "100",
    }  # fmt: skip
    assert ours.event("evt_1")["id"] == "evt_1"


def test_the_ping_asks_for_one_subscription(at_stripe: Any, ours: Stripe) -> None:
    at_stripe.get(f"{API}/subscriptions", json=page())
    ours.ping()
    assert query_of(at_stripe.calls[0]) == {"limit": "1"}


def test_another_address_can_be_configured(at_stripe: Any) -> None:
    at_stripe.get("http://127.0.0.1:4242/v1/subscriptions/sub_1", json=subscription())
    Stripe(settings(stripe_api_base="http://127.0.0.1:4242")).subscription("sub_1")


def test_all_threads_share_one_client(ours: Stripe) -> None:
    assert ours._client is ours._client


@pytest.mark.parametrize(
    ("date", "moment"),
    [
        (DATE, AS_OF),
        ("Monday, 26-Oct-26 07:33:20 GMT", AS_OF),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_the_moment_is_that_of_stripes_clock(
    at_stripe: Any, ours: Stripe, date: str | None, moment: datetime | None
) -> None:
    headers = {} if date is None else {"Date": date}
    at_stripe.get(f"{API}/subscriptions/sub_1", json=subscription(), headers=headers)
    assert ours.subscription("sub_1")[1] == moment


# Trying again


def retries() -> float:
    labels = {"vendor": "stripe", "call": "POST /v1/customers"}
    return REGISTRY.get_sample_value("portal_vendor_retries_total", labels) or 0.0


@pytest.mark.parametrize("failure", [LOCKED, BUSY, BROKEN, LOST, SLOW],
                         ids=["locked", "key in use", "500", "connection", "timeout"])  # fmt: skip
def test_one_failure_is_tried_again_under_the_same_key(
    at_stripe: Any, ours: Stripe, failure: Json
) -> None:
    at_stripe.post(f"{API}/customers", **failure)
    at_stripe.post(f"{API}/customers", json={"id": "cus_9"})
    before = retries()
    assert ours.create_customer({}, "the key") == "cus_9"
    keys = [call.request.headers["Idempotency-Key"] for call in at_stripe.calls]
    assert keys == ["the key", "the key"]
    assert retries() == before + 1
    ours.create_customer({}, "another key")
    assert retries() == before + 1


@pytest.mark.parametrize("failure", [LOCKED, BROKEN, LOST, SLOW])
def test_two_failures_are_enough(at_stripe: Any, ours: Stripe, failure: Json) -> None:
    at_stripe.post(f"{API}/customers", **failure)
    with pytest.raises(StripeUnavailable):
        ours.create_customer({}, "the key")
    assert len(at_stripe.calls) == 2


def test_too_many_requests_are_not_made_more(at_stripe: Any, ours: Stripe) -> None:
    at_stripe.post(f"{API}/customers", **LIMITED)
    with pytest.raises(StripeUnavailable):
        ours.create_customer({}, "the key")
    assert len(at_stripe.calls) == 1


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404])
def test_a_no_is_not_asked_again(at_stripe: Any, ours: Stripe, status: int) -> None:
    at_stripe.post(f"{API}/customers", **refused(status))
    with pytest.raises(ServiceError):
        ours.create_customer({}, "the key")
    assert len(at_stripe.calls) == 1


# Time


def timeouts(mock: Any) -> list[float]:
    return [call.request.req_kwargs["timeout"] for call in mock.calls]


def test_an_attempt_has_the_configured_time(at_stripe: Any) -> None:
    at_stripe.get(f"{API}/subscriptions/sub_1", json=subscription())
    Stripe(settings(stripe_timeout=1.5)).subscription("sub_1")
    assert timeouts(at_stripe) == [1.5]


@pytest.mark.parametrize(("spent", "granted"), [(0, 5), (5, 5), (7, 3), (9.75, 0.25)])
def test_an_attempt_has_at_most_what_is_left_of_the_budget(
    at_stripe: Any, ours: Stripe, clock: Clock, spent: float, granted: float
) -> None:
    at_stripe.get(f"{API}/subscriptions/sub_1", json=subscription())
    deadline.begin()
    clock.now += spent
    ours.subscription("sub_1")
    assert timeouts(at_stripe) == [granted]


def test_the_second_attempt_has_what_the_first_one_left(
    at_stripe: Any, ours: Stripe, clock: Clock
) -> None:
    def slow(request: object) -> tuple[int, Json, str]:
        clock.now += 7
        return 500, {}, "{}"

    at_stripe.add_callback("GET", f"{API}/subscriptions/sub_1", slow)
    deadline.begin()
    with pytest.raises(StripeUnavailable):
        ours.subscription("sub_1")
    assert timeouts(at_stripe) == [5, 3]


def test_without_room_for_it_there_is_no_second_attempt(
    at_stripe: Any, ours: Stripe, clock: Clock
) -> None:
    at_stripe.get(f"{API}/subscriptions/sub_1", **BROKEN)
    deadline.begin()
    clock.now += 9
    with pytest.raises(StripeUnavailable):
        ours.subscription("sub_1")
    assert len(at_stripe.calls) == 1


def test_nothing_is_asked_when_no_time_is_left(at_stripe: Any, ours: Stripe, clock: Clock) -> None:
    deadline.begin()
    clock.now += 10
    with pytest.raises(StripeUnavailable) as unavailable:
        ours.subscription("sub_1")
    assert (unavailable.value.status, len(at_stripe.calls)) == (503, 0)
