"""A `subscriptions` table older than the migration keeps what it has and works as a new one."""

import psycopg
import pytest
from schema_database import USERS

# As in the Next.js tutorial.
TUTORIAL = (
    USERS
    + """;
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
    insert into users (clerk_id) values ('user_ann'), ('user_bob');
    insert into subscriptions (user_id, stripe_customer_id, stripe_subscription_id, plan)
        select id, 'cus_' || clerk_id, case clerk_id when 'user_ann' then 'sub_ann' end, 'pro'
        from users;
    """
)


def table(columns, more=""):
    """One that is about billing, as its last column says."""
    return f"{USERS}; create table subscriptions ({columns}, cancel_at timestamptz); {more}"


def works(db, subscription, clerk="user_ann"):
    """Three subscriptions of one customer go through every path; the rows as they are then."""
    for n in (1, 2, 3):
        each = subscription | {"stripe_subscription_id": f"new_{n}"}
        first = db.write(each, clerk=clerk)
        second = db.write(each, first["revision"])
        assert db.write(each | {"as_of": "2026-12-01T00:00:00Z", "plan": None}, None)
        assert db.write(each, first["revision"]) is None
        assert db.write(each, 0) is None
        assert second["revision"] > first["revision"] > 0
    return [db.row(f"new_{n}") for n in (1, 2, 3)]


def test_the_tutorials_table_keeps_its_rows_and_works(make, subscription):
    db = make(TUTORIAL)
    before = {row["stripe_subscription_id"]: row for row in db.owner("select * from subscriptions")}
    said = db.migrate()
    assert "Dropped the unique subscriptions_user_id_key, which was on (user_id)" in said
    assert "Dropped the unique subscriptions_stripe_customer_id_key" in said
    for name in ("user_id", "stripe_customer_id", "status", "plan", "current_period_end"):
        assert f"subscriptions.{name} may be null now" in said
    assert "already exists" not in said

    after = {row["stripe_subscription_id"]: row for row in db.owner("select * from subscriptions")}
    for key, row in before.items():
        assert row.items() <= after[key].items()
        assert after[key]["as_of"] is None
    assert {row["revision"] for row in after.values()} == {1}

    ann, bob = db.account("user_ann"), db.account("user_bob", livemode=True)
    assert [row["stripe_subscription_id"] for row in ann["subscriptions"]] == ["sub_ann"]
    assert [row["stripe_customer_id"] for row in bob["subscriptions"]] == ["cus_user_bob"]
    assert bob["subscriptions"][0]["stripe_subscription_id"] is None

    rows = works(db, subscription | {"stripe_customer_id": "cus_user_ann"}, clerk=None)
    assert {str(row["user_id"]) for row in rows} == {ann["user_id"]}
    assert min(row["revision"] for row in rows) > 1

    old = db.row("sub_ann")
    moved = subscription | {"stripe_subscription_id": "sub_ann", "as_of": "2030-01-01T00:00:00Z"}
    assert db.write(moved, None) is None  # its moment is unknown: ask Stripe
    assert db.write(moved, old["revision"])["user_id"] == old["user_id"]


def test_an_existing_table_can_be_migrated_again(make, subscription):
    db = make(TUTORIAL)
    db.migrate()
    rows = works(db, subscription)
    assert "Dropped" not in db.migrate()
    assert [db.row(row["stripe_subscription_id"]) for row in rows] == rows
    before = db.owner("select max(revision) as it from subscriptions")[0]["it"]
    assert db.write(subscription)["revision"] > before


@pytest.mark.parametrize(
    ("user_id", "users_id"),
    [
        ("uuid", "uuid primary key default gen_random_uuid()"),
        ("text", "uuid primary key default gen_random_uuid()"),
        ("text", "text primary key default 'u' || gen_random_uuid()"),
        ("varchar(40)", "uuid primary key default gen_random_uuid()"),
        ("bigint", "bigint primary key generated always as identity"),
        ("integer", "serial primary key"),
    ],
)
def test_user_id_keeps_its_type_and_links(make, subscription, user_id, users_id):
    db = make(
        f"create table users (id {users_id}, clerk_id text unique);"
        f"create table subscriptions (user_id {user_id}, stripe_subscription_id text unique)"
    )
    assert "your users by public.users.clerk_id: user_id will be public.users.id (" in db.migrate()
    type_of = "select format_type(atttypid, -1) as it from pg_attribute where attname = 'user_id'"
    kept = db.owner(f"{type_of} and attrelid = 'subscriptions'::regclass")[0]["it"]
    assert kept == user_id.replace("varchar(40)", "character varying")

    db.write(subscription | {"stripe_subscription_id": "unclaimed"})
    ann = db.user("user_ann")
    rows = [*works(db, subscription), db.row("unclaimed")]
    assert {str(row["user_id"]) for row in rows} == {ann}
    assert {str(row["user_id"]) for row in db.account("user_ann")["subscriptions"]} == {ann}
    assert db.account("user_ann")["user_id"] == ann
    with db.connect("authenticated", sub="user_ann") as reader:
        assert len(reader.execute("select from subscriptions").fetchall()) == 4


@pytest.mark.parametrize(
    ("columns", "name"),
    [
        ("user_id uuid unique", "unique subscriptions_user_id_key"),
        ("user_id uuid primary key", "primary key subscriptions_pkey"),
        ("user_id uuid, stripe_customer_id text unique", "subscriptions_stripe_customer_id_key"),
        ("user_id uuid, stripe_customer_id text primary key", "primary key subscriptions_pkey"),
        (
            "user_id uuid, stripe_customer_id text, unique (user_id, stripe_customer_id)",
            "unique subscriptions_user_id_stripe_customer_id_key",
        ),
        ("user_id uuid, status text, unique (status, user_id)", "unique subscriptions_status"),
        (
            "user_id uuid, stripe_subscription_id text,"
            "primary key (user_id, stripe_subscription_id)",
            "primary key subscriptions_pkey",
        ),
    ],
)
def test_what_keeps_a_second_subscription_out_is_dropped_and_said(
    make, subscription, columns, name
):
    db = make(table(columns))
    said = db.migrate()
    assert "Dropped the" in said
    assert name in said
    assert "Dropped" not in db.migrate()
    ann = db.user("user_ann")
    assert {str(row["user_id"]) for row in works(db, subscription)} == {ann}


@pytest.mark.parametrize(
    "index",
    [
        "create unique index one_each on subscriptions (user_id)",
        "create unique index one_each on subscriptions ((user_id::text))",
        "create unique index one_each on subscriptions (user_id) where status = 'active'",
    ],
)
def test_a_bare_unique_index_is_dropped_too(make, subscription, index):
    db = make(table("user_id uuid, status text", index))
    assert "Dropped the unique one_each" in db.migrate()
    db.user("user_ann")
    works(db, subscription)


def test_a_unique_that_is_about_the_teams_own_is_named_and_kept(make):
    db = make(table("user_id uuid, provider text default 'stripe', unique (user_id, provider)"))
    said = db.migrate()
    assert "subscriptions_user_id_provider_key may refuse the second" in said
    assert "Dropped" not in said


def test_a_unique_that_does_no_harm_is_kept(make, subscription):
    db = make(
        table(
            "id serial primary key, slug text unique, user_id uuid,"
            "stripe_subscription_id text unique, unique (user_id, stripe_subscription_id)"
        )
    )
    said = db.migrate()
    assert "unique" not in said
    assert "primary key" not in said
    db.user("user_ann")
    works(db, subscription)


def test_updates_are_published_also_without_a_primary_key(make, subscription):
    """Supabase's Realtime is a publication, and Postgres refuses its updates without a key."""
    db = make(table("user_id uuid primary key", "create publication live for table subscriptions"))
    assert "has the primary key row_id now" in db.migrate()
    works(db, subscription)


def test_old_rows_without_a_subscription_stay_and_count_for_the_portal(make, subscription):
    db = make(table("user_id uuid, stripe_customer_id text"))
    ann = db.user("user_ann")
    db.owner("insert into subscriptions values (%s, 'cus_1'), (%s, 'cus_1')", ann, ann)
    db.migrate()
    rows = db.account("user_ann")["subscriptions"]
    assert [(r["stripe_customer_id"], r["stripe_subscription_id"]) for r in rows] == [
        ("cus_1", None)
    ] * 2
    assert db.write(subscription)["user_id"].hex == ann.replace("-", "")
    assert len(db.account("user_ann")["subscriptions"]) == 3


def test_an_unclaimed_old_row_without_a_subscription_is_claimed(make, subscription):
    db = make(table("user_id uuid, stripe_customer_id text"))
    db.owner("insert into subscriptions values (null, 'cus_1')")
    db.migrate()
    ann = db.user("user_ann")
    db.write(subscription, clerk="user_ann")
    assert {str(row["user_id"]) for row in db.owner("select user_id from subscriptions")} == {ann}


def test_duplicates_stop_the_migration_and_are_named(make):
    db = make(table("id serial primary key, stripe_subscription_id text"))
    db.owner(
        "insert into subscriptions (stripe_subscription_id) values"
        "('sub_a'), ('sub_b'), ('sub_a'), ('sub_c'), ('sub_c'), ('sub_c'), (null), (null)"
    )
    with pytest.raises(psycopg.errors.RaiseException) as stopped:
        db.migrate()
    assert "'sub_a' (2 rows), 'sub_c' (3 rows)" in str(stopped.value)
    assert "sub_b" not in str(stopped.value)
    # As if it had never run.
    assert "delete from public.subscriptions a using" in str(stopped.value)
    assert db.owner("select to_regclass('billing_customers') as it") == [{"it": None}]
    assert len(db.owner("select * from subscriptions")[0]) == 3

    db.owner("delete from subscriptions where id > 2 and stripe_subscription_id is not null")
    db.migrate()


@pytest.mark.parametrize(
    "index",
    [
        "",
        "create index on subscriptions (stripe_subscription_id)",
        "create unique index subscriptions_stripe_subscription_id_key on subscriptions"
        " (stripe_subscription_id) where status <> 'canceled'",
        "alter table subscriptions add unique (stripe_subscription_id) deferrable",
        "alter table subscriptions add primary key (stripe_subscription_id) deferrable",
        "create unique index on subscriptions (stripe_subscription_id, status)",
        "create unique index on subscriptions (lower(stripe_subscription_id))",
    ],
)
def test_a_whole_unique_index_on_the_subscription_is_made(make, subscription, index):
    db = make(table("user_id uuid, stripe_subscription_id text, status text", index))
    db.migrate()
    works(db, subscription)
    count = "select count(*) as it from pg_indexes where tablename = 'subscriptions'"
    before = db.owner(count)
    db.migrate()
    assert db.owner(count) == before


def test_the_teams_columns_defaults_and_foreign_keys_survive(make, subscription):
    db = make(
        table(
            "id text primary key default 'x' || gen_random_uuid(), note text not null default 'hi',"
            "user_id uuid references users (id) on delete set null,"
            "stripe_subscription_id text not null unique, plan text default 'free',"
            "created_at timestamptz default '2020-01-01'",
            "create table notes (of text references subscriptions (id));"
            "create view mine as select * from subscriptions",
        )
    )
    ann = db.user("user_ann")
    db.migrate()
    row = works(db, subscription)[0]
    assert row["note"] == "hi"
    assert row["id"].startswith("x")
    db.owner("insert into notes values (%s)", row["id"])
    db.owner("insert into subscriptions (stripe_subscription_id) values ('by_hand')")
    by_hand = db.row("by_hand")
    assert (by_hand["plan"], by_hand["created_at"].year) == ("free", 2020)
    with pytest.raises(psycopg.errors.NotNullViolation):
        db.owner("insert into subscriptions (plan) values ('pro')")
    db.owner("delete from users where id::text = %s", ann)
    assert db.row("new_1")["user_id"] is None


def test_own_columns_may_have_any_name(make, subscription):
    names = "said", "written", "content", "owner", "customer", "app_user", "unclaimed", "typed"
    names += "subscription", "named", "expected_revision", "upsert_subscription", "item", "id"
    names += (
        "names",
        "one",
        "told",
        "way",
        "word",
        "words",
        "hurdles",
        "state",
        "rule",
        "subscriptions",
    )
    own = ", ".join(f"{name} text default 'x'" for name in names)
    db = make(table(f"user_id uuid, {own}"))
    db.migrate()
    ann = db.user("user_ann")
    assert {str(row["user_id"]) for row in works(db, subscription)} == {ann}
    assert len(db.account("user_ann")["subscriptions"]) == 3


def test_a_deleted_user_takes_its_rows_along_where_the_team_wants_so(make, subscription):
    db = make(table("user_id uuid references users (id) on delete cascade"))
    assert "foreign key" not in db.migrate().lower()
    db.user("user_ann")
    works(db, subscription)
    db.owner("delete from users")
    assert db.owner("select * from subscriptions") == []


@pytest.mark.parametrize("rule", ["", "on delete restrict"])
def test_a_foreign_key_that_keeps_users_from_being_deleted_is_named(make, rule):
    db = make(table(f"user_id uuid references users (id) {rule}"))
    for _ in range(2):
        assert "The foreign key subscriptions_user_id_fkey keeps your app from deleting" in (
            db.migrate()
        )


def test_a_serial_id_can_be_given_by_the_service(make, subscription):
    db = make(table("id serial primary key, user_id uuid"))
    db.migrate()
    ids = [row["id"] for row in works(db, subscription)]
    assert ids == sorted(set(ids))


def test_an_id_from_a_sequence_that_the_table_only_uses_can_be_given_too(make, subscription):
    db = make("create sequence ids;" + table("id bigint primary key default nextval('ids')"))
    db.migrate()
    ids = [row["id"] for row in works(db, subscription)]
    assert ids == sorted(set(ids))


def test_an_enum_that_lacks_values_of_stripe_is_named_and_works_with_those_it_has(
    make, subscription
):
    db = make(
        "create type state as enum ('active', 'canceled', 'past_due');"
        "create type tier as enum ('free', 'pro');"
        + table("user_id uuid, status state not null default 'active', plan tier")
    )
    said = db.migrate()
    assert (
        "The type state refuses trialing, unpaid, incomplete, incomplete_expired, paused"
        " in subscriptions.status" in said
    )
    assert "alter type state add value if not exists 'paused';" in said
    assert "The type tier refuses any plan of STRIPE_PLANS in subscriptions.plan" in said
    works(db, subscription)
    with pytest.raises(psycopg.errors.InvalidTextRepresentation):
        db.write(subscription | {"status": "trialing"})


def test_an_enum_that_has_them_all_is_not_worth_a_word(make, subscription):
    db = make(
        "create type state as enum ('active', 'trialing', 'past_due', 'unpaid', 'canceled',"
        "'incomplete', 'incomplete_expired', 'paused');" + table("status state")
    )
    assert "state" not in db.migrate()
    works(db, subscription)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (
            "status text check (status in ('active', 'trialing', 'past_due', 'canceled'))",
            "subscriptions_status_check refuses unpaid, incomplete, incomplete_expired, paused in",
        ),
        (
            "status varchar(20) constraint known check (status in ('active', 'canceled'))",
            "The constraint known refuses trialing, past_due, unpaid, incomplete, ",
        ),
        (
            "status text, ended_at date, check (status <> 'canceled' or ended_at is not null)",
            "subscriptions_check refuses canceled in subscriptions.status",
        ),
        (
            "plan text check (plan in ('free', 'pro'))",
            "subscriptions_plan_check refuses any plan of STRIPE_PLANS in subscriptions.plan",
        ),
        (
            "plan text check (plan is not null)",
            "subscriptions_plan_check refuses null in subscriptions.plan",
        ),
    ],
)
def test_a_check_that_refuses_values_of_stripe_is_named(make, columns, words):
    db = make(table(columns))
    for _ in range(2):
        assert words in db.migrate()


@pytest.mark.parametrize(
    "columns",
    ["status text check (status <> '')", "status text check (length(status) < 30)", "plan text"],
)
def test_a_check_that_refuses_nothing_is_not_worth_a_word(make, columns):
    assert "refuses" not in make(table(columns)).migrate()


def test_a_check_that_fails_by_itself_does_not_stop_the_migration(make):
    db = make(
        "create function is_known(text) returns boolean language plpgsql as"
        " $$ begin if $1 <> 'active' then raise 'unknown'; end if; return true; end $$;"
        + table("status text constraint known check (is_known(status))")
    )
    assert "refuses trialing, past_due" in db.migrate()


def test_a_domain_that_refuses_values_is_named(make):
    db = make(
        "create domain state as text check (value in ('active', 'canceled'));"
        + table("status state")
    )
    assert "The constraint state_check refuses trialing, past_due" in db.migrate()


def test_an_own_column_that_nobody_fills_stops_the_migration(make, subscription):
    db = make(table("id text primary key, user_id uuid"))
    with pytest.raises(psycopg.errors.RaiseException) as stopped:
        db.migrate()
    assert "id is your own, not null and without a default" in str(stopped.value)
    db.owner("alter table subscriptions alter id set default gen_random_uuid()::text")
    db.migrate()
    works(db, subscription)


def test_times_without_a_zone_become_times_in_utc(make, subscription):
    db = make(table("current_period_end timestamp, updated_at timestamp default now()"))
    db.owner("insert into subscriptions (current_period_end) values ('2026-05-05 10:00')")
    said = db.migrate()
    assert "subscriptions.current_period_end is timestamp without time zone, and is read" in said
    row = db.owner("select current_period_end from subscriptions")[0]
    assert row["current_period_end"].isoformat() == "2026-05-05T10:00:00+00:00"
    assert "time zone" not in db.migrate()
    works(db, subscription)


def test_a_time_without_a_zone_that_a_view_uses_stays_and_is_said(make, subscription):
    db = make(
        table("current_period_end timestamp", "create view ends as select * from subscriptions")
    )
    assert "uses it, so it stays as it is" in db.migrate()
    works(db, subscription)
    assert db.row("new_1")["current_period_end"].isoformat() == "2026-12-01T00:00:00"


def test_a_type_that_cannot_hold_what_stripe_says_stops_the_migration(make):
    db = make(table("current_period_end bigint, cancel_at_period_end text"))
    with pytest.raises(psycopg.errors.RaiseException) as stopped:
        db.migrate()
    assert "current_period_end is bigint and has to be timestamptz" in str(stopped.value)
    assert "cancel_at_period_end is text and has to be boolean" in str(stopped.value)


@pytest.mark.parametrize("type_of", ["integer", "text", "bigint not null default 5"])
def test_a_revision_of_the_teams_own_stops_the_migration(make, type_of, subscription):
    db = make(table(f"revision {type_of}"))
    with pytest.raises(psycopg.errors.RaiseException) as stopped:
        db.migrate()
    assert "alter table public.subscriptions rename revision to own_revision;" in str(stopped.value)
    db.owner("alter table public.subscriptions rename revision to own_revision")
    db.migrate()
    works(db, subscription)


def test_a_sequence_that_is_behind_its_table_catches_up(make, subscription):
    db = make(USERS)
    db.migrate()
    row = db.write(subscription)
    db.owner("update subscriptions set revision = 1000; select 1")
    db.migrate()
    assert db.write(subscription, 1000)["revision"] > 1000 > row["revision"]


@pytest.mark.parametrize(
    ("user_id", "foreign_key"),
    [("uuid", ""), ("bigint", ""), ("varchar(3)", ""), ("text", "references people (name)")],
)
def test_an_id_that_does_not_fit_leaves_the_row_without_a_link(
    make, subscription, user_id, foreign_key
):
    db = make(
        "create table people (name text primary key);"
        f"create table subscriptions (user_id {user_id} {foreign_key}, cancel_at timestamptz)"
    )
    db.migrate()
    db.owner(
        "create or replace function billing_user_id(clerk_id text) returns text"
        " language sql stable as 'select clerk_id'"
    )
    db.store("unclaimed", stripe_customer_id="cus_1")
    assert {row["user_id"] for row in works(db, subscription)} == {None}
    assert db.row("unclaimed")["user_id"] is None
    assert db.row("unclaimed")["clerk_owner_id"] == "user_ann"
    assert len(db.account("user_ann")["subscriptions"]) == 4


def test_a_type_may_change_while_the_service_is_connected(make, subscription):
    db = make(table("user_id text, status text"))
    db.migrate()
    ann = db.user("user_ann")
    works(db, subscription)
    # The policy is in the way of a new type; running the migration again brings it back.
    db.owner(
        'drop policy "Signed-in users read their own subscriptions" on subscriptions;'
        "alter table subscriptions alter user_id type uuid using user_id::uuid,"
        " add note text default 'hi'"
    )
    db.migrate()
    row = db.write(subscription, clerk="user_ann")
    assert (str(row["user_id"]), row["note"]) == (ann, "hi")
