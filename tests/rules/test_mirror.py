"""Which event takes which path, and what is written then."""

import itertools
import logging
from typing import Any

import pytest
from alone import Log
from given import (
    NOON,
    checkout_session,
    iso,
    item,
    row,
    row_of_the_original,
    snapshot_event,
    subscription,
    thin_event,
)
from mirror_world import STRIPES_NOW, World

from portal_service import deadline
from portal_service.errors import ServiceError
from portal_service.events import CHECKOUT_EVENTS, SUBSCRIPTION_EVENTS
from portal_service.metrics import LIVE_MISSING
from portal_service.mirror import OUR_RELEASE
from portal_service.stripe_errors import StripeUnavailable
from portal_service.supabase_db import DatabaseError

Json = dict[str, Any]
UPDATED = "customer.subscription.updated"
STRANGERS = item("price_theirs", "prod_theirs")


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits between two rounds."""
    monkeypatch.setattr(deadline, "_JITTER_SECONDS", 0)


LATER = NOON + 60
PAST_DUE = subscription(status="past_due")


# The fast path


@pytest.mark.parametrize("kind", sorted(SUBSCRIPTION_EVENTS))
def test_a_snapshot_that_is_clearly_later_is_written_without_asking(
    world: World, kind: str
) -> None:
    world.database.holds(row())
    assert world.mirror.apply(snapshot_event(kind, PAST_DUE, created=LATER)) == "applied"
    assert world.stripe.asked == []
    assert world.statements == [None]
    assert (world.stored["status"], world.stored["as_of"]) == ("past_due", iso(LATER))


def test_an_older_date_of_our_release_is_our_release(world: World) -> None:
    world.database.holds(row())
    event = snapshot_event(UPDATED, PAST_DUE, created=LATER, api_version=f"2099-1-1.{OUR_RELEASE}")
    assert world.mirror.apply(event) == "applied"


# The slow path: everything else


@pytest.mark.parametrize(
    ("stored", "created", "tried_first"),
    [
        pytest.param(None, LATER, True, id="no row yet"),
        pytest.param(row(), NOON, True, id="repeated"),
        pytest.param(row(), NOON - 3600, True, id="older"),
        pytest.param(row(), LATER - 1, True, id="within a minute"),
        pytest.param(row(as_of=None), LATER, True, id="a row of nobody knows when"),
        pytest.param(row_of_the_original(), LATER, True, id="a row of the original"),
    ],
)
def test_a_snapshot_that_is_not_clearly_later_asks_stripe(
    world: World, stored: Json | None, created: int, tried_first: bool
) -> None:
    if stored:
        world.database.holds(stored)
    world.stripe.has(subscription(status="unpaid"))
    assert world.mirror.apply(snapshot_event(UPDATED, PAST_DUE, created=created)) == "refreshed"
    assert world.stripe.asked == ["sub_1"]
    assert world.statements == [None, stored["revision"] if stored else 0]
    assert (world.stored["status"], world.stored["as_of"]) == ("unpaid", STRIPES_NOW.isoformat())


NOT_TRUSTED = [
    pytest.param({"api_version": "2026-03-25.dahlia"}, {}, id="another release"),
    pytest.param({"api_version": "2024-06-20"}, {}, id="a release without a name"),
    pytest.param({"api_version": None}, {}, id="no release"),
    pytest.param({"api_version": ""}, {}, id="an empty release"),
    pytest.param({"api_version": "endive"}, {}, id="a name alone"),
    pytest.param({"api_version": "2026-10-28.endive.preview"}, {}, id="a preview"),
    pytest.param({}, {"test_clock": "clock_1"}, id="a test clock"),
    pytest.param({}, {"items": {"data": [item()], "has_more": True}}, id="not all of its items"),
]


@pytest.mark.parametrize(("event", "snapshot"), NOT_TRUSTED)
def test_a_snapshot_that_cannot_be_trusted_asks_stripe_however_late(
    world: World, event: Json, snapshot: Json
) -> None:
    world.database.holds(row())
    world.stripe.has(subscription(status="unpaid"))
    changed = snapshot_event(UPDATED, PAST_DUE | snapshot, created=LATER, **event)
    assert world.mirror.apply(changed) == "refreshed"
    assert world.statements == [5]
    assert world.stored["status"] == "unpaid"


def test_an_event_without_a_release_at_all_asks_stripe(world: World) -> None:
    event = snapshot_event(UPDATED, PAST_DUE, created=LATER)
    del event["api_version"]
    world.database.holds(row())
    world.stripe.has(subscription())
    world.mirror.apply(event)
    assert world.stripe.asked == ["sub_1"]


@pytest.mark.parametrize("kind", sorted(SUBSCRIPTION_EVENTS))
def test_the_thin_twin_asks_stripe(world: World, kind: str) -> None:
    world.database.holds(row())
    world.stripe.has(PAST_DUE)
    assert world.mirror.apply(thin_event(kind, "sub_1")) == "refreshed"
    assert world.stored["status"] == "past_due"


@pytest.mark.parametrize("kind", sorted(CHECKOUT_EVENTS))
@pytest.mark.parametrize("thin", [False, True])
@pytest.mark.parametrize("expanded", [False, True])
def test_a_completed_checkout_asks_for_the_subscription_that_it_made(
    world: World, kind: str, thin: bool, expanded: bool
) -> None:
    world.stripe.has(subscription())
    made = {"id": "sub_1", "object": "subscription"} if expanded else "sub_1"
    session = checkout_session(subscription=made)
    world.stripe.sessions["cs_test_1"] = session
    event = thin_event(kind, "cs_test_1") if thin else snapshot_event(kind, session)
    assert world.mirror.apply(event) == "refreshed"
    assert world.stripe.asked == (["cs_test_1"] if thin else []) + ["sub_1"]
    assert world.statements == [0]
    assert world.owners == ["user_ada"]


@pytest.mark.parametrize("mode", ["payment", "setup"])
def test_a_checkout_that_made_no_subscription_is_ignored(world: World, mode: str) -> None:
    session = checkout_session(mode=mode, subscription=None)
    assert world.mirror.apply(snapshot_event("checkout.session.completed", session)) == "ignored"
    assert world.was_left_alone()


def test_a_refresh_that_finds_nothing_new_writes_all_the_same(world: World) -> None:
    world.stripe.has(subscription())
    assert world.mirror.refresh("sub_1") == "refreshed"
    before = world.stored
    assert world.mirror.refresh("sub_1") == "unchanged"
    assert world.stored["revision"] > before["revision"]
    assert world.statements == [0, before["revision"]]


# What is ignored


@pytest.mark.parametrize(
    "event",
    [
        snapshot_event("invoice.paid", {"id": "in_1", "subscription": "sub_1"}),
        snapshot_event("customer.subscription.trial_will_end", subscription()),
        snapshot_event("customer.deleted", {"id": "cus_1"}),
        snapshot_event("checkout.session.expired", checkout_session()),
        snapshot_event(f"v1.{UPDATED}", subscription()),
        thin_event("invoice.paid", "in_1"),
        thin_event("customer.subscription.past_due", "sub_1"),
        thin_event("billing.meter.error", "x") | {"related_object": None},
    ],
    ids=lambda event: event["type"],
)
def test_a_type_that_we_do_not_use_is_ignored_without_a_question(world: World, event: Json) -> None:
    assert world.mirror.apply(event) == "ignored"
    assert world.was_left_alone()


NOT_FOR_US: list[Any] = [
    pytest.param({"livemode": True}, id="other mode"),
    pytest.param({"livemode": None}, id="mode null"),
    pytest.param({"livemode": 0}, id="mode 0"),
    pytest.param({"account": "acct_1"}, id="Connect account"),
    pytest.param({"context": "acct_1"}, id="another context"),
]


@pytest.mark.parametrize("changes", NOT_FOR_US)
@pytest.mark.parametrize(
    "event",
    [
        snapshot_event(UPDATED, subscription(), created=LATER),
        snapshot_event("checkout.session.completed", checkout_session()),
        thin_event(UPDATED, "sub_1"),
    ],
    ids=["snapshot", "checkout", "thin"],
)
def test_an_event_of_another_mode_or_account_is_ignored_without_a_question(
    world: World, event: Json, changes: Json
) -> None:
    world.database.holds(row())
    world.stripe.has(subscription())
    assert world.mirror.apply(event | changes) == "ignored"
    assert world.was_left_alone()


def test_a_live_key_takes_live_events() -> None:
    world = World("sk_live_unit")
    world.database.holds(row(livemode=True))
    live = subscription(status="past_due", livemode=True)
    event = snapshot_event(UPDATED, live, created=LATER, livemode=True)
    assert world.mirror.apply(event) == "applied"
    assert world.mirror.apply(event | {"livemode": False}) == "ignored"


def test_a_row_of_the_other_mode_is_left_alone(world: World) -> None:
    world.database.holds(row(livemode=True))
    assert world.mirror.refresh("sub_1") == "ignored"
    assert world.was_left_alone()


# Whose subscription


def deliveries_of(one: Json) -> list[Any]:
    session = checkout_session(subscription=one["id"])
    return [
        pytest.param(snapshot_event(UPDATED, one), id="snapshot"),
        pytest.param(thin_event(UPDATED, one["id"]), id="thin"),
        pytest.param(snapshot_event("checkout.session.completed", session), id="checkout"),
    ]


CLAIMING = subscription(STRANGERS, metadata={"clerk_user_id": "user_ada"})


@pytest.mark.parametrize("event", deliveries_of(CLAIMING))
@pytest.mark.parametrize("customer", ["cus_1", None])
def test_somebody_elses_is_ignored_whatever_its_metadata_says(
    world: World, event: Json, customer: str | None
) -> None:
    theirs = CLAIMING | {"customer": customer}
    if event["type"] == UPDATED:
        event = event | {"data": {"object": theirs}}
    world.stripe.has(theirs)
    assert world.mirror.apply(event) == "ignored"
    assert world.database.rows == {}


@pytest.mark.parametrize("event", deliveries_of(CLAIMING))
@pytest.mark.parametrize("known_by", ["link", "another row", "its own row"])
def test_a_subscription_of_a_known_customer_is_kept_and_its_metadata_names_nobody(
    world: World, event: Json, known_by: str, log: Log
) -> None:
    world.stripe.has(CLAIMING)
    if known_by == "link":
        world.database.linked["cus_1"] = "user_ada"
    elif known_by == "another row":
        world.database.holds(row(stripe_subscription_id="sub_0"))
    else:
        world.database.holds(row(stripe_customer_id="cus_other"))
    assert world.mirror.apply(event) == "refreshed"
    assert world.stored["price_id"] == "price_theirs"
    assert set(world.owners) == {None}


@pytest.mark.parametrize("event", deliveries_of(subscription()))
def test_one_of_ours_whose_owner_nobody_knows_is_stored(world: World, event: Json) -> None:
    world.stripe.has(subscription())
    assert world.mirror.apply(event) == "refreshed"
    named = "user_ada" if event["type"] == "checkout.session.completed" else None
    assert world.owners[-1] == named


@pytest.mark.parametrize("fast", [True, False])
def test_the_metadata_of_one_of_ours_names_its_user(world: World, fast: bool) -> None:
    named = subscription(metadata={"clerk_user_id": "user_ada"})
    world.stripe.has(named)
    if fast:
        world.database.holds(row())
    world.mirror.apply(snapshot_event(UPDATED, named, created=LATER))
    assert set(world.owners) == {"user_ada"}


def test_a_subscription_names_its_user_before_its_checkout_session_does(world: World) -> None:
    world.stripe.has(subscription(metadata={"clerk_user_id": "user_ada"}))
    session = checkout_session(metadata={"clerk_user_id": "user_eve"})
    world.mirror.apply(snapshot_event("checkout.session.completed", session))
    assert world.owners == ["user_ada"]


def test_a_client_reference_names_nobody(world: World) -> None:
    world.stripe.has(subscription())
    session = checkout_session(metadata={}, client_reference_id="user_eve")
    world.mirror.apply(snapshot_event("checkout.session.completed", session))
    assert world.owners == [None]


# What Stripe does not have


@pytest.mark.parametrize("ended_at", [None, iso(NOON - 5)])
def test_test_data_that_was_deleted_is_canceled(world: World, ended_at: str | None) -> None:
    world.database.holds(row(ended_at=ended_at, quantity=3))
    assert world.mirror.refresh("sub_1") == "refreshed"
    now = STRIPES_NOW.isoformat()
    assert world.statements == [5]
    assert world.stored["status"] == "canceled"
    assert (world.stored["as_of"], world.stored["ended_at"]) == (now, ended_at or now)
    assert (world.stored["quantity"], world.stored["price_id"]) == (3, "price_pro")
    assert world.mirror.refresh("sub_1") == "unchanged"


def test_test_data_that_was_deleted_and_never_stored_is_ignored(world: World) -> None:
    assert world.mirror.apply(snapshot_event(UPDATED, subscription())) == "ignored"
    assert world.database.rows == {}


def test_an_answer_without_a_date_still_ends_what_was_deleted(world: World) -> None:
    world.stripe.date = None
    world.database.holds(row())
    assert world.mirror.refresh("sub_1") == "refreshed"
    assert (world.stored["status"], world.stored["as_of"]) == ("canceled", None)


@pytest.mark.parametrize("stored", [row(livemode=True), None], ids=["a row", "no row"])
def test_a_live_subscription_that_stripe_does_not_have_is_a_wrong_key(
    log: Log, stored: Json | None
) -> None:
    world = World("sk_live_unit")
    if stored:
        world.database.holds(stored)
    before = LIVE_MISSING._value.get()
    with pytest.raises(ServiceError) as error:
        world.mirror.apply(thin_event(UPDATED, "sub_1", livemode=True))
    assert error.value.status >= 500
    assert world.database.writes == []
    assert LIVE_MISSING._value.get() == before + 1
    assert "STRIPE_SECRET_KEY" in log.at(logging.CRITICAL)[0]


@pytest.mark.parametrize(("key", "other_mode"), [("sk_test_unit", True), ("sk_live_unit", False)])
def test_a_row_of_no_mode_that_stripe_does_not_have_is_of_the_other_mode(
    key: str, other_mode: bool
) -> None:
    world = World(key)
    world.database.holds(row_of_the_original())
    assert world.mirror.refresh("sub_1") == "refreshed"
    assert world.stored["livemode"] is other_mode
    assert (world.stored["status"], world.stored["plan"]) == ("active", "pro")


def test_a_row_of_no_mode_that_stripe_has_gets_ours(world: World) -> None:
    world.database.holds(row_of_the_original())
    world.stripe.has(subscription())
    world.mirror.refresh("sub_1")
    assert world.stored["livemode"] is False


# Somebody else writes meanwhile


def test_a_refresh_that_lost_its_write_starts_again(world: World) -> None:
    world.database.holds(row())
    world.stripe.has(subscription(status="trialing"))
    states = iter(["past_due", "unpaid"])

    def somebody_writes() -> None:
        if status := next(states, None):
            world.database.rows["sub_1"] = row(status=status, revision=len(world.statements) + 50)
            world.stripe.has(subscription(status=status))

    world.database.before_write = somebody_writes
    assert world.mirror.refresh("sub_1") == "unchanged"
    assert world.statements == [5, 50, 51]
    assert world.stripe.asked == ["sub_1"] * 3
    assert world.stored["status"] == "unpaid"


def test_a_row_that_is_deleted_meanwhile_is_made_anew_from_a_new_answer(world: World) -> None:
    world.database.holds(row())
    world.stripe.has(subscription())

    def somebody_deletes() -> None:
        world.database.rows.clear()
        world.database.before_write = lambda: None
        world.stripe.has(subscription(status="unpaid"))

    world.database.before_write = somebody_deletes
    assert world.mirror.refresh("sub_1") == "refreshed"
    assert world.statements == [5, 0]
    assert world.stored["status"] == "unpaid"


def test_two_first_writes_at_once_make_one_row_in_the_newer_state(world: World) -> None:
    world.stripe.has(subscription())

    def somebody_inserts() -> None:
        world.database.before_write = lambda: None
        world.database.holds(row(status="unpaid", revision=9))
        world.stripe.has(subscription(status="unpaid"))

    world.database.before_write = somebody_inserts
    world.mirror.refresh("sub_1")
    assert world.statements == [0, 9]
    assert world.stored["status"] == "unpaid"


def test_it_starts_again_until_the_budget_ends(world: World) -> None:
    world.database.holds(row())
    world.stripe.has(subscription())
    revisions = itertools.count(1000)
    world.database.before_write = lambda: world.database.holds(row(revision=next(revisions)))
    deadline.begin(0.3)
    with pytest.raises((ServiceError, deadline.OutOfTime)) as error:
        world.mirror.refresh("sub_1")
    assert getattr(error.value, "status", 503) == 503
    assert len(world.statements) > 2


# Failures: nothing is said to be done


@pytest.mark.parametrize("failure", [StripeUnavailable(), ServiceError("internal_error")])
def test_a_failure_of_stripes_is_handed_on_and_nothing_is_written(
    world: World, failure: ServiceError
) -> None:
    def fail() -> None:
        raise failure

    world.stripe.before_answer = fail
    world.database.holds(row())
    with pytest.raises(ServiceError) as error:
        world.mirror.apply(thin_event(UPDATED, "sub_1"))
    assert error.value is failure
    assert world.database.writes == []


@pytest.mark.parametrize("created", [LATER, NOON])
def test_a_failure_of_the_databases_is_handed_on(world: World, created: int) -> None:
    failure = DatabaseError("57014", "too slow")

    def fail() -> None:
        raise failure

    world.database.before_write = fail
    world.database.holds(row())
    world.stripe.has(subscription())
    with pytest.raises(DatabaseError):
        world.mirror.apply(snapshot_event(UPDATED, PAST_DUE, created=created))
    assert world.stored == row()
