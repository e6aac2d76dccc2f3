"""A mirror between a database and a Stripe that are a few lines of Python each; the database keeps
to the three statements of the ordering rule.
"""

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from given import NOON, account, iso, settings

from portal_service.mirror import Mirror
from portal_service.stripe_errors import CustomerMissing, NotAtStripe
from portal_service.subscription import COLUMNS, customer_of

Json = dict[str, Any]
STRIPES_NOW = datetime.fromtimestamp(NOON + 1000, UTC)


class FakeDatabase:
    """The rows, and every write as (statement, row, the owner that was named)."""

    def __init__(self) -> None:
        self.rows: dict[str, Json] = {}
        self.linked: dict[str, str] = {}  # customer -> Clerk's id of the owner
        self.gone: set[str] = set()
        self.writes: list[tuple[int | None, Json, str | None]] = []
        self.reads = 0
        self._revisions = itertools.count(100)
        self.before_write: Callable[[], None] = lambda: None

    def holds(self, *rows: Json) -> None:
        self.rows |= {row["stripe_subscription_id"]: row for row in rows}

    def row(self, subscription_id: str) -> Json | None:
        self.reads += 1
        return self.rows.get(subscription_id)

    def mark_customer(self, customer: str, gone: bool) -> None:
        (self.gone.add if gone else self.gone.discard)(customer)

    def knows_customer(self, customer: str) -> bool:
        return customer in self.linked or any(
            row["stripe_customer_id"] == customer for row in self.rows.values()
        )

    def upsert(
        self, new: Json, clerk_owner_id: str | None, expected_revision: int | None
    ) -> Json | None:
        self.before_write()
        self.writes.append((expected_revision, new, clerk_owner_id))
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
        nobody = {"clerk_owner_id": None, "user_id": None, "created_at": iso(NOON)}
        stored = (old or nobody) | new
        owner = stored["clerk_owner_id"] or self.linked.get(new["stripe_customer_id"])
        stored["clerk_owner_id"] = owner or clerk_owner_id
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
        self.customers = {"cus_1"}  # those whose subscriptions can be listed
        self.deleted: set[str] = set()  # which go on being listed
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
        all_ = self.subscriptions.values()
        found = [one for one in all_ if customer_of(one) == customer]
        return found, self.date

    def is_gone(self, customer: str) -> bool:
        self.asked.append(f"is {customer} gone")
        return customer in self.deleted

    def checkout_session(self, session_id: str) -> Json:
        self.asked.append(session_id)
        if session_id not in self.sessions:
            raise NotAtStripe(self.date)
        return self.sessions[session_id]


class World:
    """A mirror between the two."""

    def __init__(self, key: str = "sk_test_unit", **changes: Any) -> None:
        self.database, self.stripe = FakeDatabase(), FakeStripe()
        told = settings(stripe_secret_key=key, **changes)
        self.mirror = Mirror(told, self.database, self.stripe)  # type: ignore[arg-type]

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

    def refresh_customer(self, customer: str = "cus_1", **about: Any) -> list[Json]:
        """As whoever has read the account a moment ago."""
        held = account(*self.database.rows.values(), **about)
        return self.mirror.refresh_customer(held, customer)

    def was_left_alone(self) -> bool:
        return not self.stripe.asked and not self.database.writes
