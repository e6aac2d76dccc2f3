"""Deliveries that Clerk did not sign, and signed ones that are no event: 400, and neither the
database nor Stripe is asked.
"""

import base64
import gzip
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from service_under_test import Json, Log, MakeService, Service, calls, known_subscription, refused

from sandbox.clerk_users import new_user
from sandbox.clerk_webhooks import headers, signature
from sandbox.world import CLERK_WEBHOOK_SECRET as SECRET
from sandbox.world import WEBHOOK_SECRET, World

OTHER = "whsec_" + base64.b64encode(b"the key of somebody else").decode()
EVENT: Json = {
    "data": {"deleted": True, "id": "user_ada", "object": "user"},
    "object": "event",
    "timestamp": 1_793_000_000_000,
    "type": "user.deleted",
}
BODY = json.dumps(EVENT).encode()


@pytest.fixture
def nothing_happens(world: World, service: Service, database_calls: list[str]) -> Iterator[None]:
    subscription = known_subscription(service)
    database_calls.clear()
    yield
    assert database_calls == []
    assert calls(world.stripe) == []
    assert not world.stripe.subscriptions[subscription["id"]]["cancel_at_period_end"]


def deliver(service: Service, sent: dict[str, Any], body: bytes = BODY) -> Any:
    return service.call("POST", "/clerk/webhook", data=body, headers=sent)


def signed(age: int = 0, secret: str = SECRET, body: bytes = BODY) -> dict[str, str]:
    return headers(secret, "msg_1", int(time.time()) - age, body)


def test_the_names_of_standard_webhooks_count_too(world: World, service: Service) -> None:
    sent = {name.replace("svix-", "webhook-"): value for name, value in signed().items()}
    assert deliver(service, sent).json["outcome"] == "ignored"


@pytest.mark.usefixtures("nothing_happens")
def test_a_strangers_signature_is_refused(service: Service) -> None:
    now, good = int(time.time()), signed()
    mac = good["svix-signature"]
    for changes in (
        {"svix-signature": ""},
        {"svix-signature": "garbage"},
        {"svix-signature": "v1,"},
        {"svix-signature": "v1"},
        {"svix-signature": ","},
        {"svix-signature": mac.removeprefix("v1,")},
        {"svix-signature": mac.replace("v1,", "v2,")},
        {"svix-signature": mac.replace("v1,", "v1a,")},
        {"svix-signature": mac[:-6]},
        {"svix-signature": "v1,é"},
        {"svix-signature": " ".join(["v1,AAAA"] * 1000)},
        {"svix-id": ""},
        {"svix-id": "msg_2"},
        {"svix-timestamp": ""},
        {"svix-timestamp": str(now - 1)},
        {"svix-timestamp": "nan"},
        {"svix-timestamp": "inf"},
        {"svix-timestamp": "9" * 5000},
        {"svix-timestamp": "²"},
        signed(secret=OTHER),
        signed(secret="whsec_" + base64.b64encode(WEBHOOK_SECRET.encode()).decode()),
        signed(body=BODY + b" "),
        signed(age=301),
        signed(age=-302),
        signed(age=10**9),
        {"svix-timestamp": "0", "svix-signature": signature(SECRET, "msg_1", 0, BODY)},
    ):
        assert refused(deliver(service, good | changes), "invalid_signature"), changes
    for name in ("svix-id", "svix-timestamp", "svix-signature"):
        missing = {n: value for n, value in good.items() if n != name}
        refused(deliver(service, missing), "invalid_signature")
        # the names of the two families are never mixed
        mixed = missing | {name.replace("svix", "webhook"): good[name]}
        refused(deliver(service, mixed), "invalid_signature")
    refused(deliver(service, {}), "invalid_signature")
    refused(deliver(service, {"Stripe-Signature": mac}), "invalid_signature")


@pytest.mark.usefixtures("nothing_happens")
def test_one_byte_changed_anywhere_is_refused(service: Service) -> None:
    good = signed()
    for place in range(0, len(BODY), 7):
        changed = BODY[:place] + bytes([BODY[place] ^ 1]) + BODY[place + 1 :]
        refused(deliver(service, good, changed), "invalid_signature")
    for changed in (b"", BODY + b"\n", b"\xef\xbb\xbf" + BODY):
        refused(deliver(service, good, changed), "invalid_signature")


@pytest.mark.parametrize("age", [290, -290])
def test_what_is_up_to_five_minutes_old_or_ahead_is_taken(service: Service, age: int) -> None:
    assert deliver(service, signed(age)).status_code == 200


def test_a_rotated_secret_counts_as_long_as_it_is_listed(
    make_service: MakeService, service: Service
) -> None:
    both = make_service(clerk_webhook_secrets=(OTHER, SECRET))
    for secret in (OTHER, SECRET):
        assert deliver(both, signed(secret=secret)).status_code == 200
    refused(deliver(service, signed(secret=OTHER)), "invalid_signature")


def test_while_svix_signs_with_two_secrets_one_is_enough(service: Service) -> None:
    good, other = signed(), signed(secret=OTHER)
    for two in ((good, other), (other, good)):
        sent = good | {"svix-signature": " ".join(each["svix-signature"] for each in two)}
        assert deliver(service, sent).status_code == 200


@pytest.mark.usefixtures("nothing_happens")
def test_the_body_is_limited_and_never_unpacked(service: Service) -> None:
    large = b" " * (1 << 20) + BODY
    refused(deliver(service, signed(body=large), large), "invalid_request", 413)
    bomb = gzip.compress(b" " * 50_000_000)
    sent = signed(body=bomb) | {"Content-Encoding": "gzip"}
    refused(deliver(service, sent, bomb), "invalid_signature")  # signed, and not UTF-8


def user(**changes: Any) -> Json:
    return EVENT | {"type": "user.updated", "data": new_user("user_ada", 5) | changes}


MALFORMED: list[Any] = [
    b"",
    b"garbage",
    b"[]",
    b"7",
    b"null",
    b"{}",
    b"[" * 100_000,
    b'{"type": ' + b"9" * 5000 + b"}",
    {"type": 7, "data": {}},
    {"type": None},
    {"type": ["user.deleted"]},
    {"type": "user.deleted"},
    EVENT | {"data": None},
    EVENT | {"data": []},
    EVENT | {"data": {}},
    EVENT | {"data": {"id": None}},
    EVENT | {"data": {"id": 7}},
    EVENT | {"data": {"id": ""}},
    EVENT | {"data": {"id": "user_"}},
    EVENT | {"data": {"id": "org_acme"}},
    EVENT | {"data": {"id": "cus_1"}},
    EVENT | {"data": {"id": "user_ada\0"}},
    EVENT | {"data": {"id": "user_ada\n"}},
    EVENT | {"data": {"id": "user_\ud800"}},
    EVENT | {"data": {"id": "user_" + "a" * 1000}},
    EVENT | {"type": "organization.deleted"},
    user(updated_at=None),
    user(updated_at="5"),
    user(updated_at=5.5),
    user(updated_at=True),
    user(updated_at=-1),
    user(updated_at=10**400),
    user(first_name=7),
    user(first_name={"a": 1}),
    user(first_name="half \ud800"),
    user(last_name="a\0b"),
    user(email_addresses=None),
    user(email_addresses={}, primary_email_address_id=7) | {"data": {"id": "user_ada"}},
    user(email_addresses=[7]),
    user(email_addresses=[None]),
    user(email_addresses=["ada@example.com"]),
    user(email_addresses=[{}]),
    user(email_addresses=[{"id": "a", "verification": 7}], primary_email_address_id="a"),
    user(
        email_addresses=[
            {"id": "a", "verification": {"status": "verified"}, "email_address": ["x"]}
        ],
        primary_email_address_id="a",
    ),
]


@pytest.mark.usefixtures("nothing_happens")
@pytest.mark.parametrize("event", MALFORMED, ids=lambda event: str(event)[:60])
def test_a_signed_body_that_is_no_event_is_refused(service: Service, event: Any) -> None:
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    refused(deliver(service, signed(body=body), body), "invalid_payload")


@pytest.mark.usefixtures("nothing_happens")
@pytest.mark.parametrize(
    "event",
    [
        {"type": "session.created", "data": None},
        {"type": "user.deleted.twice"},
        {"type": "x" * 5000, "data": {"id": 7}},
        {"type": "organizationMembership.deleted", "data": {"id": "orgmem_1"}},
        EVENT | {"type": "organization.deleted", "data": {"id": "org_acme"}},
    ],
    ids=lambda event: str(event["type"])[:40],
)
def test_what_is_not_for_us_is_ignored(service: Service, event: Json) -> None:
    assert service.told(event) == "ignored"


def test_without_a_secret_there_is_no_such_route(make_service: MakeService, world: World) -> None:
    service = make_service(clerk_webhook_secrets=())

    refused(deliver(service, signed()), "not_found")
    routes = {rule.rule for rule in service.app.url_map.iter_rules()}
    assert not [route for route in routes if "clerk" in route]


def test_no_address_or_name_is_logged(world: World, service: Service, log: Log) -> None:
    known_subscription(service)
    sent = user(first_name="Augusta", updated_at=10**12)
    for _ in range(2):
        service.told(sent)
    service.told(EVENT)
    assert "Augusta" not in log.text
    assert "ada@example.com" not in log.text
    assert SECRET not in log.text
