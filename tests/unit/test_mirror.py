"""Which event takes which path, and what is written then. The database and Stripe are a few lines
of Python; the database keeps to the three statements of the ordering rule.
"""

import itertools
import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given as for_all
from hypothesis import settings as with_settings
from hypothesis import strategies as st

from portal_service import deadline, mirror
from portal_service.errors import ServiceError
from portal_service.mirror import CHECKOUT_EVENTS, OUR_RELEASE, SUBSCRIPTION_EVENTS, Mirror
from portal_service.observability import LIVE_MISSING, UNKNOWN_PRICES
from portal_service.stripe_api import CustomerMissing, NotAtStripe, StripeUnavailable
from portal_service.subscription import COLUMNS
from portal_service.supabase_db import DatabaseError

from .conftest import Log
from .given import (
    NOON,
    checkout_session,
    iso,
    item,
    paused,
    row,
    row_of_the_original,
    settings,
    snapshot_event,
    subscription,
    thin_event,
)

Json = dict[str, Any]
UPDATED = "customer.subscription.updated"
STRANGERS = item("price_theirs", "prod_theirs")
STRIPES_NOW = datetime.fromtimestamp(NOON + 1000, UTC)


class FakeDatabase:
    """The rows, and every write as (statement, row, Clerk's id)."""

    def __init__(self) -> None:
        self.rows: dict[str, Json] = {}
        self.linked: dict[str, str] = {}  # customer -> Clerk's id
        self.writes: list[tuple[int | None, Json, str | None]] = []
        self.reads = 0
        self._revisions = itertools.count(100)
        self.before_write: Callable[[], None] = lambda: None

    def holds(self, *rows: Json) -> None:
        self.rows |= {row["stripe_subscription_id"]: row for row in rows}

    def row(self, subscription_id: str) -> Json | None:
        self.reads += 1
        return self.rows.get(subscription_id)

    def linked_user(self, customer: str) -> str | None:
        return self.linked.get(customer)

    def knows_customer(self, customer: str) -> bool:
        return customer in self.linked or any(
            row["stripe_customer_id"] == customer for row in self.rows.values()
        )

    def upsert(
        self, new: Json, clerk_user_id: str | None, expected_revision: int | None
    ) -> Json | None:
        self.before_write()
        self.writes.append((expected_revision, new, clerk_user_id))
        old = self.rows.get(new["stripe_subscription_id"])
        if expected_revision is None:
            decisive = old is not None and is_clearly_later(new["as_of"], old["as_of"])
        elif expected_revision == 0:
            decisive = old is None
        else:
            decisive = old is not None and old["revision"] == expected_revision
        if not decisive:
            return None
        revision = next(self._revisions)
        changed = old is None or any(new[name] != old[name] for name in COLUMNS if name != "as_of")
        stored = (old or {"user_id": None, "created_at": iso(NOON)}) | new
        stored |= {"revision": revision, "updated_at": f"at {revision}"} if changed else {
            "revision": revision
        }  # fmt: skip
        self.rows[new["stripe_subscription_id"]] = stored
        return stored


def is_clearly_later(stamp: str, as_of: str | None) -> bool:
    return as_of is not None and (
        datetime.fromisoformat(stamp) - datetime.fromisoformat(as_of) >= timedelta(seconds=60)
    )


class FakeStripe:
    """The subscriptions and sessions of an account, and every question."""

    def __init__(self) -> None:
        self.subscriptions: dict[str, Json] = {}
        self.sessions: dict[str, Json] = {}
        self.customers = {"cus_1"}
        self.date: datetime | None = STRIPES_NOW
        self.asked: list[str] = []
        self.before_answer: Callable[[], None] = lambda: None

    def has(self, *subscriptions: Json) -> None:
        self.subscriptions |= {one["id"]: one for one in subscriptions}

    def subscription(self, subscription_id: str) -> tuple[Json, datetime | None]:
        self.asked.append(subscription_id)
        self.before_answer()
        if subscription_id not in self.subscriptions:
            raise NotAtStripe(self.date)
        return self.subscriptions[subscription_id], self.date

    def subscriptions_of(self, customer: str) -> tuple[list[Json], datetime | None]:
        self.asked.append(customer)
        self.before_answer()
        if customer not in self.customers:
            raise CustomerMissing
        found = [one for one in self.subscriptions.values() if one["customer"] == customer]
        return found, self.date

    def checkout_session(self, session_id: str) -> Json:
        self.asked.append(session_id)
        if session_id not in self.sessions:
            raise NotAtStripe(self.date)
        return self.sessions[session_id]


class World:
    """A mirror between the two."""

    def __init__(self, key: str = "sk_test_unit") -> None:
        self.database, self.stripe = FakeDatabase(), FakeStripe()
        self.mirror = Mirror(settings(stripe_secret_key=key), self.database, self.stripe)  # type: ignore[arg-type]

    @property
    def stored(self) -> Json:
        return self.database.rows["sub_1"]

    @property
    def statements(self) -> list[int | None]:
        """The expected revision of each write."""
        return [revision for revision, _, _ in self.database.writes]

    @property
    def owners(self) -> list[str | None]:
        return [owner for _, _, owner in self.database.writes]

    def was_left_alone(self) -> bool:
        return not self.stripe.asked and not self.database.writes


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits between two rounds."""
    monkeypatch.setattr(mirror, "time", SimpleNamespace(sleep=lambda seconds: None))


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


@pytest.mark.parametrize(
    ("linked", "named", "is_logged"),
    [
        ("user_ada", "user_eve", True),
        ("user_ada", "user_ada", False),
        ("user_ada", None, False),
        (None, "user_eve", False),
    ],
)
def test_metadata_that_names_another_user_than_the_customers_is_logged(
    world: World, log: Log, linked: str | None, named: str | None, is_logged: bool
) -> None:
    if linked:
        world.database.linked["cus_1"] = linked
    world.stripe.has(subscription(metadata={"clerk_user_id": named}))
    assert world.mirror.refresh("sub_1") == "refreshed"
    warnings = log.at(logging.WARNING)
    assert bool(warnings) is is_logged
    assert all("names another user" in message for message in warnings)


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


# What an operator must know


@pytest.mark.parametrize("fast", [True, False])
def test_an_unknown_price_is_stored_and_shouted_about(world: World, log: Log, fast: bool) -> None:
    world.database.holds(row())
    new = subscription(STRANGERS)
    world.stripe.has(new)
    before = UNKNOWN_PRICES._value.get()
    world.mirror.apply(snapshot_event(UPDATED, new, created=LATER if fast else NOON))
    assert (world.stored["price_id"], world.stored["plan"]) == ("price_theirs", None)
    assert UNKNOWN_PRICES._value.get() > before
    assert any("STRIPE_PLANS" in message for message in log.at(logging.ERROR))


def test_the_end_of_an_unknown_price_is_nothing_to_shout_about(world: World, log: Log) -> None:
    world.database.holds(row())
    ended = subscription(STRANGERS, status="canceled")
    world.mirror.apply(snapshot_event("customer.subscription.deleted", ended, created=LATER))
    assert log.at(logging.ERROR) == []


@pytest.mark.parametrize("fast", [True, False])
def test_an_unknown_status_is_stored_and_logged(world: World, log: Log, fast: bool) -> None:
    world.database.holds(row())
    new = subscription(status="a_status_of_2030")
    world.stripe.has(new)
    world.mirror.apply(snapshot_event(UPDATED, new, created=LATER if fast else NOON))
    assert world.stored["status"] == "a_status_of_2030"
    assert "a subscription has an unknown status" in log.messages


# All subscriptions of a customer


def test_all_of_a_customer_are_written_each_over_its_revision(world: World) -> None:
    world.database.holds(row(), row(stripe_subscription_id="sub_2", revision=8))
    now = [subscription(**paused("pause_requested")), subscription(id="sub_2"),
           subscription(id="sub_3", metadata={"clerk_user_id": "user_ada"})]  # fmt: skip
    world.stripe.has(*now, subscription(id="sub_9", customer="cus_9"))
    rows = [*world.database.rows.values(), row(stripe_customer_id="cus_9", revision=77),
            row_of_the_original(stripe_subscription_id=None)]  # fmt: skip
    assert world.mirror.refresh_customer("cus_1", rows) == now
    assert world.stripe.asked == ["cus_1"]
    assert world.statements == [5, 8, 0]
    assert world.owners == [None, None, "user_ada"]
    assert world.stored["paused_reason"] == "pause_requested"
    assert world.stored["as_of"] == STRIPES_NOW.isoformat()
    assert set(world.database.rows) == {"sub_1", "sub_2", "sub_3"}


def test_one_that_somebody_wrote_meanwhile_is_asked_for_again(world: World) -> None:
    world.database.holds(row(revision=6))
    world.stripe.has(subscription(status="past_due"))
    world.mirror.refresh_customer("cus_1", [row(revision=5)])
    assert world.stripe.asked == ["cus_1", "sub_1"]
    assert world.statements == [5, 6]
    assert world.stored["status"] == "past_due"


def test_one_that_stripe_did_not_list_is_asked_for(world: World) -> None:
    world.database.holds(row())
    assert world.mirror.refresh_customer("cus_1", [row()]) == []
    assert world.stripe.asked == ["cus_1", "sub_1"]
    assert world.stored["status"] == "canceled"


def test_the_rows_of_a_customer_whom_stripe_lost_are_brought_to_an_end_first(world: World) -> None:
    world.stripe.customers.clear()
    world.database.holds(row(), row(stripe_subscription_id="sub_2"))
    with pytest.raises(CustomerMissing):
        world.mirror.refresh_customer("cus_1", list(world.database.rows.values()))
    assert [one["status"] for one in world.database.rows.values()] == ["canceled", "canceled"]


# At once


def test_a_burst_of_deliveries_asks_stripe_twice_at_most(world: World) -> None:
    world.database.holds(row())
    world.stripe.has(PAST_DUE)
    asked, answer, boarded = threading.Event(), threading.Event(), threading.Semaphore(0)
    board = world.mirror._flights._board

    def watched(*arguments: Any) -> Any:
        found = board(*arguments)
        boarded.release()
        return found

    def hold() -> None:
        asked.set()
        assert answer.wait(20)

    world.mirror._flights._board = watched  # type: ignore[method-assign]
    world.stripe.before_answer = hold
    event = thin_event(UPDATED, "sub_1")
    outcomes: list[str] = []
    burst = [
        threading.Thread(target=lambda: outcomes.append(world.mirror.apply(event)))
        for _ in range(12)
    ]
    burst[0].start()
    assert asked.wait(20)
    for thread in burst[1:]:
        thread.start()
    for _ in burst:
        assert boarded.acquire(timeout=20)
    answer.set()
    for thread in burst:
        thread.join(20)
    assert world.stripe.asked == ["sub_1", "sub_1"]
    assert sorted(outcomes) == ["refreshed"] + ["unchanged"] * 11
    assert world.stored["status"] == "past_due"


# A whole life, delivered in any order

LIFE = [
    ("customer.subscription.created", {"status": "incomplete"}),
    (UPDATED, {"status": "active"}),
    (UPDATED, {"status": "active", "cancel_at": NOON + 10**6}),
    (UPDATED, {"status": "active"}),
    (UPDATED, {"status": "past_due"}),
    ("customer.subscription.deleted", {"status": "canceled", "ended_at": NOON + 10**5}),
]


@st.composite
def deliveries_of_a_life(draw: st.DrawFn) -> list[tuple[int, Json, int]]:
    """Pairs of an event and how many changes Stripe had seen when it arrived."""
    length = draw(st.integers(1, len(LIFE)))
    stamps = itertools.accumulate(draw(st.sampled_from([0, 1, 59, 61, 86_400])) for _ in LIFE)
    events = [
        snapshot_event(kind, subscription(**changes), created=NOON + stamp)
        for (kind, changes), stamp in zip(LIFE[:length], stamps, strict=False)
    ]
    wanted = [*range(length), *draw(st.lists(st.integers(0, length - 1), max_size=4))]
    order = draw(st.permutations(wanted))
    seen, arrivals = 0, []
    for number in order:
        seen = max(seen, number, draw(st.integers(seen, length - 1)))
        arrivals.append((number, events[number], seen))
    return arrivals


@for_all(deliveries_of_a_life())
@with_settings(max_examples=200)
def test_whatever_the_order_and_repetition_the_row_ends_in_stripes_state(
    arrivals: list[tuple[int, Json, int]],
) -> None:
    world = World()
    last = max(seen for _, _, seen in arrivals)
    created = {number: event["created"] for number, event, _ in arrivals}
    for _, event, seen in arrivals:
        world.stripe.has(subscription(**LIFE[seen][1]))
        world.stripe.date = datetime.fromtimestamp(created[seen], UTC)
        world.mirror.apply(event)
    status, cancel_at = (LIFE[last][1].get(name) for name in ("status", "cancel_at"))
    assert world.stored["status"] == status
    assert world.stored["cancel_at"] == (cancel_at and iso(cancel_at))  # type: ignore[arg-type]
