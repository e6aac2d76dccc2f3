"""What the service's two calls cost on a real Postgres whose table has ten rows, and a million: the
write function's fast path, and the question for an account.
"""

import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from sandbox.postgres import Postgres, migrate

# As a small hosted project; the bulk is not kept over a crash.
_SERVER = {"shared_buffers": "256MB", "jit": "off", "autovacuum": "off",
           "synchronous_commit": "off"}  # fmt: skip
_ASKED = 400  # times each
_USERS = "create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique)"
_FILL = """
insert into subscriptions (stripe_subscription_id, stripe_customer_id, status, plan, quantity,
                           livemode, as_of, clerk_owner_id)
select 'sub_' || md5(n::text), 'cus_' || md5(n::text), 'active', 'pro', 1,
       true, '2026-01-01T00:00:00Z', 'user_' || n
from generate_series(%s::int, %s::int) n"""
_FAST_PATH = """
select * from upsert_subscription(jsonb_build_object(
    'stripe_subscription_id', 'sub_' || md5(%(n)s::int::text),
    'stripe_customer_id', 'cus_' || md5(%(n)s::int::text), 'status', 'active', 'plan', 'pro',
    'quantity', 1, 'livemode', true, 'as_of', %(as_of)s::text))"""
_ACCOUNT = "select billing_account('user_' || %(n)s::int, true)"
_BEGINNING = datetime(2027, 1, 1, tzinfo=UTC)
_writes = itertools.count()


def measured(sizes: Iterable[int]) -> list[dict[str, Any]]:
    """For each number of rows: seconds to fill up to it, milliseconds of the two calls."""
    found, rows = [], 0
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        Postgres(Path(folder), _SERVER) as server,
    ):
        url = server.create_database("sizes")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(_USERS)
            migrate(url)
            for size in sizes:
                began = time.monotonic()
                connection.execute(_FILL, [rows + 1, size])
                connection.execute("vacuum analyze")
                filled, rows = time.monotonic() - began, size
                found.append({"rows": size, "filled": filled, **_asked(connection, size)})
    return found


def _asked(connection: psycopg.Connection, rows: int) -> dict[str, float]:
    def fast_path(turn: int) -> None:
        stamp = _BEGINNING + timedelta(minutes=2 * next(_writes))  # later than any write before
        values = {"n": _somebody(turn, rows), "as_of": stamp.isoformat()}
        if connection.execute(_FAST_PATH, values).fetchone() is None:
            raise RuntimeError("the fast path was not taken")

    def account(turn: int) -> None:
        found = connection.execute(_ACCOUNT, {"n": _somebody(turn, rows)}).fetchone()
        if not found or len(found[0]["subscriptions"]) != 1:
            raise RuntimeError("the account has not its one row")

    return {**_timed("account", account), **_timed("fast_path", fast_path)}


def _somebody(turn: int, rows: int) -> int:
    """All over the table."""
    return turn * 7_919 % rows + 1


def _timed(name: str, call: Callable[[int], None]) -> dict[str, float]:
    took = []
    for turn in range(_ASKED):
        began = time.perf_counter()
        call(turn)
        took.append((time.perf_counter() - began) * 1000)
    return {f"{name}_p50": statistics.median(took), f"{name}_p99": sorted(took)[-_ASKED // 100]}
