"""The address and the name at Clerk come to the customer at Stripe, where invoices go; what the
customer changed in the portal stays, whatever the order of events is.
"""

import itertools
import random
import threading
from collections.abc import Callable
from typing import Any

import pytest
from service_under_test import (
    Json,
    Log,
    MakeService,
    OtherStripe,
    Service,
    calls,
    execute,
    known_subscription,
    link,
    refused,
    session_of,
    subscribe,
)

from sandbox.clerk_users import address, new_user
from sandbox.world import World


@pytest.fixture
def customer(world: World, service: Service) -> str:
    """ada's, of whom Stripe knows no address and no name."""
    session = session_of(world.stripe, service.checkout())
    world.stripe.calls.clear()
    return str(session["customer"])


def at_stripe(world: World, customer: str) -> tuple[str | None, str | None]:
    found = world.stripe.customers[customer]
    return found["email"], found["name"]


def changed(email: str | None, name: str | None, at: int, kind: str = "user.updated") -> Json:
    """An event of Clerk's about ada, so many seconds after the first."""
    user = new_user("user_ada", 1_793_000_000_000 + 1000 * at)
    user["first_name"], _, user["last_name"] = (name or "").partition(" ")
    user["email_addresses"] = [address(email)] if email else []
    user["primary_email_address_id"] = user["email_addresses"][0]["id"] if email else None
    return {"type": kind, "object": "event", "data": user, "timestamp": user["updated_at"]}


OLD = changed("ada@old.example", "Ada Byron", 1)
NEW = changed("ada@new.example", "Ada Lovelace", 2)
NEWEST = changed("ada@newest.example", "Ada King", 3)


def test_they_are_brought_and_follow_later_changes(
    world: World, service: Service, customer: str
) -> None:
    assert service.told(OLD) == "updated"
    assert at_stripe(world, customer) == ("ada@old.example", "Ada Byron")
    assert service.told(NEW) == "updated"
    assert at_stripe(world, customer) == ("ada@new.example", "Ada Lovelace")
    assert service.told(NEW) == "ignored"


def test_our_metadata_stays(world: World, service: Service, customer: str) -> None:
    service.told(OLD)
    assert world.stripe.customers[customer]["metadata"]["clerk_user_id"] == "user_ada"


def test_before_there_is_a_customer_nothing_is_asked(world: World, service: Service) -> None:
    assert service.told(changed("ada@example.com", "Ada", 1, "user.created")) == "ignored"
    assert calls(world.stripe) == []


def test_every_customer_of_the_owners_gets_them(world: World, service: Service) -> None:
    first = known_subscription(service)["customer"]
    second = subscribe(service, ("price_team", 1))["customer"]
    world.stripe.delete_customer(subscribe(service, ("price_team", 1))["customer"])

    assert service.told(NEW) == "updated"
    for customer in (first, second):
        assert at_stripe(world, customer) == ("ada@new.example", "Ada Lovelace")


@pytest.mark.parametrize("before", [True, False], ids=["brought before", "never brought"])
def test_what_the_customer_changed_in_the_portal_stays(
    world: World, service: Service, customer: str, before: bool
) -> None:
    if before:
        service.told(OLD)
    world.stripe.update_customer(customer, email="accounts@ada.example")

    assert service.told(NEW) == "updated"  # the name
    assert at_stripe(world, customer) == ("accounts@ada.example", "Ada Lovelace")
    world.stripe.update_customer(customer, name="Ada Ltd")
    assert service.told(NEWEST) == "ignored"
    assert at_stripe(world, customer) == ("accounts@ada.example", "Ada Ltd")


def test_what_is_back_to_what_was_brought_follows_again(
    world: World, service: Service, customer: str
) -> None:
    service.told(OLD)
    world.stripe.update_customer(customer, email="accounts@ada.example")
    service.told(NEW)
    world.stripe.update_customer(customer, email="ada@old.example")

    assert service.told(NEWEST) == "updated"
    assert at_stripe(world, customer) == ("ada@newest.example", "Ada King")


BACK = changed("ada@old.example", "Ada Byron", 3)  # as it was two changes ago


@pytest.mark.parametrize("last", [NEWEST, BACK], ids=["onward", "and back"])
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
def test_in_any_order_it_ends_with_the_newest(
    world: World, service: Service, customer: str, order: tuple[int, ...], last: Json
) -> None:
    events = [OLD, NEW, last]
    for place in order:
        service.told(events[place])
    user = last["data"]
    name = f"{user['first_name']} {user['last_name']}"
    assert at_stripe(world, customer) == (user["email_addresses"][0]["email_address"], name)


def test_an_older_event_is_ignored_also_where_the_newer_changed_nothing(
    world: World, service: Service, customer: str
) -> None:
    service.told(OLD)
    assert service.told(BACK) == "ignored"  # it is so already
    assert service.told(NEW) == "ignored"
    assert at_stripe(world, customer) == ("ada@old.example", "Ada Byron")


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
def test_after_the_deletion_nothing_is_brought(
    world: World, service: Service, order: tuple[int, ...]
) -> None:
    customer = known_subscription(service)["customer"]
    events = [OLD, world.clerk_users.delete("user_ada"), NEW]
    expected = (None, None)
    for place in order:
        if place == 1:
            expected = at_stripe(world, customer)
        service.told(events[place])
    if order[-1] != 1:
        assert at_stripe(world, customer) == expected
    assert "clerk_deleted_at" in world.stripe.customers[customer]["metadata"]
    assert service.told(NEWEST) == "ignored"


@pytest.mark.parametrize(
    "change",
    [
        {"email_addresses": [address("ada@new.example", "unverified")]},
        {"email_addresses": [address("ada@new.example") | {"verification": None}]},
        {"email_addresses": []},
        {"primary_email_address_id": None},
        {"primary_email_address_id": "idn_another"},
    ],
)
def test_only_the_verified_primary_address_is_brought(
    world: World, service: Service, customer: str, change: Json
) -> None:
    data = NEW["data"] | change
    if "email_addresses" in change and change["email_addresses"]:
        data["primary_email_address_id"] = change["email_addresses"][0]["id"]

    assert service.told(NEW | {"data": data}) == "updated"
    assert at_stripe(world, customer) == (None, "Ada Lovelace")


def test_the_primary_one_among_several_is_brought(
    world: World, service: Service, customer: str
) -> None:
    others = [address("first@example.com"), address("last@example.com")]
    mine = NEW["data"]["email_addresses"][0]
    data = NEW["data"] | {"email_addresses": [others[0], mine, others[1]]}

    service.told(NEW | {"data": data})
    assert at_stripe(world, customer)[0] == "ada@new.example"


def test_what_is_empty_at_clerk_takes_nothing_away(
    world: World, service: Service, customer: str
) -> None:
    service.told(OLD)
    assert service.told(changed(None, None, 5)) == "ignored"
    assert at_stripe(world, customer) == ("ada@old.example", "Ada Byron")


@pytest.mark.parametrize(
    "first, last, expected",
    [
        ("Ada", None, "Ada"),
        (None, "Lovelace", "Lovelace"),
        (" Ada ", " ", "Ada"),
        ("A" * 300, "B", "A" * 256),
        ("Zoë", "Ω 中", "Zoë Ω 中"),
    ],
)
def test_a_name_is_what_there_is_of_it(
    world: World,
    service: Service,
    customer: str,
    first: str | None,
    last: str | None,
    expected: str,
) -> None:
    service.told(NEW | {"data": NEW["data"] | {"first_name": first, "last_name": last}})
    assert at_stripe(world, customer)[1] == expected


def test_an_organizations_name_is_brought_where_organizations_own(
    world: World, make_service: MakeService
) -> None:
    service = make_service(billing_owner="organization")
    customer = world.stripe.create_customer()["id"]
    link(world, customer)
    execute(world, "update billing_customers set clerk_owner_id = 'org_acme'")
    data = {"id": "org_acme", "object": "organization", "name": "Acme", "updated_at": 5}

    assert service.told(world.clerk_users.event("organization.updated", data)) == "updated"
    assert at_stripe(world, customer) == (None, "Acme")
    assert service.told(NEW) == "ignored"


def test_an_address_that_stripe_refuses_does_not_come_again_for_ever(
    world: World, service: Service, customer: str, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sandbox.stripe.errors import StripeError

    def refuse(id: str, **changes: Any) -> Json:
        raise StripeError("Invalid email address", code="email_invalid", param="email")

    with monkeypatch.context() as patch:
        patch.setattr(world.stripe, "update_customer", refuse)
        assert service.told(OLD) == "ignored"
    assert log.line("Stripe refuses what Clerk says")["level"] == "WARNING"


def test_a_customer_that_is_known_to_be_gone_is_not_asked_for(
    world: World, service: Service, customer: str
) -> None:
    execute(world, "insert into gone_customers values (%s, false)", customer)
    assert service.told(NEW) == "ignored"
    assert calls(world.stripe) == []


def test_a_customer_that_stripe_no_longer_has(
    world: World, service: Service, customer: str
) -> None:
    del world.stripe.customers[customer]
    assert service.told(NEW) == "ignored"


def test_a_slower_older_event_does_not_write_over_a_newer_one(
    world: World, service_at: Callable[..., Service], other_stripe: OtherStripe
) -> None:
    """Both have seen the customer as it was; the older one's change reaches Stripe last."""
    service, state = service_at(other_stripe), other_stripe.state
    customer = session_of(state, service.checkout())["customer"]
    seen, go_on = threading.Event(), threading.Event()
    first = threading.Lock()

    def hold_the_first(method: str, path: str) -> None:
        if (method, path) == ("GET", f"/v1/customers/{customer}") and first.acquire(blocking=False):
            seen.set()
            assert go_on.wait(10)

    other_stripe.held = hold_the_first
    slow = threading.Thread(target=service.told, args=[OLD])
    slow.start()
    assert seen.wait(10)
    assert service.told(NEW) == "updated"
    go_on.set()
    slow.join()
    found = state.customers[customer]
    assert (found["email"], found["name"]) == ("ada@new.example", "Ada Lovelace")


def test_many_at_once_end_with_the_newest(world: World, service: Service, customer: str) -> None:
    events = [changed(f"ada{n}@example.com", f"Ada {n}", n) for n in range(1, 9)]
    random.Random(7).shuffle(events)
    waiting = list(events)
    while waiting:  # until each is done, as Clerk's deliveries are
        answers: dict[int, int] = {}

        def deliver(place: int, event: Json, answers: dict[int, int] = answers) -> None:
            answers[place] = service.deliver_clerk(event).status_code

        threads = [threading.Thread(target=deliver, args=pair) for pair in enumerate(waiting)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(answers.values()) <= {200, 503}
        waiting = [event for place, event in enumerate(waiting) if answers[place] != 200]
    assert at_stripe(world, customer) == ("ada8@example.com", "Ada 8")


def test_an_error_that_stripe_keeps_with_the_key_is_no_obstacle_later(
    world: World, service: Service, customer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is kept for a day, and Clerk delivers the very same again."""
    from sandbox.stripe.errors import StripeError

    def fail(id: str, **changes: Any) -> Json:
        raise StripeError("Something went wrong", status=500, type="api_error")

    with monkeypatch.context() as patch:
        patch.setattr(world.stripe, "update_customer", fail)
        refused(service.deliver_clerk(OLD), "stripe_unavailable")
    assert service.told(OLD) == "updated"
    assert at_stripe(world, customer) == ("ada@old.example", "Ada Byron")
