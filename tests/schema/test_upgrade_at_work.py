"""The upgrade of a table that an app is using: what waits for it, what it costs, and what is left
when it is killed.
"""

import json
from typing import Any

import psycopg
import pytest
from schema_database import Database
from test_existing_table import TUTORIAL, works

from bench.statements import split
from sandbox.postgres import MIGRATIONS, migrate

MANY = """
    insert into users (clerk_id) select 'user_' || n from generate_series(1, 5000) n;
    insert into subscriptions (user_id, stripe_customer_id, stripe_subscription_id, plan)
        select id, 'cus_' || clerk_id || 'x', 'sub_' || clerk_id, 'pro' from users
        where clerk_id ~ '\\d';
    analyze;
"""
FILES = sorted(MIGRATIONS.glob("*.sql"))

# All that a schema is, and all that the app's tables hold.
EVERYTHING = """
    select 'column', attrelid::regclass::text, attname, format_type(atttypid, atttypmod),
        attnotnull::text
    from pg_attribute join pg_class c on c.oid = attrelid
    where relnamespace::regnamespace::text in ('public', 'billing_private') and attnum > 0
    union all select 'relation', relname, relkind::text, relacl::text,
        reloptions::text || relrowsecurity
    from pg_class where relnamespace::regnamespace::text in ('public', 'billing_private')
    union all select 'constraint', conname, pg_get_constraintdef(oid), null, null
    from pg_constraint where connamespace::regnamespace::text in ('public', 'billing_private')
    union all select 'function', proname, prosrc, proacl::text, null
    from pg_proc where pronamespace::regnamespace::text in ('public', 'billing_private')
    union all select 'policy', polname, null, null, null from pg_policy
    union all select 'schema', nspname, null, null, null from pg_namespace where nspname !~ '^pg_'
    union all select 'row', to_jsonb(s)::text, null, null, null from subscriptions s
    order by 1, 2, 3, 4, 5
"""


def run(db: Database, text: str) -> None:
    with psycopg.connect(db.url, autocommit=True) as connection:
        connection.execute(text.encode())


def test_the_table_is_not_rewritten(make):
    db = make(TUTORIAL)
    file_of = "select pg_relation_filenode('subscriptions') as it"
    before = db.owner(file_of)
    db.migrate()
    assert db.owner(file_of) == before


def test_a_second_run_waits_for_nobody_and_nobody_for_it(make):
    """Neither for one who has read the table, nor for one who is writing to it."""
    db = make(TUTORIAL)
    db.migrate()
    with db.connect("service_role") as busy, busy.transaction():
        busy.execute("select count(*) from subscriptions")
        busy.execute(
            "update subscriptions set plan = 'team' where stripe_subscription_id = 'sub_ann'"
        )
        db.migrate()


@pytest.mark.parametrize("file", [0, 1], ids=["upgrade", "billing"])
def test_a_table_in_use_stops_it_soon_and_says_so(make, file):
    db = make(TUTORIAL)
    if file:
        run(db, FILES[0].read_text())
    before = db.owner(EVERYTHING)
    text = FILES[file].read_text()
    assert text.count("lock_timeout = '3s'") == 1
    with db.connect("postgres") as busy, busy.transaction():
        busy.execute(
            "update subscriptions set plan = 'team'" if file else "select from subscriptions"
        )
        with pytest.raises(psycopg.errors.LockNotAvailable) as stopped:
            run(db, text.replace("lock_timeout = '3s'", "lock_timeout = '20ms'"))
        assert file or "Nothing was changed: run this again" in str(stopped.value)
    if file:
        db.owner("update subscriptions set plan = 'pro'")
    assert db.owner(EVERYTHING) == before
    db.migrate()


@pytest.mark.parametrize("file", [0, 1], ids=["upgrade", "billing"])
def test_killed_at_any_moment_it_leaves_nothing_half_done(make, subscription, file):
    db = make(TUTORIAL)
    if file:
        run(db, FILES[0].read_text())
    before = db.owner(EVERYTHING)
    statements = split(FILES[file].read_text())
    last = next(n for n, text in enumerate(statements) if text.endswith("commit;"))
    for moment in range(2, last + 1):
        connection = psycopg.connect(db.url, autocommit=True)
        for statement in statements[:moment]:
            connection.execute(statement.encode())
        db.owner("select pg_terminate_backend(%s, 5000)", connection.info.backend_pid)
        connection.close()
    assert db.owner(EVERYTHING) == before
    db.migrate()
    works(db, subscription)


def test_indexes_that_were_made_before_are_used(make):
    db = make(TUTORIAL)
    for key in ("user_id", "(user_id::text)", "stripe_customer_id"):
        db.owner(f"create index concurrently on subscriptions ({key})")
    named = "select indexrelid::regclass::text as it from pg_index where indrelid = %s::regclass"
    before = {row["it"] for row in db.owner(named, "subscriptions")}
    db.migrate()
    after = {row["it"] for row in db.owner(named, "subscriptions")}
    dropped = {"subscriptions_user_id_key", "subscriptions_stripe_customer_id_key"}
    assert before - after == dropped
    assert after - before == {"subscriptions_clerk_owner_id_idx"}


def buffers(db: Database, query: str, *values: Any) -> int:
    found = db.owner(f"explain (analyze, buffers, format json) {query}", *values)[0]["QUERY PLAN"]
    plan = found[0]["Plan"]
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


def test_the_apps_own_queries_answer_as_before_and_cost_the_same(make):
    db = make(TUTORIAL)
    db.owner(MANY)
    user = db.owner("select id from users where clerk_id = 'user_77'")[0]["id"]
    asked = [
        ("select status, plan, current_period_end from subscriptions where user_id = %s", user),
        ("select plan from subscriptions where stripe_customer_id = %s", "cus_user_77x"),
        ("select plan from subscriptions where stripe_subscription_id = %s", "sub_user_77"),
        (
            "select clerk_id, plan from users u join subscriptions s on s.user_id = u.id"
            " where clerk_id = %s",
            "user_77",
        ),
    ]
    before = [(db.owner(*each), buffers(db, *each)) for each in asked]
    db.migrate()
    for each, (answer, cost) in zip(asked, before, strict=True):
        assert db.owner(*each) == answer
        assert buffers(db, *each) <= cost + 2, each


@pytest.mark.parametrize("tables", ["", TUTORIAL], ids=["new", "tutorial"])
def test_no_call_of_the_service_reads_the_whole_table(make, subscription, tables):
    """Each way through upsert_subscription finds its row by the key's index."""
    db = make(tables)
    db.migrate()
    db.owner(
        "insert into subscriptions"
        " (stripe_subscription_id, stripe_customer_id, clerk_owner_id, as_of)"
        " select 'sub_' || n, 'cus_' || n, 'user_' || n, '2020-01-01'"
        " from generate_series(1, 5000) n"
    )
    db.owner(
        "insert into billing_customers select 'user_' || n, false, 'cus_' || n"
        " from generate_series(1001, 5000) n;"
        "insert into gone_customers select 'cus_' || n, false from generate_series(1001, 5000) n"
    )
    db.owner("analyze")
    scans = (
        "select coalesce(sum(seq_scan), 0) as whole, coalesce(sum(idx_scan), 0) as by_index"
        " from pg_stat_xact_user_tables where relname in"
        " ('subscriptions', 'billing_customers', 'gone_customers')"
    )
    text = json.dumps(subscription | {"stripe_subscription_id": "sub_77"})
    revision = db.row("sub_77")["revision"]
    new = json.dumps(subscription | {"stripe_subscription_id": "sub_new"})
    calls = [
        ("select * from upsert_subscription(%s, 'user_x', null)", text),
        (f"select * from upsert_subscription(%s, 'user_x', {revision + 1})", text),
        ("select * from upsert_subscription(%s, 'user_x', 0)", new),
        ("select billing_account('user_77', false), %s", "x"),
        ("select link_customer('user_y', false, 'cus_y'), %s", "x"),
        ("select mark_customer('cus_y', false, true), %s", "x"),
        ("select forget_owner('user_77', false), %s", "x"),
    ]
    for statement, value in calls:
        with db.connect("service_role") as connection, connection.transaction():
            connection.execute("set local plan_cache_mode = force_generic_plan")
            connection.execute(statement, [value])
            found = connection.execute(scans).fetchone()
        assert found["whole"] == 0, statement
        assert found["by_index"] > 0 or "mark" in statement, statement


def test_the_service_role_alone_reads_the_notices(make):
    db = make(TUTORIAL)
    told = db.migrate()
    assert {row["notice"] for row in db.service("select * from billing_notices()")} == set(
        db.notices
    )
    assert "subscriptions_user_id_key" in told
    for role in ("anon", "authenticated"):
        with (
            db.connect(role, sub="user_ann") as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute("select * from billing_notices()")


def test_a_notice_goes_when_its_cause_does(make):
    db = make(TUTORIAL.replace("clerk_id text unique", "clerk_id text"))
    assert "has no index on clerk_id" in db.migrate()
    db.owner("create index on users (clerk_id)")
    migrate(db.url)
    notices = [row["notice"] for row in db.service("select * from billing_notices()")]
    assert not [notice for notice in notices if "has no index" in notice]
    assert [notice for notice in notices if "Dropped the unique" in notice]
