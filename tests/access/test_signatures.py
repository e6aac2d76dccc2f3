"""Deliveries that Stripe did not sign, over HTTP: 400 `invalid_signature`, and neither the database
nor Stripe is asked. Forms of the header, one by one: tests/rules/test_webhook_signature.py.
"""

import gzip
import hashlib
import hmac
import json
import time
from typing import Any

import pytest
from service_under_test import MakeService, Service, calls, last_event, refused, rows, signature
from werkzeug.datastructures import Headers

from sandbox.world import WEBHOOK_SECRET, World


@pytest.fixture
def body(world: World) -> bytes:
    """An event that would be written, was it only signed."""
    world.stripe.create_subscription("user_ada", "price_pro")
    return json.dumps(last_event(world.stripe), indent=2).encode()


@pytest.fixture
def nothing_happens(world: World, service: Service, database_calls: list[str]) -> Any:
    yield
    assert database_calls == []
    assert calls(world.stripe) == []
    assert rows(world) == {}


def deliver(service: Service, body: bytes, *headers: str, **more: Any) -> Any:
    sent = Headers([("Stripe-Signature", header) for header in headers])
    return service.call("POST", "/webhook", data=body, headers=sent, **more)


def mac(body: bytes, stamp: object, secret: str = WEBHOOK_SECRET) -> str:
    return hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()


@pytest.mark.usefixtures("nothing_happens")
def test_a_strangers_signature_is_refused(service: Service, body: bytes) -> None:
    now = int(time.time())
    good = mac(body, now)
    for header in (
        "",
        "garbage",
        f"t={now}",
        f"t={now},v1=",
        f"t={now},v1={mac(body, now, 'whsec_wrong')}",
        f"t={now},v1={mac(body, now, '')}",
        f"t={now},v1={mac(body, now, WEBHOOK_SECRET.removeprefix('whsec_'))}",
        f"t={now},v1={mac(body, now, WEBHOOK_SECRET + ' ')}",
        f"t={now},v0={good}",
        f"t={now},v2={good}",
        f"t={now},V1={good}",
        f"t={now},v1={good.upper()}",
        f"t={now},v1={good[:-1]}",
        f"t={now},v1={good}0",
        f"t={now},v1= {good}",
        f"t={now + 1},v1={good}",
        f"t={now},v1={hashlib.sha256(body).hexdigest()}",
        f"t={now},v1={hmac.new(WEBHOOK_SECRET.encode(), body, hashlib.sha256).hexdigest()}",
        f"t={now},v1={hmac.new(WEBHOOK_SECRET.encode(), body, hashlib.sha1).hexdigest()}",
        f"t={now - 301},v1={mac(body, now - 301)}",
        f"t=0,v1={mac(body, 0)}",
        f"t={now + 302},v1={mac(body, now + 302)}",
        f"t={now + 10**9},v1={mac(body, now + 10**9)}",
        f"t={10**400},v1={mac(body, 10**400)}",
        f"t={'9' * 5000},v1={mac(body, '9' * 5000)}",
        f"t=-{now},v1={mac(body, -now)}",
        f"t={now}.5,v1={mac(body, f'{now}.5')}",
        f"t= {now},v1={mac(body, f' {now}')}",
        f"t=+{now},v1={mac(body, f'+{now}')}",
        f"t=,v1={mac(body, '')}",
        f"t={now},v1={'é' * 64}".encode().decode("latin-1"),
        f"t={now},v1=\xff{good}",
        f"t=\xb2,v1={good}",
        f"t={now},v1={good}\xa0",
        f"t={now}," + "v1=" + ",v1=".join("0" * 64 for _ in range(1000)),
        "v1=" * 20_000,
        "," * 60_000,
    ):
        assert refused(deliver(service, body, header), "invalid_signature"), header[:80]
    refused(service.call("POST", "/webhook", data=body), "invalid_signature")


@pytest.mark.usefixtures("nothing_happens")
def test_one_byte_changed_anywhere_is_refused(service: Service, body: bytes) -> None:
    header = signature(body)
    for place in range(0, len(body), 17):
        for changed in (
            body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :],
            body[:place] + body[place + 1 :],
            body[:place] + b" " + body[place:],
        ):
            refused(deliver(service, changed, header), "invalid_signature")
    for changed in (body + b"\n", b"\xef\xbb\xbf" + body, body.replace(b"\n", b"\r\n"), b""):
        refused(deliver(service, changed, header), "invalid_signature")


@pytest.mark.usefixtures("nothing_happens")
def test_the_signature_of_another_delivery_is_refused(
    world: World, service: Service, body: bytes
) -> None:
    header = signature(body)
    for event in world.stripe.events.values():
        other = json.dumps(event, indent=2).encode()
        if other != body:
            refused(deliver(service, other, header), "invalid_signature")


@pytest.mark.usefixtures("nothing_happens")
def test_a_signature_elsewhere_is_none(service: Service, body: bytes) -> None:
    good = signature(body)
    for more in (
        {"headers": {"X-Stripe-Signature": good}},
        {"headers": {"Signature": good}},
        {"headers": {"Cookie": f"Stripe-Signature={good}"}},
        {"headers": {"Authorization": f"Bearer {WEBHOOK_SECRET}"}},
        {"query_string": {"Stripe-Signature": good}},
    ):
        answer = service.call("POST", "/webhook", data=body, **more)
        refused(answer, "invalid_signature")


@pytest.mark.usefixtures("nothing_happens")
def test_compressed_bytes_are_not_unpacked(service: Service, body: bytes) -> None:
    bomb = gzip.compress(b" " * 50_000_000)  # 50 kB of it
    headers = {"Stripe-Signature": signature(bomb), "Content-Encoding": "gzip"}
    answer = service.call("POST", "/webhook", data=bomb, headers=headers)
    refused(answer, "invalid_signature")  # signed, and not UTF-8 as Stripe's are


def test_several_signatures_are_enough_if_one_is_good(service: Service, body: bytes) -> None:
    now = int(time.time())
    wrong = [f"v1={mac(body, now, f'whsec_{number}')}" for number in range(100)]
    header = ",".join([f"t={now}", *wrong, f"v1={mac(body, now)}"])

    answer = deliver(service, body, header)
    assert (answer.status_code, answer.json["received"]) == (200, True)


def test_two_headers_are_answered_and_no_fault(service: Service, body: bytes) -> None:
    good, bad = signature(body), signature(body, "whsec_wrong")
    for headers in ((good, bad), (bad, good), (bad, bad), (good, good)):
        answer = deliver(service, body, *headers)
        assert answer.status_code in (200, 400)
        if answer.status_code == 400:
            refused(answer, "invalid_signature")
    refused(deliver(service, body, bad, bad), "invalid_signature")


def test_a_replay_within_the_tolerance_changes_nothing(
    world: World, service: Service, body: bytes
) -> None:
    """Stripe itself delivers again: the rule of order is what makes it harmless."""
    header = signature(body, age=290)
    assert deliver(service, body, header).json["outcome"] == "refreshed"
    before = {name: row["status"] for name, row in rows(world).items()}
    (subscription,) = before
    world.stripe.act(subscription, "cancel_now")

    for _ in range(5):  # of the time when it was active
        assert deliver(service, body, header).status_code == 200
    assert rows(world)[subscription]["status"] == "canceled"


@pytest.mark.parametrize("secrets, accepted", [
    (("whsec_new", "whsec_old"), {"whsec_new", "whsec_old"}),
    (("whsec_new",), {"whsec_new"}),
])  # fmt: skip
def test_a_rotated_secret_counts_as_long_as_it_is_listed(
    make_service: MakeService, body: bytes, secrets: tuple[str, ...], accepted: set[str]
) -> None:
    service = make_service(stripe_webhook_secrets=secrets)
    for secret in ("whsec_new", "whsec_old", WEBHOOK_SECRET, ",".join(secrets)[:-1]):
        answer = deliver(service, body, signature(body, secret))
        if secret in accepted:
            assert answer.status_code == 200
        else:
            refused(answer, "invalid_signature")
