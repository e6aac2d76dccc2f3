"""Eight connections fight over the same subscriptions, customers and owners: does the schema hold?

    python -m bench.many_writers [--seconds 60] [--programs /usr/lib/postgresql/15/bin]

Each connection calls the functions of supabase/migrations as the service does, in a random order
and about few enough things that they meet all the time. At the end every answer that was given and
every row that is there is held against what must be true; exits 1 where something is not.
bench/README.md says what. Leaves nothing behind.
"""

import argparse
import itertools
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from bench.writer import Fight, Write, Writer
from sandbox.postgres import Postgres, migrate

WRITERS = 8
USERS = "create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique)"
MARGIN = timedelta(seconds=60)  # the fast path's


def fight(url: str, seconds: float = float("inf"), turns: int | None = None) -> Fight:
    """Until so many seconds are over, or each writer had so many turns. url: a database with no
    tables of ours and none of the team's."""
    with psycopg.connect(url) as connection:
        connection.execute(USERS)
    migrate(url)
    result = Fight()
    numbers = itertools.count(1)
    writers = [Writer(url, seed, numbers, result) for seed in range(WRITERS)]
    start = threading.Barrier(WRITERS)
    began = time.monotonic()

    def one(writer: Writer) -> None:
        start.wait()
        writer.run(lambda turn: turn != turns and time.monotonic() - began < seconds)

    with ThreadPoolExecutor(WRITERS) as pool:
        for ended in [pool.submit(one, writer) for writer in writers]:
            ended.result()
    result.seconds = time.monotonic() - began
    for writer in writers:
        result.calls.update(writer.calls)
    return result


def broken(url: str, result: Fight) -> list[str]:
    """What does not hold of the answers that were given and the rows that are there."""
    with psycopg.connect(url, row_factory=dict_row) as connection:
        rows = connection.execute("select * from subscriptions").fetchall()
        moved = connection.execute(
            "select c.*, s.clerk_owner_id as has from billing_customers c join subscriptions s"
            " using (stripe_customer_id) where s.clerk_owner_id <> c.clerk_owner_id"
        ).fetchall()
    found = list(result.wrong)
    found += [f"a customer is linked to another than its rows: {row}" for row in moved]
    revisions = Counter(write.row["revision"] for write in result.writes)
    found += [f"revision {it} was given twice" for it, times in revisions.items() if times > 1]
    at_end = {row["stripe_subscription_id"]: row for row in rows}
    if len(at_end) != len(rows):
        found.append("a subscription has two rows")
    owners = {(row["stripe_customer_id"], row["clerk_owner_id"]) for row in rows}
    several = Counter(customer for customer, owner in owners if owner is not None)
    found += [f"{customer} has {times} owners" for customer, times in several.items() if times > 1]
    writes: dict[str, list[Write]] = {name: [] for name in at_end}
    for write in sorted(result.writes, key=lambda write: write.row["revision"]):
        writes.setdefault(write.row["stripe_subscription_id"], []).append(write)
    for name, of_it in writes.items():
        found += [f"{name}: {what}" for what in _broken_in(of_it, at_end.get(name))]
    return found


def _broken_in(writes: list[Write], row: dict[str, Any] | None) -> Iterator[str]:
    """writes: all that were accepted of one subscription, in the order of their revisions."""
    if not writes:
        if row is not None:
            yield f"nobody wrote it, and it is there: {row}"
        return
    if row is None:
        yield "it was written, and is lost"
        return
    last = writes[-1]
    if (row["revision"], row["quantity"]) != (last.row["revision"], last.number):
        yield f"the last write is lost: {last}, there is {row}"
    went_by = Counter(write.expected for write in writes if write.expected is not None)
    yield from (f"revision {it} was replaced twice" for it, n in went_by.items() if n > 1)
    for column in ("clerk_owner_id", "user_id"):
        held = [*(write.row[column] for write in writes), row[column]]
        since = next((n for n, value in enumerate(held) if value is not None), len(held))
        if len(set(held[since:])) > 1:
            yield f"{column} did not stay: {list(dict.fromkeys(held))}"
    for before, write in itertools.pairwise(writes):
        if write.row["quantity"] != write.number:
            yield f"what came back is not what was written: {write}"
        if write.expected is None and write.row["as_of"] < before.row["as_of"] + MARGIN:
            yield f"an event was taken that is not clearly later: {write} after {before}"
        if write.expected not in (None, before.row["revision"]):
            yield f"a write went by a revision that was not the last: {write} after {before}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument(
        "--programs", type=Path, help="the folder of another Postgres' initdb and postgres"
    )
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        Path(folder).chmod(0o711)  # where root starts it, the server runs as another account
        with Postgres(Path(folder), programs=asked.programs) as server:
            url = server.create_database("fight")
            with psycopg.connect(url) as connection:
                version = connection.execute("select version()").fetchone()[0]
            print(f"{version[:17].strip()}, {WRITERS} connections", flush=True)
            result = fight(url, asked.seconds)
            print(result)
            found = broken(url, result)
    print("\n".join(found) or "  everything held")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
