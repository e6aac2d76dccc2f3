"""What goes to Stripe, byte by byte, and what becomes of each of its errors."""

import json
import logging
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import pytest
import requests
import responses
import stripe
from hypothesis import given as for_all
from hypothesis import settings as with_settings
from hypothesis import strategies as st
from stripe._http_client import HTTPClient

from portal_service import deadline
from portal_service.errors import ServiceError
from portal_service.observability import VENDOR_ERRORS
from portal_service.stripe_api import (
    CustomerMissing,
    NotAtStripe,
    Stripe,
    StripeRefused,
    StripeUnavailable,
)

from .conftest import Log
from .given import checkout_session, settings, subscription

API = "https://api.stripe.com/v1"
DATE = "Mon, 26 Oct 2026 07:33:20 GMT"
AS_OF = datetime(2026, 10, 26, 7, 33, 20, tzinfo=UTC)

Json = dict[str, Any]
Ask = Callable[[Stripe], object]


@pytest.fixture
def at_stripe() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK sleeps before it tries again."""
    monkeypatch.setattr(HTTPClient, "_sleep_time_seconds", lambda self, retries: 0)


@pytest.fixture
def ours() -> Stripe:
    return Stripe(settings())


def body_of(call: responses.Call) -> dict[str, str]:
    return dict(parse_qsl(call.request.body or "", strict_parsing=bool(call.request.body)))


def query_of(call: responses.Call) -> dict[str, str]:
    return dict(call.request.params)


def page(*data: Json, has_more: bool = False) -> Json:
    return {"object": "list", "data": list(data), "has_more": has_more, "url": "/v1/x"}


def refused(status: int = 400, **error: Any) -> Json:
    return {"status": status, "json": {"error": {"type": "invalid_request_error"} | error}}


# What is sent


def test_a_subscription_is_asked_for_by_id(at_stripe: Any, ours: Stripe) -> None:
    at_stripe.get(f"{API}/subscriptions/sub_1", json=subscription(), headers={"Date": DATE})
    found, moment = ours.subscription("sub_1")
    assert found == subscription()
    assert type(found["items"]["data"][0]) is dict
    assert moment == AS_OF
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
    path = at_stripe.calls[0].request.url.removeprefix(f"{API}/subscriptions/")
    assert not set(path) & set("/?# ")


def test_a_customers_subscriptions_are_listed_ended_ones_too(at_stripe: Any, ours: Stripe) -> None:
    at_stripe.get(f"{API}/subscriptions", json=page(subscription()), headers={"Date": DATE})
    assert ours.subscriptions_of("cus_1") == ([subscription()], AS_OF)
    assert query_of(at_stripe.calls[0]) == {"customer": "cus_1", "status": "all", "limit": "100"}


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
        {"status": "all", "limit": "100", "starting_after": after} for after in ("sub_9", "sub_2")
    ]


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
    assert ours.create_checkout_session(params, "the key") == url
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

LOCKED = refused(409, code="lock_timeout", message="locked")
BUSY = refused(409, type="idempotency_error", message="key in use")
BROKEN = refused(500, type="api_error", message="oops")
LOST = {"body": requests.ConnectionError("reset")}
SLOW = {"body": requests.ReadTimeout("slow")}
LIMITED = refused(429, code="rate_limit", message="slow down")


@pytest.mark.parametrize("failure", [LOCKED, BUSY, BROKEN, LOST, SLOW],
                         ids=["locked", "key in use", "500", "connection", "timeout"])  # fmt: skip
def test_one_failure_is_tried_again_under_the_same_key(
    at_stripe: Any, ours: Stripe, failure: Json
) -> None:
    at_stripe.post(f"{API}/customers", **failure)
    at_stripe.post(f"{API}/customers", json={"id": "cus_9"})
    assert ours.create_customer({}, "the key") == "cus_9"
    keys = [call.request.headers["Idempotency-Key"] for call in at_stripe.calls]
    assert keys == ["the key", "the key"]


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


class Clock:
    """The clock of the budget, which stands still until a test moves it on."""

    now = 5000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(deadline, "time", clock)
    return clock


def timeouts(mock: Any) -> list[float]:
    return [call.request.req_kwargs["timeout"].total for call in mock.calls]


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


# Refusals

NO_CONFIGURATION = (
    "No configuration provided and your test mode default configuration has not been created. "
    "Provide a configuration or create your default by saving your customer portal settings in "
    "test mode at https://dashboard.stripe.com/test/settings/billing/portal."
)
ANSWERS = [
    # what Stripe answers, our code
    (refused(400, message="Some refusal"), "stripe_refused"),
    (refused(400, code="resource_missing", param="line_items[0][price]"), "stripe_refused"),
    (refused(400, code="resource_missing", param="customer"), "customer_not_found"),
    (refused(404, code="resource_missing", param="customer"), "customer_not_found"),
    (refused(400, code="resource_missing", param="configuration"), "stripe_refused"),
    (refused(400, code="customer_tax_location_invalid"), "stripe_refused"),
    (refused(400, type="idempotency_error", message="other parameters"), "stripe_refused"),
    (refused(400, code="parameter_unknown", param="custmer"), "internal_error"),
    (refused(400, code="parameter_missing", param="mode"), "internal_error"),
    (refused(400, code="parameter_invalid_empty"), "internal_error"),
    (refused(400, code="parameters_exclusive"), "stripe_refused"),
    (refused(400, code="url_invalid", param="return_url"), "internal_error"),
    (refused(400, code="rate_limit"), "stripe_unavailable"),
    (refused(400, message=NO_CONFIGURATION), "portal_not_configured"),
    (refused(400, message=NO_CONFIGURATION.replace("test", "live")), "portal_not_configured"),
    (refused(401, message="Invalid API Key provided: sk_test_****unit"), "internal_error"),
    (refused(402, type="card_error", code="card_declined"), "stripe_refused"),
    (refused(402, type="card_error", code="card_declined", decline_code="x"), "stripe_refused"),
    (refused(403, code="more_permissions_required"), "internal_error"),
    (refused(404, code="resource_missing", param="id"), "stripe_refused"),
    (refused(409, code="lock_timeout"), "stripe_unavailable"),
    (refused(409, type="idempotency_error"), "stripe_unavailable"),
    (refused(429, code="rate_limit"), "stripe_unavailable"),
    (refused(429, code="lock_timeout"), "stripe_unavailable"),
    (refused(500, type="api_error"), "stripe_unavailable"),
    (refused(502), "stripe_unavailable"),
    (refused(503), "stripe_unavailable"),
    (refused(599), "stripe_unavailable"),
    ({"status": 500, "body": "<html>oops</html>"}, "stripe_unavailable"),
    ({"status": 502, "body": ""}, "stripe_unavailable"),
    ({"status": 200, "body": "<html>a proxy's page</html>"}, "stripe_unavailable"),
    ({"status": 200, "body": ""}, "stripe_unavailable"),
    ({"status": 500, "json": {}}, "stripe_unavailable"),
    ({"status": 502, "json": {"error": "Bad gateway"}}, "stripe_unavailable"),
    ({"status": 503, "json": []}, "stripe_unavailable"),
    (LOST, "stripe_unavailable"),
    (SLOW, "stripe_unavailable"),
    ({"body": requests.ConnectTimeout("slow")}, "stripe_unavailable"),
    ({"body": requests.exceptions.SSLError("who are you")}, "stripe_unavailable"),
    ({"body": requests.exceptions.ChunkedEncodingError("cut off")}, "stripe_unavailable"),
]
STATUSES = {
    "stripe_refused": 409,
    "customer_not_found": 409,
    "stripe_unavailable": 503,
    "internal_error": 500,
    "portal_not_configured": 500,
}
CALLS: dict[str, tuple[str, str, Ask]] = {
    "portal": ("POST", f"{API}/billing_portal/sessions",
               lambda s: s.create_portal_session({"customer": "cus_1"})),
    "checkout": ("POST", f"{API}/checkout/sessions",
                 lambda s: s.create_checkout_session({"customer": "cus_1"}, "k")),
    "list": ("GET", f"{API}/subscriptions", lambda s: s.subscriptions_of("cus_1")),
}  # fmt: skip


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(("answer", "code"), ANSWERS, ids=lambda value: str(value)[:70])
def test_every_error_has_one_meaning(
    at_stripe: Any, ours: Stripe, call: tuple[str, str, Ask], answer: Json, code: str
) -> None:
    method, url, ask = call
    at_stripe.add(method, url, **answer)
    with pytest.raises(ServiceError) as error:
        ask(ours)
    assert (error.value.code, error.value.status) == (code, STATUSES[code])
    assert bool(error.value.retry_after) is (error.value.status == 503)


def test_what_is_not_there_tells_the_moment_of_the_answer(at_stripe: Any, ours: Stripe) -> None:
    missing = refused(404, code="resource_missing", param="id", message="No such subscription")
    at_stripe.get(f"{API}/subscriptions/sub_1", **missing, headers={"Date": DATE})
    with pytest.raises(NotAtStripe) as not_there:
        ours.subscription("sub_1")
    assert not_there.value.date == AS_OF
    assert not isinstance(not_there.value, CustomerMissing)


def test_what_is_not_there_may_not_tell_the_moment(at_stripe: Any, ours: Stripe) -> None:
    at_stripe.get(f"{API}/subscriptions/sub_1", **refused(404, code="resource_missing", param="id"))
    with pytest.raises(NotAtStripe) as not_there:
        ours.subscription("sub_1")
    assert not_there.value.date is None


@pytest.mark.parametrize("missing", [CustomerMissing(), NotAtStripe(None)], ids=type)
def test_a_refusal_for_good_can_be_told_from_one_for_now(missing: ServiceError) -> None:
    assert isinstance(missing, StripeRefused)
    assert not isinstance(missing, StripeUnavailable)


error_fields = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["invalid_request_error", "card_error", "api_error", "", None]),
        "code": st.sampled_from(["resource_missing", "parameter_x", "", None]),
        "param": st.sampled_from(["customer", "", None]),
        "message": st.sampled_from(["No configuration provided", "", None]),
    },
)


@for_all(
    st.sampled_from([400, 401, 402, 403, 404, 409, 418, 422, 429, 500, 503]),
    st.one_of(
        st.builds(lambda error: {"error": error}, error_fields),
        st.sampled_from([{"error": "invalid_client", "error_description": "x"}, {"error": []},
                         {"error": 1}, {}, [], None, 1, "x"]),
    ),
)  # fmt: skip
@with_settings(max_examples=150)
def test_no_error_of_stripes_escapes_the_mapping(status: int, body: object) -> None:
    with responses.RequestsMock() as mock:
        mock.get(f"{API}/subscriptions/sub_1", body=json.dumps(body), status=status)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(HTTPClient, "_sleep_time_seconds", lambda self, retries: 0)
            with pytest.raises(ServiceError) as error:
                Stripe(settings()).subscription("sub_1")
    if status >= 500 or status in (409, 429):
        assert error.value.code == "stripe_unavailable"
    if status in (401, 403) and isinstance(body, dict) and isinstance(body.get("error"), dict):
        assert error.value.code == "internal_error"


@pytest.mark.parametrize(
    ("headers", "replayed"),
    [({"Idempotent-Replayed": "true"}, True), ({"Idempotent-Replayed": "false"}, False),
     ({}, False)],
)  # fmt: skip
def test_a_fault_that_stripe_kept_with_the_key_can_be_told_from_a_new_one(
    at_stripe: Any, ours: Stripe, headers: Json, replayed: bool
) -> None:
    at_stripe.post(f"{API}/customers", **BROKEN, headers=headers)
    with pytest.raises(StripeUnavailable) as unavailable:
        ours.create_customer({}, "the key")
    assert unavailable.value.replayed is replayed


# What the log says of a refusal


def test_the_log_says_what_an_operator_needs(at_stripe: Any, ours: Stripe, log: Log) -> None:
    at_stripe.post(
        f"{API}/billing_portal/sessions",
        **refused(400, code="resource_missing", param="customer",
                  message="No such customer: 'cus_1'; ask ada@example.com (jürgen@exämple.de)"),
        headers={"Request-Id": "req_1"},
    )  # fmt: skip
    with pytest.raises(CustomerMissing):
        ours.create_portal_session({"customer": "cus_1"})
    fields = log.fields("stripe call failed")
    assert fields["stripe_type"] == "InvalidRequestError"
    assert fields["stripe_code"] == "resource_missing"
    assert fields["stripe_param"] == "customer"
    assert fields["stripe_request_id"] == "req_1"
    assert fields["status"] == 400
    assert fields["answer"] == "customer_not_found"
    assert fields["stripe_message"].startswith("No such customer: 'cus_1'; ask [removed]")
    assert not any(secret in log.text for secret in ("sk_test_unit", "ada@", "rgen@"))


@pytest.mark.parametrize(
    ("answer", "cure"),
    [
        (refused(400, message=NO_CONFIGURATION), "STRIPE_PORTAL_CONFIGURATION"),
        (refused(401, message="Invalid API Key provided: sk_test_unit"), "STRIPE_SECRET_KEY"),
        (refused(403, message="The provided key 'rk_live_x' does not"), "STRIPE_SECRET_KEY"),
        (refused(400, code="parameter_unknown"), "STRIPE_CHECKOUT_PARAMS"),
    ],
)
def test_what_only_an_operator_can_mend_is_an_error_with_its_cure(
    at_stripe: Any, ours: Stripe, log: Log, answer: Json, cure: str
) -> None:
    at_stripe.post(f"{API}/billing_portal/sessions", **answer)
    with pytest.raises(ServiceError):
        ours.create_portal_session({"customer": "cus_1"})
    assert log.at(logging.ERROR) == ["stripe call failed"]
    assert cure in log.fields("stripe call failed")["cure"]
    assert "sk_test_unit" not in log.text
    assert "rk_live_x" not in log.text


def test_a_refusal_of_what_the_caller_wants_is_a_warning(
    at_stripe: Any, ours: Stripe, log: Log
) -> None:
    at_stripe.post(f"{API}/billing_portal/sessions", **refused(400, message="The price is off"))
    with pytest.raises(StripeRefused):
        ours.create_portal_session({"customer": "cus_1"})
    assert log.at(logging.WARNING) == ["stripe call failed"]
    assert log.at(logging.ERROR) == []


def test_a_sessions_address_is_never_logged(at_stripe: Any, ours: Stripe, log: Log) -> None:
    url = "https://billing.stripe.com/p/session/test_credential"
    at_stripe.post(f"{API}/billing_portal/sessions", json={"url": url})
    ours.create_portal_session({"customer": "cus_1"})
    at_stripe.post(f"{API}/checkout/sessions", **refused(400, message=f"see {url}"))
    with pytest.raises(StripeRefused):
        ours.create_checkout_session({}, "k")
    assert "credential" not in log.text


def test_failures_are_counted_by_code(at_stripe: Any, ours: Stripe) -> None:
    counter = VENDOR_ERRORS.labels("stripe", "resource_missing")
    before = counter._value.get()
    at_stripe.get(f"{API}/subscriptions/sub_1", **refused(404, code="resource_missing"))
    with pytest.raises(NotAtStripe):
        ours.subscription("sub_1")
    assert counter._value.get() == before + 1
