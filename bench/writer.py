"""One of many that call the functions of the schema as the service does, about the same few things.

What they fight over moves on with every call, so that there are always subscriptions, customers and
owners that nobody has written yet.
"""

import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

UPSERT = "select * from upsert_subscription(%s, %s, %s)"
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)

# What the service asks again (portal_service/supabase_db.py): Postgres let one of two go first.
ASKED_AGAIN = ("40P01", "40001")

AT_ONCE = 24  # subscriptions; three have one customer, and their owner is one of five
CALLS_OF_EACH = 25  # so many calls later the next subscription comes, and one is left alone


@dataclass(frozen=True)
class Write:
    """One that was accepted: the row that came back, and the revision that it went by."""

    expected: int | None
    number: int  # what this write said as quantity, no other write did
    row: dict[str, Any]


@dataclass
class Fight:
    """What was called, how often with which end; what was written; what should never have been."""

    calls: Counter[str] = field(default_factory=Counter)
    writes: list[Write] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def __str__(self) -> str:
        ends = ", ".join(f"{name} {count:,}" for name, count in sorted(self.calls.items()))
        each = sum(self.calls.values()) / self.seconds
        return f"{self.seconds:.0f} s, {each:,.0f} calls a second\n  {ends}"


class Writer:
    """One connection, which does something else each turn."""

    def __init__(self, url: str, seed: int, numbers: Iterator[int], fight: Fight) -> None:
        self._connection = psycopg.connect(url, autocommit=True, row_factory=dict_row)
        self._connection.execute("set role service_role")
        self._random = random.Random(seed)
        self._numbers = numbers
        self._fight = fight
        self.calls: Counter[str] = Counter()  # of this one: adding up is not safe between threads
        self._turns: dict[str, tuple[int, Callable[[], str]]] = {
            "insert": (4, lambda: self._write(0)),
            "event": (6, lambda: self._write(None)),
            "refresh": (6, self._refresh),
            "link": (2, self._link),
            "mark": (2, self._mark),
            "account": (3, self._account),
            "user": (1, self._user),
        }

    def run(self, goes_on: Callable[[int], bool]) -> None:
        weights = [weight for weight, _ in self._turns.values()]
        with self._connection:
            for turn in itertools.count():
                if not goes_on(turn):
                    return
                (name,) = self._random.choices(list(self._turns), weights)
                self.calls[f"{name} {self._end_of(self._turns[name][1])}"] += 1

    def _somebody(self) -> tuple[str, str, str]:
        """A subscription, its customer, and an owner who may be that of another one."""
        at = next(self._numbers) // CALLS_OF_EACH
        name = f"sub_{at + self._random.randrange(AT_ONCE)}"
        owner = at // 12 + self._random.randrange(5)
        return name, customer_of(name), f"org_{owner}" if owner % 5 == 0 else f"user_{owner}"

    def _end_of(self, call: Callable[[], str]) -> str:
        try:
            return call()
        except psycopg.Error as error:
            if error.sqlstate in ASKED_AGAIN:
                return f"asked again ({error.sqlstate})"
            self._fight.wrong.append(f"an error that nobody answers: {error!r}")
            return "failed"

    def _write(self, expected: int | None, name: str | None = None) -> str:
        name = name or self._somebody()[0]
        number = next(self._numbers)
        customer = customer_of(name)
        said = {
            "stripe_subscription_id": name,
            "stripe_customer_id": customer,
            "status": self._random.choice(["active", "past_due", "canceled"]),
            "quantity": number,
            "livemode": is_live(customer),
            # Sometimes long ago, mostly a little later than all before.
            "as_of": str(BEGINNING + timedelta(seconds=number * self._random.choice([1, 30, 30]))),
        }
        named = self._random.choice([None, self._somebody()[2]])
        row = self._connection.execute(UPSERT, [Jsonb(said), named, expected]).fetchone()
        if row is None:
            return "not taken"
        self._fight.writes.append(Write(expected, number, row))
        return "taken"

    def _refresh(self) -> str:
        name = self._somebody()[0]
        read = "select revision from subscriptions where stripe_subscription_id = %s"
        row = self._connection.execute(read, [name]).fetchone()
        return self._write(row["revision"] if row else 0, name)

    def _link(self) -> str:
        _, customer, owner = self._somebody()
        values = [owner, is_live(customer), customer]
        try:
            self._connection.execute("select link_customer(%s, %s, %s)", values)
        except psycopg.errors.UniqueViolation:
            return "refused (of another)"
        return "taken"

    def _mark(self) -> str:
        customer = self._somebody()[1]
        values = [customer, is_live(customer), self._random.random() < 0.5]
        self._connection.execute("select mark_customer(%s, %s, %s)", values)
        return "taken"

    def _account(self) -> str:
        owner, livemode = self._somebody()[2], self._random.random() < 0.5
        asked = self._connection.execute("select billing_account(%s, %s) as it", [owner, livemode])
        rows = (asked.fetchone() or {})["it"]["subscriptions"]
        names = [row["stripe_subscription_id"] for row in rows]
        if len(set(names)) < len(names):
            self._fight.wrong.append(f"{owner} was shown a row twice: {names}")
        for row in rows:
            if row["clerk_owner_id"] not in (owner, None):
                self._fight.wrong.append(f"{owner} was shown the row of another: {row}")
        return "answered"

    def _user(self) -> str:
        """Somebody signs up in the app, which is no business of the service's."""
        known = "insert into users (clerk_id) values (%s) on conflict do nothing"
        self._connection.execute("reset role")
        self._connection.execute(known, [self._somebody()[2]])
        self._connection.execute("set role service_role")
        return "signed up"


def customer_of(subscription: str) -> str:
    """As Stripe has it: a subscription never changes its customer."""
    return f"cus_{int(subscription.removeprefix('sub_')) // 3}"


def is_live(customer: str) -> bool:
    """A customer is of one mode."""
    return int(customer.removeprefix("cus_")) % 2 == 0
