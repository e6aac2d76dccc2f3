"""Whoever deletes the account at Clerk is not charged for ever: ON_OWNER_DELETED, in every status
of a subscription. The table is right at once, without a webhook of Stripe's.
"""

from typing import Any

import pytest
from service_under_test import (
    Json,
    Log,
    MakeService,
    Service,
    calls,
    edit_row,
    execute,
    known_subscription,
    link,
    linked,
    put_row,
    refused,
    rows,
    session_of,
    subscribe,
)

from sandbox.stripe import schedules, subscriptions
from sandbox.stripe.errors import StripeError
from sandbox.world import World

LEFT = "an owner left"
OTHERS = "subscriptions that are none of ours"


@pytest.fixture
def deleted(world: World, service: Service) -> Json:
    """The event of ada's deletion."""
    return world.clerk_users.delete("user_ada")


def ends_with_its_period(subscription: Json) -> bool:
    period_end = max(item["current_period_end"] for item in subscription["items"]["data"])
    return subscription["cancel_at_period_end"] and subscription["cancel_at"] == period_end


GOES_ON = ["active", "trialing", "past_due", "unpaid"]
ENDED = ["canceled", "incomplete_expired"]


@pytest.mark.parametrize("status", GOES_ON)
def test_what_runs_is_set_to_end_with_its_period(
    world: World, service: Service, deleted: Json, status: str
) -> None:
    name = known_subscription(service, status=status)["id"]

    assert service.told(deleted) == "scheduled"
    subscription = world.stripe.subscriptions[name]
    assert subscription["status"] == status
    assert ends_with_its_period(subscription)
    row = rows(world)[name]
    assert (row["status"], row["cancel_at_period_end"]) == (status, True)


@pytest.mark.parametrize("reason", [None, "trial_end_without_payment_method"])
def test_what_has_no_period_to_end_with_is_canceled(
    world: World, service: Service, deleted: Json, reason: str | None
) -> None:
    name = known_subscription(service, status="active" if reason else "incomplete")["id"]
    if reason:
        world.stripe.act(name, "pause", reason=reason)

    assert service.told(deleted) == "canceled"
    assert world.stripe.subscriptions[name]["status"] == rows(world)[name]["status"] == "canceled"


def test_a_pause_that_was_asked_for_ends_with_its_period(
    world: World, service: Service, deleted: Json
) -> None:
    name = known_subscription(service, status="paused")["id"]

    assert service.told(deleted) == "scheduled"
    assert ends_with_its_period(world.stripe.subscriptions[name])


def test_a_pause_that_can_not_be_set_to_end_is_canceled(
    world: World, service: Service, deleted: Json, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = known_subscription(service, status="paused")["id"]
    refusing(monkeypatch, name)

    assert service.told(deleted) == "canceled"
    assert rows(world)[name]["status"] == "canceled"


def refusing(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Stripe does not let these be set to end with their period."""
    changes = dict(subscriptions.CHANGES)

    def refuse(state: Any, subscription: Json, value: Any) -> None:
        if subscription["id"] in names:
            raise StripeError("This subscription can't be set to end.")
        subscription["cancel_at_period_end"] = value

    changes["cancel_at_period_end"] = refuse
    monkeypatch.setattr(subscriptions, "CHANGES", changes)


@pytest.mark.parametrize("status", ENDED)
@pytest.mark.parametrize("how", ["cancel_at_period_end", "cancel_now", "keep"])
def test_what_has_ended_is_nothing_to_do(
    world: World, make_service: MakeService, ada: str, status: str, how: str
) -> None:
    service = make_service(on_owner_deleted=how)
    before = dict(known_subscription(service, status=status))

    assert service.told(world.clerk_users.delete("user_ada")) == "ignored"
    assert world.stripe.subscriptions[before["id"]] == before


@pytest.mark.parametrize("status", [*GOES_ON, "paused", "incomplete"])
def test_cancel_now_ends_it_at_once(
    world: World, make_service: MakeService, ada: str, status: str
) -> None:
    service = make_service(on_owner_deleted="cancel_now")
    name = known_subscription(service, status=status)["id"]

    assert service.told(world.clerk_users.delete("user_ada")) == "canceled"
    assert world.stripe.subscriptions[name]["status"] == rows(world)[name]["status"] == "canceled"


@pytest.mark.parametrize("status", [*GOES_ON, "paused", "incomplete"])
def test_keep_changes_no_subscription(
    world: World, make_service: MakeService, ada: str, status: str
) -> None:
    service = make_service(on_owner_deleted="keep")
    before = dict(known_subscription(service, status=status))

    assert service.told(world.clerk_users.delete("user_ada")) == "kept"
    assert world.stripe.subscriptions[before["id"]] == before


def test_delivered_twice_it_is_done_once(world: World, service: Service, deleted: Json) -> None:
    name = known_subscription(service)["id"]
    service.told(deleted)
    before = dict(world.stripe.subscriptions[name]), len(world.stripe.events)

    assert service.told(deleted) == "scheduled"
    assert (world.stripe.subscriptions[name], len(world.stripe.events)) == before


def test_what_the_user_had_set_to_end_stays_so(
    world: World, service: Service, deleted: Json
) -> None:
    """The portal sets a date, and no flag."""
    name = known_subscription(service)["id"]
    before = dict(world.stripe.act(name, "cancel_at_period_end"))

    assert service.told(deleted) == "scheduled"
    assert world.stripe.subscriptions[name] == before
    assert rows(world)[name]["cancel_at"] is not None  # the row had not heard of it


def test_an_end_later_than_the_period_is_too_late(
    world: World, service: Service, deleted: Json
) -> None:
    name = known_subscription(service)["id"]
    far = world.stripe.now() + 400 * 86_400
    world.stripe.subscriptions[name]["cancel_at"] = far

    assert service.told(deleted) == "scheduled"
    assert ends_with_its_period(world.stripe.subscriptions[name])


@pytest.mark.parametrize("how", ["cancel_at_period_end", "cancel_now"])
@pytest.mark.parametrize("cancel_at", [None, 1])
def test_a_schedule_is_released_first(
    world: World, make_service: MakeService, ada: str, how: str, cancel_at: int | None
) -> None:
    """It also takes away the end that it gave the subscription."""
    service = make_service(on_owner_deleted=how)
    name = known_subscription(service)["id"]
    schedule = schedules.attach(world.stripe, name)
    world.stripe.subscriptions[name]["cancel_at"] = cancel_at and world.stripe.now() + cancel_at

    service.told(world.clerk_users.delete("user_ada"))
    assert world.stripe.schedules[schedule["id"]]["status"] == "released"
    subscription = world.stripe.subscriptions[name]
    assert subscription["schedule"] is None
    assert ends_with_its_period(subscription) or subscription["status"] == "canceled"


def test_a_schedule_that_is_gone_is_no_obstacle(
    world: World, make_service: MakeService, ada: str
) -> None:
    service = make_service(on_owner_deleted="cancel_now")
    name = known_subscription(service)["id"]
    world.stripe.subscriptions[name]["schedule"] = "sub_sched_gone"

    assert service.told(world.clerk_users.delete("user_ada")) == "canceled"


def test_every_subscription_of_every_customer_ends(
    world: World, service: Service, deleted: Json
) -> None:
    first = known_subscription(service)
    second = subscribe(service, ("price_team", 1))  # of a second customer
    third = subscribe(service, ("price_pro", 1), customer=second["customer"])
    assert first["customer"] != second["customer"]

    assert service.told(deleted) == "scheduled"
    for one in (first, second, third):
        assert ends_with_its_period(world.stripe.subscriptions[one["id"]])
    assert all(row["cancel_at_period_end"] for row in rows(world).values())


def test_a_price_that_no_plan_lists_any_more_is_ours_by_our_metadata(
    world: World, service: Service, deleted: Json
) -> None:
    customer = known_subscription(service)["customer"]
    old = world.stripe.create_subscription("user_ada", "price_other", customer=customer)

    assert service.told(deleted) == "scheduled"
    assert ends_with_its_period(world.stripe.subscriptions[old["id"]])


def test_somebody_elses_on_the_same_customer_are_named_and_left_alone(
    world: World, make_service: MakeService, ada: str, log: Log
) -> None:
    service = make_service(ignored_products=("prod_support",))
    world.stripe.add_product("prod_support")
    world.stripe.add_price("price_support", "prod_support", 500)
    customer = known_subscription(service)["customer"]
    stripe = world.stripe
    others = [
        stripe.create_subscription(None, "price_other", customer=customer, metadata={}),
        stripe.create_subscription("user_ada", "price_support", customer=customer),
        stripe.create_subscription(
            None, "price_other", customer=customer, metadata={"clerk_user_id": "user_eve"}
        ),
    ]
    before = [dict(stripe.subscriptions[one["id"]]) for one in others]

    assert service.told(world.clerk_users.delete("user_ada")) == "scheduled"
    assert [stripe.subscriptions[one["id"]] for one in others] == before
    line = log.line(OTHERS)
    assert line["level"] == "WARNING"
    assert set(line["subscriptions"]) == {one["id"] for one in others}
    assert (line["owner"], line["customer"]) == ("user_ada", customer)


def test_a_row_that_another_owner_has_is_left_alone(
    world: World, service: Service, deleted: Json, log: Log
) -> None:
    """One user of the app's for two accounts at Clerk, as in a workspace: the other one stays."""
    subscription = known_subscription(service)
    edit_row(world, subscription["id"], clerk_owner_id="user_grace")
    execute(world, "delete from billing_customers")
    before = dict(world.stripe.subscriptions[subscription["id"]])

    assert service.told(deleted) == "ignored"
    assert world.stripe.subscriptions[subscription["id"]] == before

    link(world, subscription["customer"])  # and on a customer of her own it is named
    assert service.told(deleted) == "ignored"
    assert world.stripe.subscriptions[subscription["id"]] == before
    assert log.line(OTHERS)["subscriptions"] == [subscription["id"]]


def test_a_row_from_before_the_upgrade_ends_too(
    world: World, service: Service, deleted: Json
) -> None:
    """It has the app's user, and neither an owner nor a customer."""
    subscription = world.stripe.create_subscription(None, "price_pro")
    put_row(world, stripe_subscription_id=subscription["id"], stripe_customer_id=None)

    assert service.told(deleted) == "scheduled"
    assert rows(world)[subscription["id"]]["cancel_at_period_end"]


def test_open_checkout_sessions_of_ours_expire(
    world: World, make_service: MakeService, ada: str
) -> None:
    for how in ("cancel_at_period_end", "keep"):
        service = make_service(on_owner_deleted=how)
        session = session_of(world.stripe, service.checkout())
        customer = session["customer"]
        theirs = dict(session, id="cs_test_theirs", metadata={})
        world.stripe.sessions["cs_test_theirs"] = theirs

        world.clerk_users.reset()
        service.told(world.clerk_users.delete("user_ada"))
        assert world.stripe.sessions[session["id"]]["status"] == "expired"
        assert theirs["status"] == "open"
        assert linked(world) == {"user_ada": customer}


def test_before_there_is_a_customer_nothing_is_asked(
    world: World, service: Service, deleted: Json
) -> None:
    assert service.told(deleted) == "ignored"
    assert calls(world.stripe) == []


def test_a_customer_that_stripe_no_longer_has(
    world: World, service: Service, deleted: Json
) -> None:
    gone = known_subscription(service)
    other = subscribe(service, ("price_team", 1))
    del world.stripe.customers[gone["customer"]]
    del world.stripe.subscriptions[gone["id"]]

    assert service.told(deleted) == "scheduled"
    assert rows(world)[gone["id"]]["status"] == "canceled"
    assert rows(world)[other["id"]]["cancel_at_period_end"]


def test_one_that_was_deleted_at_stripe(world: World, service: Service, deleted: Json) -> None:
    gone = known_subscription(service)
    world.stripe.delete_customer(gone["customer"])

    assert service.told(deleted) == "ignored"
    assert rows(world)[gone["id"]]["status"] == "canceled"


def test_one_that_stripe_refuses_to_end_does_not_keep_the_others(
    world: World, service: Service, deleted: Json, monkeypatch: pytest.MonkeyPatch, log: Log
) -> None:
    stubborn = known_subscription(service)
    others = [
        subscribe(service, ("price_team", 1), customer=stubborn["customer"]),
        subscribe(service, ("price_team", 1)),
    ]
    with monkeypatch.context() as stubbornly:
        refusing(stubbornly, stubborn["id"])
        refused(service.deliver_clerk(deleted), "internal_error")
    assert log.line("a subscription of an owner who left could not be ended")
    for other in others:
        assert world.stripe.subscriptions[other["id"]]["cancel_at_period_end"]
        assert rows(world)[other["id"]]["cancel_at_period_end"]

    assert service.told(deleted) == "scheduled"
    assert rows(world)[stubborn["id"]]["cancel_at_period_end"]


@pytest.mark.parametrize("how", ["cancel_at_period_end", "cancel_now"])
@pytest.mark.parametrize("forbidden", ["/v1/subscriptions/", "/v1/customers"])
def test_a_key_that_may_not_is_5xx_and_ends_right_once_it_may(
    world: World, make_service: MakeService, ada: str, how: str, forbidden: str
) -> None:
    service = make_service(on_owner_deleted=how)
    name = known_subscription(service)["id"]
    deleted = world.clerk_users.delete("user_ada")
    world.stripe.forbidden = {service.settings.stripe_secret_key: [forbidden]}
    refused(service.deliver_clerk(deleted), "internal_error")

    world.stripe.forbidden = {}
    service.told(deleted)
    row = rows(world)[name]
    assert row["cancel_at_period_end"] or row["status"] == "canceled"
    assert "clerk_deleted_at" in world.stripe.customers[row["stripe_customer_id"]]["metadata"]


def test_another_kind_of_owner_is_ignored(world: World, service: Service) -> None:
    """Also where it has something that runs, from a time of another setting."""
    subscription = known_subscription(service)
    execute(world, "update billing_customers set clerk_owner_id = 'org_acme'")
    execute(world, "update subscriptions set clerk_owner_id = 'org_acme'")

    for kind in ("organization.deleted", "organization.updated"):
        data = {"id": "org_acme", "object": "organization", "name": "Acme", "updated_at": 1}
        assert service.told(world.clerk_users.event(kind, data)) == "ignored"
    assert calls(world.stripe) == []
    assert not world.stripe.subscriptions[subscription["id"]]["cancel_at_period_end"]


def test_where_organizations_own_theirs_ends_and_a_user_who_leaves_touches_nothing(
    world: World, make_service: MakeService, ada: str
) -> None:
    service = make_service(billing_owner="organization")
    metadata = {"clerk_org_id": "org_acme", "clerk_user_id": "user_ada"}
    customer = world.stripe.create_customer(metadata={"clerk_org_id": "org_acme"})["id"]
    acmes = subscribe(service, ("price_team", 5), customer=customer, metadata=metadata)
    adas = known_subscription(service)
    edit_row(world, adas["id"], clerk_owner_id="user_ada")  # of the time when users owned
    link(world, adas["customer"])

    assert service.told(world.clerk_users.delete("user_ada")) == "ignored"
    assert calls(world.stripe) == []
    data = {"id": "org_acme", "object": "organization", "deleted": True}
    assert service.told(world.clerk_users.event("organization.deleted", data)) == "scheduled"
    assert ends_with_its_period(world.stripe.subscriptions[acmes["id"]])
    assert rows(world)[acmes["id"]]["cancel_at_period_end"]
    assert not world.stripe.subscriptions[adas["id"]]["cancel_at_period_end"]


def test_the_outcome_is_counted_by_types_that_we_use(world: World, service: Service) -> None:
    metric = "portal_webhook_outcomes_total"
    before = service.metric(metric, type="other", outcome="ignored")
    data = {"id": "sess_1", "object": "session"}

    assert service.told(world.clerk_users.event("session.ended", data)) == "ignored"
    assert service.metric(metric, type="other", outcome="ignored") == before + 1
    before = service.metric(metric, type="user.deleted", outcome="ignored")
    service.told(world.clerk_users.delete("user_ada"))
    assert service.metric(metric, type="user.deleted", outcome="ignored") == before + 1
