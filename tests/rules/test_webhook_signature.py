"""A delivery's signature and shape. Each test signs as Stripe does and breaks one thing."""

import hashlib
import hmac
import json
import time
from typing import Any

import pytest
import stripe
from alone import Log
from given import checkout_session, snapshot_event, subscription, thin_event
from hypothesis import example
from hypothesis import given as for_all
from hypothesis import strategies as st

from portal_service.errors import ServiceError
from portal_service.events import (
    CHECKOUT_EVENTS,
    SUBSCRIPTION_EVENTS,
    completed_session,
    parse,
    snapshot_row,
)
from portal_service.webhook import TOLERANCE_SECONDS, verify

SECRET, OLD_SECRET = "whsec_new", "whsec_old"
SECRETS = (SECRET, OLD_SECRET)
PAYLOAD = json.dumps(snapshot_event("customer.subscription.updated", subscription()), indent=2)


def mac(payload: bytes | str, stamp: object, secret: str = SECRET) -> str:
    raw = payload.encode() if isinstance(payload, str) else payload
    return hmac.new(secret.encode(), f"{stamp}.".encode() + raw, hashlib.sha256).hexdigest()


def signed(payload: bytes | str = PAYLOAD, age: float = 0, secret: str = SECRET) -> str:
    stamp = int(time.time() - age)
    return f"t={stamp},v1={mac(payload, stamp, secret)}"


def is_refused(payload: bytes | str, header: str, secrets: tuple[str, ...] = SECRETS) -> bool:
    raw = payload.encode() if isinstance(payload, str) else payload
    try:
        verify(raw, header, secrets)
    except ServiceError as refused:
        assert (refused.code, refused.status) == ("invalid_signature", 400)
        return True
    return False


def test_a_delivery_signed_by_stripes_own_sdk_is_accepted() -> None:
    header = stripe.WebhookSignature.generate_signature_header(PAYLOAD, SECRET)
    assert not is_refused(PAYLOAD, header)


@pytest.mark.parametrize("secret", SECRETS)
def test_every_configured_secret_counts(secret: str) -> None:
    assert not is_refused(PAYLOAD, signed(secret=secret))
    assert is_refused(PAYLOAD, signed(secret=secret), ("whsec_third",))


def test_while_a_secret_is_rotated_there_are_two_signatures() -> None:
    stamp = int(time.time())
    both = f"t={stamp},v1={mac(PAYLOAD, stamp, OLD_SECRET)},v1={mac(PAYLOAD, stamp)}"
    assert not is_refused(PAYLOAD, both, (SECRET,))
    assert not is_refused(PAYLOAD, both, (OLD_SECRET,))


def test_unknown_schemes_are_passed_over() -> None:
    stamp = int(time.time())
    assert not is_refused(PAYLOAD, f"t={stamp},v0=00,v1={mac(PAYLOAD, stamp)},v2=ff")
    assert is_refused(PAYLOAD, f"t={stamp},v0={mac(PAYLOAD, stamp)}")


@pytest.mark.parametrize("payload", [b"", b"{}", "ünïcode ☃".encode(), b"\r\n", PAYLOAD.encode()])
def test_it_is_the_raw_bytes_that_are_signed(payload: bytes) -> None:
    assert not is_refused(payload, signed(payload))
    assert is_refused(payload + b" ", signed(payload))
    assert is_refused(json.dumps(json.loads(PAYLOAD)), signed(PAYLOAD))


@pytest.mark.parametrize(
    ("age", "refused"),
    [
        (0, False),
        (TOLERANCE_SECONDS - 5, False),
        (-(TOLERANCE_SECONDS - 5), False),
        (TOLERANCE_SECONDS + 5, True),
        (-(TOLERANCE_SECONDS + 5), True),
        (10**9, True),
        (-(10**9), True),
        (-(10**15), True),
    ],
)
def test_a_delivery_is_at_most_five_minutes_old_or_early(age: int, refused: bool) -> None:
    assert is_refused(PAYLOAD, signed(age=age)) is refused


def test_the_stamp_that_is_signed_is_the_one_whose_age_counts() -> None:
    now, old = int(time.time()), int(time.time()) - 10_000
    assert is_refused(PAYLOAD, f"t={now},v1={mac(PAYLOAD, old)}")
    assert is_refused(PAYLOAD, f"t={old},t={now},v1={mac(PAYLOAD, old)}")
    assert is_refused(PAYLOAD, f"t={now},t={old},v1={mac(PAYLOAD, old)}")
    future = now + 10_000
    assert is_refused(PAYLOAD, f"t={future},t={now},v1={mac(PAYLOAD, future)}")
    assert is_refused(PAYLOAD, f"xt={now},t={future},v1={mac(PAYLOAD, future)}")


NOW = int(time.time())
GOOD_MAC = mac(PAYLOAD, NOW)


OTHER_HEADERS = (
    [
        "", " ", ",", "=", "t=", "v1=", "t=,v1=", "t", "v1", f"t={NOW}", f"v1={GOOD_MAC}",
        GOOD_MAC, f"t={NOW},v1=", f"t={NOW},v1={GOOD_MAC[:-1]}", f"t={NOW},v1={GOOD_MAC}0",
        f"t={NOW},v1={GOOD_MAC.upper()}", f"t={NOW},v1={'0' * 64}", f"t={NOW};v1={GOOD_MAC}",
        f"t={NOW}, v1={GOOD_MAC}", f"T={NOW},V1={GOOD_MAC}", f"t={NOW}.0,v1={GOOD_MAC}",
        f"t=-{NOW},v1={GOOD_MAC}", f"t=nan,v1={GOOD_MAC}", f"t=1e9,v1={GOOD_MAC}",
        f"t=0x10,v1={GOOD_MAC}", f"t={'9' * 5000},v1={GOOD_MAC}", f"t={NOW},v1={'é' * 64}",
        f"t=١٢٣,v1={GOOD_MAC}", f"t={NOW},v1={GOOD_MAC}é", "é", "\ud800", "\0", "t=\0,v1=\0",
        f"t={NOW}\n,v1={GOOD_MAC[:-1]}", "t=1,v1=1," * 20_000, "=" * 10_000, "null", "{}", "[]",
        f"t={NOW},v1={GOOD_MAC[:32]},v1={GOOD_MAC[32:]}", "Bearer whsec_new", "whsec_new",
    ]
)  # fmt: skip


def test_another_header_is_refused() -> None:
    for header in OTHER_HEADERS:
        assert is_refused(PAYLOAD, header), ascii(header)[:200]


@pytest.mark.parametrize("payload", [b"\xff", b"\xff\xfe{\0}\0", b"\xed\xa0\x80", b"{\x80}"])
def test_a_body_that_is_not_utf_8_is_refused_also_well_signed(payload: bytes) -> None:
    assert is_refused(payload, signed(payload))


def test_a_bad_signature_is_logged_without_what_was_sent(log: Log) -> None:
    assert is_refused(PAYLOAD, f"t={NOW},v1={'0' * 64}")
    assert len(log.messages) == 1
    assert "STRIPE_WEBHOOK_SECRET" in log.messages[0]
    assert not any(sent in log.text for sent in ("cus_1", "0" * 64, SECRET, OLD_SECRET))


@for_all(st.binary(max_size=200), st.text(max_size=200))
@example(b"{}", f"t={NOW},v1=\x80")
@example(b"\xff", f"t={NOW},v1={'0' * 64}")
def test_no_delivery_of_a_stranger_is_accepted_or_breaks_the_check(
    payload: bytes, header: str
) -> None:
    assert is_refused(payload, header)


@for_all(
    st.lists(
        st.sampled_from(
            ["t=", "v1=", ",", "=", str(NOW), GOOD_MAC, "-", "+", "_", " ", ".", "é", "9" * 30]
        ),
        max_size=9,
    ).map("".join)
)
def test_no_mixture_of_right_parts_breaks_the_check(header: str) -> None:
    is_refused(PAYLOAD, header)


# The event


def parsed(payload: bytes | str) -> dict[str, Any]:
    event = parse(payload.encode() if isinstance(payload, str) else payload)
    if event["object"] == "event" and event["type"] in SUBSCRIPTION_EVENTS:
        assert snapshot_row(event, ())["stripe_subscription_id"] == event["data"]["object"]["id"]
    elif event["object"] == "event" and event["type"] in CHECKOUT_EVENTS:
        assert completed_session(event) is event["data"]["object"]
    return event


GOOD_EVENTS = [
    *(snapshot_event(kind, subscription()) for kind in sorted(SUBSCRIPTION_EVENTS)),
    *(snapshot_event(kind, checkout_session()) for kind in sorted(CHECKOUT_EVENTS)),
    *(thin_event(kind, "x_1") for kind in sorted(SUBSCRIPTION_EVENTS | CHECKOUT_EVENTS)),
    snapshot_event("invoice.paid", {"id": "in_1", "object": "invoice"}),
    snapshot_event("balance.available", {"object": "balance"}),
    thin_event("invoice.paid", "in_1"),
    thin_event("billing.meter.error_report_triggered", "x") | {"related_object": None},
    thin_event("core.health.event", "x") | {"type": "v2.core.health.event"},
]


@pytest.mark.parametrize("event", GOOD_EVENTS, ids=lambda event: event["type"])
def test_an_event_is_taken_as_it_is(event: dict[str, Any]) -> None:
    assert parsed(json.dumps(event)) == event
    assert parsed(json.dumps(event, indent=2)) == event


UPDATED = snapshot_event("customer.subscription.updated", subscription())
THIN = thin_event("customer.subscription.updated", "sub_1")


OTHER_PAYLOADS = (
    [b"", b" ", b"{", b"[]", b"[{}]", b"null", b"1", b'"x"', b"NaN", b"\xff", b"\0", b"{}",
     b"[" * 100_000, b'{"a":' * 100_000, b'{"type": "x"}', b'{"object": "event"}',
     b'{"object": "event", "type": "x"}', b'{"object": "v2.core.event"}', b"9" * 5000,
     b"<html></html>", b"a=1&b=2"]
)  # fmt: skip


def test_another_payload_is_refused() -> None:
    for payload in OTHER_PAYLOADS:
        with pytest.raises(ServiceError) as refused:
            parsed(payload)
        assert (refused.value.code, refused.value.status) == ("invalid_payload", 400), payload


@pytest.mark.parametrize(
    "event",
    [
        UPDATED | {"type": None},
        UPDATED | {"type": 1},
        UPDATED | {"type": ["customer.subscription.updated"]},
        UPDATED | {"object": "list"},
        UPDATED | {"object": None},
        UPDATED | {"data": None},
        UPDATED | {"data": []},
        UPDATED | {"data": {}},
        UPDATED | {"data": {"object": None}},
        UPDATED | {"data": {"object": "sub_1"}},
        UPDATED | {"data": {"object": subscription(id=None)}},
        UPDATED | {"data": {"object": subscription(id=1)}},
        UPDATED | {"data": {"object": subscription(status=None)}},
        UPDATED | {"created": None},
        UPDATED | {"created": "2026-11-23T08:00:00.000Z"},
        UPDATED | {"created": 1.5},
        THIN | {"related_object": None},
        THIN | {"related_object": {}},
        THIN | {"related_object": {"id": None}},
        THIN | {"related_object": {"id": 1}},
        THIN | {"related_object": "sub_1"},
        THIN | {"type": None},
    ],
    ids=ascii,
)
def test_an_event_without_what_we_use_of_it_is_refused(event: dict[str, Any]) -> None:
    with pytest.raises(ServiceError) as refused:
        parsed(json.dumps(event))
    assert refused.value.code == "invalid_payload"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


@for_all(
    st.one_of(
        st.binary(max_size=100),
        json_values.map(lambda value: json.dumps(value).encode()),
        st.builds(
            lambda event, key, value: json.dumps(event | {key: value}).encode(),
            st.sampled_from([UPDATED, THIN]),
            st.sampled_from(["type", "object", "data", "created", "related_object", "id"]),
            json_values,
        ),
        st.builds(
            lambda kind, snapshot: json.dumps(
                UPDATED | {"type": kind, "data": {"object": snapshot}}
            ).encode(),
            st.sampled_from([UPDATED["type"], "checkout.session.completed", "x"]),
            json_values,
        ),
    )
)
def test_no_payload_raises_anything_but_our_refusal(payload: bytes) -> None:
    try:
        event = parsed(payload)
    except ServiceError as refused:
        assert refused.code == "invalid_payload"
    else:
        assert isinstance(event["type"], str)
