"""How long the migrations keep an app waiting whose `subscriptions` table is big.

    python -m bench.migration [--rows 1000000]

Makes the tutorial's table on a Postgres of its own, set up as a hosted project is, and runs
supabase/migrations on it as the Supabase CLI does, statement by statement, while a reader and a
writer do what the app does. Prints what it cost; bench/README.md says how to read that. Leaves
nothing behind.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from bench.app_at_work import AppAtWork
from bench.statements import Cost, run_migrations
from portal_service.commands.migrate import BEFORE_A_BIG_TABLE
from sandbox.postgres import Postgres

# As a small hosted project, so that a log is written and kept. No settings of the tests.
SERVER = {"shared_buffers": "256MB", "wal_level": "replica", "max_wal_size": "4GB", "jit": "off",
          "autovacuum": "off"}  # fmt: skip

# The tutorial's, with ids of the vendors' lengths.
TABLE = """
create table subscriptions (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null unique references users (id) on delete cascade,
    stripe_customer_id text not null unique,
    stripe_subscription_id text unique,
    status text not null default 'active',
    plan text not null default 'free',
    current_period_end timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create table users (
    id uuid primary key default gen_random_uuid(), clerk_id text unique not null
)
"""
ROWS = """
insert into users (clerk_id) select 'user_' || substr(md5(n::text), 1, 27)
from generate_series(1, {rows}) n;
insert into subscriptions (user_id, stripe_customer_id, stripe_subscription_id, plan)
select id, 'cus_' || substr(md5(clerk_id), 1, 14), 'sub_' || substr(md5(clerk_id), 1, 24), 'pro'
from users
"""
# One row's ids, which the questions below are about.
SOMEBODY = """
select u.id::text, u.clerk_id, s.stripe_customer_id, s.stripe_subscription_id
from users u join subscriptions s on s.user_id = u.id order by u.clerk_id offset {rows} / 2 limit 1
"""
# The app's own, of the tutorial.
OF_THE_APP = {
    "the tutorial's getSubscription": "select * from subscriptions where user_id = '{user}'",
    "a user with their subscriptions": """
        select u.id, (select json_agg(s.status) from subscriptions s where s.user_id = u.id)
        from users u where u.clerk_id = '{clerk}'""",
    "the tutorial's webhook": """
        update subscriptions set status = 'past_due' where stripe_customer_id = '{customer}'""",
    "a user is deleted": "delete from users where id = '{user}'",
}
# The service's.
OF_THE_SERVICE = {
    "billing_account": "select billing_account('{clerk}', true)",
    "upsert_subscription, fast path": """
        select * from upsert_subscription('{{"stripe_subscription_id": "{subscription}",
        "stripe_customer_id": "{customer}", "status": "active", "as_of": "2030-01-01T00:00:00Z"}}')
    """,
    "upsert_subscription, by revision": """
        select * from upsert_subscription('{{"stripe_subscription_id": "{subscription}",
        "stripe_customer_id": "{customer}", "status": "active", "as_of": "2030-01-01T00:00:00Z"}}',
        null, (select revision from subscriptions
               where stripe_subscription_id = '{subscription}'))""",
    "upsert_subscription, insert": """
        select * from upsert_subscription('{{"stripe_subscription_id": "sub_new",
        "stripe_customer_id": "{customer}", "status": "active", "as_of": "2030-01-01T00:00:00Z"}}',
        null, 0)""",
}
LONGEST = "900s"  # of any single statement: the measurement ends


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="how big the table is")
    rows = parser.parse_args().rows
    sys.stdout.reconfigure(line_buffering=True)  # into a file, too, each run is seen when it ends
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        Postgres(Path(folder), SERVER) as server,
    ):
        measure(server, rows)


def measure(server: Postgres, rows: int) -> None:
    original = server.create_database("original")
    with connected(original) as connection:
        for statement in TABLE.split(";")[::-1] + ROWS.format(rows=rows).split(";"):
            connection.execute(statement)
        connection.execute("vacuum analyze")
        print(f"{connection.execute('select version()').fetchone()[0][:16]}, {rows:,} rows")
        somebody = connection.execute(SOMEBODY.format(rows=rows)).fetchone()
        before = asked(connection, OF_THE_APP, somebody)

    plain = copied(server, original, "plain")
    show("first run", plain, somebody)
    show("second run", plain, somebody)
    prepared = copied(server, original, "prepared")
    with AppAtWork(prepared, somebody) as app, connected(prepared) as connection:
        cost = Cost.of(connection, lambda: [connection.execute(s) for s in BEFORE_A_BIG_TABLE])
    print(f"\nindexes made concurrently before: {cost}\n  {app.waits}")
    show("first run after that", prepared, somebody)
    with connected(plain) as connection:
        connection.execute("vacuum analyze")
        after = asked(connection, OF_THE_APP, somebody)
        service = asked(connection, OF_THE_SERVICE, somebody)
    print("\nbuffers (milliseconds), warm            before            after")
    for name, cost_after in (after | service).items():
        print(f"  {name:<34}{before.get(name, '-'):>16}{cost_after:>17}")


def show(title: str, url: str, somebody: tuple[str, ...]) -> None:
    """Run the migrations and print what they cost, and the slowest statements by name."""
    with connected(url) as connection:
        place = "select pg_relation_filenode('subscriptions')"
        was_at = connection.execute(place).fetchone()
        with AppAtWork(url, somebody) as app:
            run = run_migrations(connection)
        rewritten = connection.execute(place).fetchone() != was_at
    print(f"\n{title}: {run.cost}{', the table was rewritten' if rewritten else ''}")
    print(f"  {app.waits}")
    for seconds, statement in run.slowest:
        print(f"  {seconds * 1000:8.0f} ms  {statement}")


def asked(
    connection: psycopg.Connection, queries: dict[str, str], somebody: tuple[str, ...]
) -> dict[str, str]:
    """What each query costs when it is asked for the third time; what it changes is undone."""
    names = dict(zip(("user", "clerk", "customer", "subscription"), somebody, strict=True))
    found = {}
    for name, query in queries.items():
        explain = f"explain (analyze, buffers, timing off, format json) {query.format(**names)}"
        for _ in range(3):
            with connection.transaction(force_rollback=True):
                plan = connection.execute(explain).fetchone()[0][0]
        top = plan["Plan"]
        buffers = top["Shared Hit Blocks"] + top["Shared Read Blocks"]
        found[name] = f"{buffers:,} ({plan['Execution Time']:.1f})"
    return found


def copied(server: Postgres, original: str, name: str) -> str:
    with connected(server.url) as connection:
        connection.execute(f"create database {name} template original strategy file_copy")
    return original.removesuffix("original") + name


@contextmanager
def connected(url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(url, autocommit=True, prepare_threshold=None) as connection:
        connection.execute(f"set statement_timeout = '{LONGEST}'")
        yield connection


if __name__ == "__main__":
    main()
