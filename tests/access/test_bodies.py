"""Bodies of attackers: too large, too deep, of the wrong kind, or not HTTP at all."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from service_under_test import Service, calls, last_event, link, refused, rows, signature
from under_attack import POSTS, Answer, Json, exchange, request

from sandbox.service import Service as Gunicorn
from sandbox.world import World

PREFIX = "/api/stripe"
FIELDS = {  # but `locale`, which is never wrong: what nobody knows is `auto`
    "/portal": ("flow", "return_path"),
    "/checkout": ("plan", "price", "quantity", "return_path"),
    "/subscription/refresh": ("checkout_session_id",),
}

STRANGE: dict[str, str] = {
    "true": "true",
    "a number": "7",
    "minus one": "-1",
    "a fraction": "1.5",
    "a huge number": "1" + "0" * 400,
    "a huge exponent": "1e999",
    "NaN": "NaN",
    "infinity": "Infinity",
    "minus infinity": "-Infinity",
    "empty": '""',
    "NUL": '"\\u0000"',
    "NUL at the end": '"/settings\\u0000"',
    "a lone surrogate": '"\\ud800"',
    "a path with a lone surrogate": '"/\\udfff"',
    "a list": "[]",
    "a hash": "{}",
    "a list of itself": '["pro"]',
    "an operator": '{"$ne": null}',
    "a deep list": "[" * 900 + "]" * 900,
    "a deep hash": '{"a":' * 900 + "1" + "}" * 900,
    "a long word": '"' + "x" * 15_000 + '"',
    "SQL": '"\' or 1=1 --"',
    "a template": '"{{7*7}}${7*7}"',
    "markup": '"<script>alert(1)</script>"',
    "lines": '"a\\r\\nSet-Cookie: a=b"',
}


@pytest.fixture
def customer(world: World, ada: str) -> str:
    """ada's customer, so that nothing but the body stands between her and Stripe."""
    customer: str = world.stripe.create_customer()["id"]
    link(world, customer)
    world.stripe.calls.clear()
    return customer


def post(service: Service, path: str, body: str | bytes) -> Any:
    return service.call(
        "POST", path, data=body, content_type="application/json", headers=service.bearer()
    )


def uncounted(service: Service) -> None:
    """Forget what was counted against rate limits."""
    service.app.extensions["portal_service"].limiter.storage.reset()


@pytest.mark.parametrize("path, field", [(path, f) for path in FIELDS for f in FIELDS[path]])
def test_a_strange_value_is_refused_before_anybody_is_asked(
    world: World, service: Service, customer: str, database_calls: list[str], path: str, field: str
) -> None:
    for name, value in STRANGE.items():
        if field == "quantity" and name == "a number":
            continue
        answer = post(service, path, f'{{"{field}": {value}}}')
        assert answer.status_code == 400, (name, answer.text)
        refused(answer, "invalid_request")
        uncounted(service)
    assert calls(world.stripe) == []
    assert [call for call in database_calls if "upsert" in call] == []


@pytest.mark.parametrize("path", ["/portal", "/checkout"])
def test_a_strange_locale_is_automatic(
    world: World, service: Service, customer: str, path: str
) -> None:
    for name, value in STRANGE.items():
        uncounted(service)
        answer = post(service, path, f'{{"locale": {value}}}')
        assert answer.status_code == 200, (name, answer.text)
    sent = [call for call in world.stripe.calls if call["path"].endswith("/sessions")]
    assert sent


NO_OBJECTS = [
    b"NaN",
    b"Infinity",
    b"[]",
    b"null",
    b"true",
    b'"{}"',
    b"{'flow': 1}",
    b"{} {}",
    b"{}\0",
    b"\0{}",
    b"\xed\xa0\x80",
    b'{"\xff": 1}',
    b'{"__proto__": {}}',
    b'{"__class__": 1}',
    b'{"\\u0000": 1}',
    b'{"\\ud800": 1}',
    b'{"": 1}',
    b'{"customer": "cus_x"}',
    b'{"user_id": "user_eve", "clerk_user_id": "user_eve"}',
    b"[" * 16_000,
    b'{"a":' * 3_000,
    b'{"return_path": ' + b"[" * 10_000 + b"}",
    b'{"plan":' * 1_500 + b"1" + b"}" * 1_500,  # Python 3.11 does not read it, 3.13 does
    b"9" * 16_000,
    b"-",
    b"<?xml version='1.0'?><x/>",
    b"a=1&b=2",
    b"\x1f\x8b\x08\0\0\0\0\0",
]


@pytest.mark.parametrize("path", POSTS)
def test_a_body_that_is_no_object_of_ours_is_refused(
    world: World, service: Service, customer: str, path: str
) -> None:
    for body in NO_OBJECTS:
        refused(post(service, path, body), "invalid_request", 400)
        uncounted(service)
    assert calls(world.stripe) == []


def test_of_a_key_that_stands_twice_the_last_one_counts_and_is_the_one_checked(
    world: World, service: Service, customer: str
) -> None:
    good, evil = '"return_path": "/settings"', '"return_path": "//evil.example"'

    refused(post(service, "/portal", f"{{{good}, {evil}}}"), "invalid_request")
    assert calls(world.stripe) == []
    assert post(service, "/portal", f"{{{evil}, {good}}}").status_code == 200
    (session,) = [c for c in world.stripe.calls if c["path"].endswith("billing_portal/sessions")]
    assert "evil" not in json.dumps(session)


@pytest.mark.parametrize("path", [*POSTS, "/webhook"])
def test_ten_megabytes_are_too_large(
    service: Service, database_calls: list[str], path: str
) -> None:
    body = b"{" + b" " * (10 << 20) + b"}"
    headers = service.bearer() | {"Stripe-Signature": signature(body)}
    answer = service.call("POST", path, data=body, headers=headers, content_type="application/json")
    refused(answer, "invalid_request", 413)
    assert database_calls == []


# Signed, as by a Stripe gone mad: refused or taken in, and never a fault.


@pytest.fixture
def event(world: World) -> Json:
    world.stripe.create_subscription("user_ada", "price_pro")
    return last_event(world.stripe, "customer.subscription.created")


def deep(levels: int) -> Any:
    value: Any = {}
    for _ in range(levels):
        value = {"a": value}
    return value


NONSENSE: list[Json] = [
    {"id": "sub_" + "x" * 5000},
    {"id": "../../v1/customers"},
    {"id": "sub_\0"},
    {"id": "sub_\ud800"},
    {"id": ""},
    {"customer": None},
    {"customer": 7},
    {"customer": {"id": None}},
    {"customer": "cus_\0"},
    {"status": "x" * 5000},
    {"status": "\0"},
    {"items": None},
    {"items": []},
    {"items": {"data": None}},
    {"items": {"data": [None, 7, []]}},
    {"items": {"data": [{"price": None}]}},
    {"items": {"data": [{"price": {"id": "price_pro", "product": 7}}]}},
    {"items": {"data": [{"price": {"id": ["price_pro"]}}]}},
    {"metadata": None},
    {"metadata": []},
    {"metadata": {"clerk_user_id": "user_\0"}},
    {"metadata": {"clerk_user_id": "user_\ud800"}},
    {"metadata": {"clerk_user_id": ["user_ada"]}},
    {"metadata": {"clerk_user_id": "' or 1=1 --"}},
    {"metadata": deep(500)},
    {"cancel_at": 10**18},
    {"cancel_at": "soon"},
    {"cancel_at": -1},
    {"cancel_at": 1e308},
    {"trial_end": True},
    {"ended_at": [1]},
    {"quantity": 10**30},
    {"livemode": "false"},
]


def strange_answers(service: Service, events: list[Json]) -> list[str]:
    """What was answered neither 200 nor 400."""
    answers = [(service.deliver(event), event["data"]["object"]) for event in events]
    return [
        f"{a.text}: {ascii(what)[:400]}" for a, what in answers if a.status_code not in (200, 400)
    ]


@pytest.mark.parametrize("known", [False, True], ids=["new", "known"])
def test_a_signed_event_of_nonsense_is_no_fault(
    world: World, service: Service, event: Json, known: bool
) -> None:
    if known:
        assert service.deliver(event).status_code == 200
    later = event | {"created": event["created"] + 3600}
    snapshot = event["data"]["object"]

    events = [later | {"data": {"object": snapshot | changes}} for changes in NONSENSE]
    assert strange_answers(service, events) == []


def test_a_signed_event_of_another_age_is_no_fault(
    world: World, service: Service, event: Json
) -> None:
    service.deliver(event)
    ages = (-1, 0, 10**12, 10**18, 10**30, True)
    assert strange_answers(service, [event | {"created": created} for created in ages]) == []


def test_of_keys_that_stand_twice_the_last_ones_count_in_an_event_too(
    world: World, service: Service, event: Json
) -> None:
    text = json.dumps(event)
    doubled = text[:-1] + ', "type": "invoice.paid"}'
    assert service.deliver(doubled).json["outcome"] == "ignored"
    assert rows(world) == {}


# At the real server: what no client library would send


CHUNKED = "Transfer-Encoding: chunked"


def chunks(size: int, length: int = 1 << 16) -> Iterator[bytes]:
    for _ in range(size // length):
        yield b"%x\r\n" % length + b"x" * length + b"\r\n"
    yield b"0\r\n\r\n"


def at(gunicorn: Gunicorn, path: str, headers: list[str], *body: bytes, **more: Any) -> Answer:
    return exchange(gunicorn.url, request("POST", PREFIX + path, *headers), *body, **more)


@pytest.fixture
def bearer(world: World) -> str:
    world.add_user("ada")
    return f"Authorization: Bearer {world.clerk.session_token('user_ada')}"


@pytest.mark.parametrize("path", [*POSTS, "/webhook"])
def test_ten_megabytes_are_refused_before_they_are_read(
    gunicorn: Gunicorn, bearer: str, path: str
) -> None:
    headers = [bearer, "Content-Type: application/json", f"Content-Length: {10 << 20}"]

    at(gunicorn, path, headers).refused("invalid_request", 413)
    headers.append("Expect: 100-continue")
    at(gunicorn, path, headers).refused("invalid_request", 413)
    headers = [bearer, f"Content-Length: {'9' * 400}"]
    assert at(gunicorn, path, headers).status in (400, 413)


@pytest.mark.parametrize("path", [*POSTS, "/webhook"])
def test_chunks_without_end_are_cut_off(gunicorn: Gunicorn, bearer: str, path: str) -> None:
    """The limit counts, not the 10 MB: the rest is never read."""
    limit = (1 << 20 if path == "/webhook" else 16 << 10) + 1
    headers = [bearer, "Content-Type: application/json", CHUNKED]

    # No terminating chunk: an answer can only come because reading stopped.
    sent = list(chunks(-(-limit // (1 << 12)) << 12, 1 << 12))[:-1]
    at(gunicorn, path, headers, *sent).refused("invalid_request", 413)


BROKEN_CHUNKS = [
    b"zz\r\nabc\r\n0\r\n\r\n",
    b"-5\r\nabcde\r\n0\r\n\r\n",
    b"0x5\r\nabcde\r\n0\r\n\r\n",
    b"5\r\nabcdefghij\r\n0\r\n\r\n",
    b"ffffffffffffffffffff\r\nabc\r\n0\r\n\r\n",
    b"5;" + b"x" * 100_000 + b"\r\nabcde\r\n0\r\n\r\n",
    b"5\nabcde\n0\n\n",
    b"\r\n\r\n",
    b"0\r\nX-Trailer: 1\r\nStripe-Signature: t=1,v1=0\r\n\r\n",
    b"5\r\nab",
    b"",
]


@pytest.mark.parametrize("path", ["/portal", "/webhook"])
def test_broken_chunks_are_the_senders_fault(gunicorn: Gunicorn, bearer: str, path: str) -> None:
    headers = [bearer, "Content-Type: application/json", CHUNKED]
    for body in BROKEN_CHUNKS:
        answer = at(gunicorn, path, headers, body, half_close=True)
        assert 400 <= answer.status < 500, (body[:40], answer.body)
        if answer.headers["content-type"] == "application/json":
            answer.refused(answer.json["code"], answer.status)


TWO_LENGTHS = [
    ["Content-Length: 2", "Content-Length: 3"],
    ["Content-Length: 2", CHUNKED],
    ["Content-Length: -2"],
    ["Content-Length: +2"],
    ["Content-Length: 2, 2"],
    ["Content-Length: 0x2"],
    [f"{CHUNKED}, chunked"],
    [f"{CHUNKED}, identity"],
    ["Transfer-Encoding: CHUNKED\x0b"],
    ["Transfer-Encoding : chunked"],
    ["Content-Length: 2", "Transfer_Encoding: chunked"],
    ["Expect: 200-ok", "Content-Length: 2"],
]


def test_a_length_that_can_be_read_in_two_ways_smuggles_nothing(gunicorn: Gunicorn) -> None:
    smuggled = request("GET", "/healthz")
    for headers in TWO_LENGTHS:
        sent = request("POST", f"{PREFIX}/webhook", *headers)
        sent = sent.replace(b"Connection: close\r\n", b"")
        answer = exchange(gunicorn.url, sent, b"{}", smuggled)
        assert 400 <= answer.status < 500, (headers, answer.status, answer.body)
        if answer.headers.get("connection") == "close":
            assert b"HTTP/1.1 200" not in answer.body, headers


@pytest.mark.parametrize("path", ["/portal", "/webhook"])
def test_a_body_that_ends_too_early_is_answered(gunicorn: Gunicorn, bearer: str, path: str) -> None:
    headers = [bearer, "Content-Type: application/json", "Content-Length: 100"]
    answer = at(gunicorn, path, headers, b'{"flow": ', half_close=True)
    code = "invalid_request" if path == "/portal" else "invalid_signature"
    answer.refused(code, 400)
