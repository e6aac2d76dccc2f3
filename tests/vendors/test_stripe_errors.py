"""What becomes of each of Stripe's errors: the answer, the type that callers act on, the log."""

import json
import logging
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
import responses
from alone import Log
from given import settings
from hypothesis import given as for_all
from hypothesis import settings as with_settings
from hypothesis import strategies as st
from stripe._http_client import HTTPClient
from stripe_answers import API, BROKEN, DATE, LOST, SLOW, refused

from portal_service.errors import ServiceError
from portal_service.metrics import VENDOR_ERRORS
from portal_service.stripe_api import Stripe
from portal_service.stripe_errors import (
    CustomerMissing,
    KeyForbidden,
    KeyInUse,
    KeyReused,
    NotAtStripe,
    StripeFailed,
    StripeRefused,
    StripeUnavailable,
)

AS_OF = datetime(2026, 10, 26, 7, 33, 20, tzinfo=UTC)

Json = dict[str, Any]
Ask = Callable[[Stripe], object]

NO_CONFIGURATION = (
    "No configuration provided and your test mode default configuration has not been created. "
    "Provide a configuration or create your default by saving your customer portal settings in "
    "test mode at https://dashboard.stripe.com/test/settings/billing/portal."
)
ANSWERS = [
    # what Stripe answers, our code
    (refused(400, message="Some refusal"), "stripe_refused"),
    (
        refused(400, code="resource_missing", param="line_items[0][price]"),
        "checkout_not_configured",
    ),
    (
        refused(404, code="resource_missing", param="line_items[0][price]"),
        "checkout_not_configured",
    ),
    (
        refused(400, param="line_items[3][price]", message="The price specified is inactive."),
        "checkout_not_configured",
    ),
    (
        refused(
            400,
            code="resource_missing",
            param="flow_data[subscription_update_confirm][items][0][price]",
        ),
        "checkout_not_configured",
    ),
    (refused(400, param="line_items[0][quantity]"), "stripe_refused"),
    (refused(400, param="subscription_data[items][0][price]"), "stripe_refused"),
    (refused(400, param="flow_data[subscription_update][subscription]"), "stripe_refused"),
    (refused(400, code="resource_missing", param="customer"), "customer_not_found"),
    (refused(404, code="resource_missing", param="customer"), "customer_not_found"),
    (refused(400, code="resource_missing", param="configuration"), "portal_not_configured"),
    (refused(404, code="resource_missing", param="configuration"), "portal_not_configured"),
    (refused(400, param="configuration", message="is inactive"), "portal_not_configured"),
    (refused(404, code="resource_missing", param="price"), "stripe_refused"),
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
    ({"status": 200, "json": []}, "stripe_unavailable"),
    ({"status": 400, "json": {"error": ["no"]}}, "stripe_unavailable"),
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
    "checkout_not_configured": 500,
}
CALLS: list[tuple[str, str, Ask]] = [
    ("POST", f"{API}/billing_portal/sessions",
     lambda s: s.create_portal_session({"customer": "cus_1"})),
    ("POST", f"{API}/checkout/sessions",
     lambda s: s.create_checkout_session({"customer": "cus_1"}, "k")),
    ("GET", f"{API}/subscriptions", lambda s: s.subscriptions_of("cus_1")),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "code"), ANSWERS, ids=lambda value: str(value)[:70])
def test_every_error_has_one_meaning(at_stripe: Any, ours: Stripe, answer: Json, code: str) -> None:
    for method, url, ask in CALLS:
        at_stripe.add(method, url, **answer)
        with pytest.raises(ServiceError) as error:
            ask(ours)
        assert (error.value.code, error.value.status) == (code, STATUSES[code]), url
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


KINDS: list[Any] = [
    pytest.param(refused(409, code="lock_timeout"), KeyInUse, StripeUnavailable, id="a lock"),
    pytest.param(refused(409, type="idempotency_error"), KeyInUse, StripeUnavailable,
                 id="a key in use, by its type"),
    pytest.param(refused(409, code="idempotency_key_in_use"), KeyInUse, StripeUnavailable,
                 id="a key in use, by its code"),
    pytest.param(refused(429, code="lock_timeout"), KeyInUse, StripeUnavailable,
                 id="a lock, as too many requests"),
    pytest.param(refused(429, code="rate_limit"), StripeUnavailable, StripeFailed,
                 id="too many requests"),
    pytest.param(refused(400, type="idempotency_error"), KeyReused, StripeRefused,
                 id="a key with other parameters"),
    pytest.param(refused(401), KeyForbidden, ServiceError, id="no key"),
    pytest.param(refused(403), KeyForbidden, ServiceError, id="a key that may not"),
    pytest.param(refused(400, code="resource_missing", param="customer"), CustomerMissing,
                 StripeRefused, id="no customer"),
    pytest.param(refused(404, code="resource_missing", param="id"), NotAtStripe, StripeRefused,
                 id="nothing there"),
    pytest.param(refused(400), StripeRefused, ServiceError, id="no"),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "kind", "parent"), KINDS)
def test_what_a_caller_acts_on_has_a_type_of_its_own(
    at_stripe: Any, ours: Stripe, answer: Json, kind: type, parent: type
) -> None:
    at_stripe.post(f"{API}/customers", **answer)
    with pytest.raises(ServiceError) as error:
        ours.create_customer({}, "the key")
    assert type(error.value) is kind
    assert isinstance(error.value, parent)


REPLAYED = {"headers": {"Idempotent-Replayed": "true"}}


@pytest.mark.parametrize(
    "answer",
    [
        refused(400, type="idempotency_error"),
        refused(409, code="idempotency_key_in_use"),
        refused(409, code="lock_timeout"),
        refused(500, type="api_error") | REPLAYED,
        refused(400, code="parameter_unknown") | REPLAYED,
    ],
)
def test_a_click_that_lost_and_an_old_error_are_nothing_to_warn_of(
    at_stripe: Any, ours: Stripe, log: Log, answer: Json
) -> None:
    at_stripe.post(f"{API}/customers", **answer)
    with pytest.raises(StripeFailed):
        ours.create_customer({}, "the key")
    assert log.at(logging.INFO) == ["stripe call failed"]
    assert len(log.messages) == 1


@pytest.mark.parametrize(
    "ask",
    [lambda s: s.price("price_pro"), lambda s: s.portal_configuration("bpc_1")],
    ids=["price", "portal configuration"],
)
def test_whoever_asks_for_more_than_is_needed_tells_that_the_key_may_not(
    at_stripe: Any, ours: Stripe, log: Log, ask: Ask
) -> None:
    at_stripe.get(re.compile(".*"), **refused(403))
    with pytest.raises(KeyForbidden):
        ask(ours)
    assert log.messages == []


@pytest.mark.parametrize(
    "answer",
    [refused(400), refused(402), refused(403), refused(400, code="parameter_x"), BROKEN],
    ids=lambda answer: str(answer["status"]),
)
@pytest.mark.parametrize("replayed", [True, False])
def test_any_error_may_be_one_that_stripe_kept_with_the_key(
    at_stripe: Any, ours: Stripe, answer: Json, replayed: bool
) -> None:
    at_stripe.post(f"{API}/customers", **answer, **(REPLAYED if replayed else {}))
    with pytest.raises(StripeFailed) as error:
        ours.create_customer({}, "the key")
    assert error.value.replayed is replayed


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
        (refused(400, param="configuration"), "STRIPE_PORTAL_CONFIGURATION"),
        (refused(400, code="resource_missing", param="line_items[0][price]"), "STRIPE_PLANS"),
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
