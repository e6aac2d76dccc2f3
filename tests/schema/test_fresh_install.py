"""What a project has after the migration, and where `billing_user_id` looks for its users."""

import psycopg
import pytest
from schema_database import USERS

from sandbox.postgres import MIGRATIONS


def columns(db, table):
    return {
        row["attname"]: (row["type"], row["attnotnull"])
        for row in db.owner(
            "select attname, format_type(atttypid, atttypmod) as type, attnotnull"
            " from pg_attribute where attrelid = %s::regclass and attnum > 0",
            table,
        )
    }


def test_a_new_project_has_the_columns_of_the_contract(make):
    db = make()
    db.migrate()
    times = ["current_period_end", "cancel_at", "canceled_at", "trial_end", "ended_at"]
    times += ["pause_resumes_at", "as_of"]
    texts = ["user_id", "stripe_customer_id", "status", "plan", "price_id", "product_id"]
    texts += ["collection_method", "pause_collection", "paused_reason", "clerk_owner_id"]
    assert columns(db, "subscriptions") == (
        dict.fromkeys(texts, ("text", False))
        | dict.fromkeys(times, ("timestamp with time zone", False))
        | {
            "stripe_subscription_id": ("text", True),
            "quantity": ("integer", False),
            "items": ("jsonb", False),
            "cancel_at_period_end": ("boolean", False),
            "livemode": ("boolean", False),
            "revision": ("bigint", True),
            "created_at": ("timestamp with time zone", True),
            "updated_at": ("timestamp with time zone", True),
        }
    )
    assert columns(db, "gone_customers") == {
        "stripe_customer_id": ("text", True),
        "livemode": ("boolean", True),
        "gone_at": ("timestamp with time zone", True),
    }
    assert columns(db, "billing_customers") == {
        "clerk_owner_id": ("text", True),
        "livemode": ("boolean", True),
        "stripe_customer_id": ("text", True),
    }


def test_running_it_twice_changes_nothing_and_says_so(make, subscription):
    db = make(USERS)
    first = db.migrate()
    assert "already exists" not in first
    assert "does not exist" not in first
    row = db.write(subscription, clerk="user_ann")
    everything = (
        "select 'index ' || indexdef as it from pg_indexes where schemaname = 'public'"
        " union all select 'policy ' || policyname || qual from pg_policies"
        " union all select 'constraint ' || conname || pg_get_constraintdef(oid)"
        "   from pg_constraint where connamespace = 'public'::regnamespace"
        " union all select 'function ' || pg_get_functiondef(oid) || proacl::text"
        "   from pg_proc where pronamespace in ('public'::regnamespace, 'billing_private'::regnamespace)"
        " union all select 'notice ' || n::text from billing_private.notices n"
        " union all select 'relation ' || relname || relacl::text"
        "   from pg_class where relnamespace = 'public'::regnamespace order by 1"
    )
    before = db.owner(everything)
    assert db.migrate() == first
    assert db.owner(everything) == before
    assert db.row() == row


def test_postgrest_is_told_to_read_the_schema_again(make):
    db = make()
    with psycopg.connect(db.url, autocommit=True) as listener:
        listener.execute("listen pgrst")
        db.migrate()
        told = next(listener.notifies(timeout=5, stop_after=1))
    assert told.payload == "reload schema"


@pytest.mark.parametrize(
    "query", ["user_id::text = 'x'", "stripe_customer_id = 'cus_1'", "clerk_owner_id = 'user_1'"]
)
@pytest.mark.parametrize("user_id", [None, "uuid", "bigint", "text"])
def test_every_lookup_has_an_index(make, query, user_id):
    db = make(
        f"create table subscriptions (user_id {user_id}, cancel_at timestamptz)" if user_id else ""
    )
    db.migrate()
    with psycopg.connect(db.url) as connection:
        connection.execute("set enable_seqscan = off")
        plan = connection.execute(f"explain select from subscriptions where {query}").fetchall()
    assert "Index" in str(plan)


def test_without_the_roles_of_supabase_it_stops_and_says_why(make):
    db = make()
    # Roles belong to the whole server, so the file is asked for one that nobody has.
    text = next(MIGRATIONS.glob("*_upgrade_subscriptions.sql")).read_text()
    with (
        psycopg.connect(db.url) as connection,
        pytest.raises(psycopg.errors.RaiseException, match="the role nobody_here is missing"),
    ):
        connection.execute(text.replace("'service_role']", "'nobody_here']").encode())


# Where the users are


def test_the_tutorials_users_are_found(make):
    db = make(USERS)
    assert "public.users.clerk_id: user_id will be public.users.id (uuid)" in db.migrate()
    ann = db.user("user_ann")
    assert db.account("user_ann")["user_id"] == ann
    assert db.account("user_bob")["user_id"] is None


@pytest.mark.parametrize(
    ("users", "said"),
    [
        ("", "There is no table public.users"),
        ("create table users (id uuid)", "has no columns id and clerk_id"),
        ("create table users (user_id uuid, clerk_id text)", "has no columns id and clerk_id"),
        ("create table users (id uuid, clerk_user_id text)", "has no columns id and clerk_id"),
    ],
)
def test_users_that_are_elsewhere_are_nobody_and_buy_all_the_same(make, subscription, users, said):
    db = make(users)
    assert said in db.migrate()
    assert db.write(subscription, clerk="user_ann")["user_id"] is None
    account = db.account("user_ann")
    assert (account["user_id"], account["stripe_customer_id"]) == (None, "cus_1")
    assert len(account["subscriptions"]) == 1


def test_users_that_come_later_are_found_without_running_it_again(make, subscription):
    db = make()
    db.migrate()
    db.write(subscription, clerk="user_ann")
    db.owner(USERS)
    ann = db.user("user_ann")
    assert db.write(subscription | {"as_of": "2026-12-01T00:00:00Z"}, None)["user_id"] == ann


@pytest.mark.parametrize(
    ("users", "clerk_id", "user_id"),
    [
        ("id bigint primary key, clerk_id text", "user_1", "5"),
        ("id text primary key, clerk_id varchar(40)", "user_1", "5"),
        ("id uuid primary key, clerk_id uuid", *["00000000-0000-0000-0000-000000000005"] * 2),
        ("id smallint, clerk_id bigint", "77", "5"),
    ],
)
def test_ids_are_compared_as_text_whatever_their_type(make, users, clerk_id, user_id):
    db = make(f"create table users ({users})")
    db.migrate()
    db.owner("insert into users (id, clerk_id) values (%s, %s)", user_id, clerk_id)
    assert db.account(clerk_id)["user_id"] == user_id
    assert db.account("' or true --")["user_id"] is None
    assert db.account("")["user_id"] is None


# An app that keys its data by Clerk's id, one with other names, and one that says another type.
OWN = {
    "select clerk_id": "user_ann",
    "select person from public.people where clerk = clerk_id": "ann",
    "select '00000000-0000-0000-0000-000000000001'": "00000000-0000-0000-0000-000000000001",
}
PEOPLE = (
    "create table people (person text, clerk text); insert into people values ('ann', 'user_ann')"
)


@pytest.mark.parametrize("body", OWN)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_function_of_the_teams_own_survives_and_is_used(make, subscription, body, when):
    db = make(PEOPLE)
    if when == "after":
        db.migrate()
    db.owner(
        "create or replace function billing_user_id(clerk_id text) returns text"
        f" language sql stable security definer as $$ {body} $$"
    )
    source = db.owner("select prosrc from pg_proc where proname = 'billing_user_id'")
    assert "billing_user_id(text) is your own and stays as it is." in db.migrate()
    assert db.owner("select prosrc from pg_proc where proname = 'billing_user_id'") == source
    assert db.write(subscription, clerk="user_ann")["user_id"] == OWN[body]
    assert db.account("user_ann")["user_id"] == OWN[body]
    with db.connect("authenticated", sub="user_ann") as reader:
        assert len(reader.execute("select from subscriptions").fetchall()) == 1


def test_a_function_of_the_teams_own_may_call_its_argument_and_its_result_what_it_likes(
    make, subscription
):
    db = make("create table subscriptions (user_id uuid, cancel_at timestamptz)")
    ann = "00000000-0000-0000-0000-000000000001"
    db.owner(
        "create function billing_user_id(whom text) returns uuid language plpgsql"
        f" as $$ begin if whom = 'user_ann' then return '{ann}'; end if; return null; end $$"
    )
    db.migrate()
    assert str(db.write(subscription, clerk="user_ann")["user_id"]) == ann
    assert db.account("user_ann")["user_id"] == ann
    with db.connect("authenticated", sub="user_ann") as reader:
        assert len(reader.execute("select from subscriptions").fetchall()) == 1


def test_a_function_with_unqualified_names_works_for_the_service_and_is_named(make, subscription):
    db = make(PEOPLE)
    db.owner(
        "create function billing_user_id(id text) returns text language sql security definer"
        " as 'select person from people where clerk = id'"
    )
    said = db.migrate()
    assert 'fails when called for authenticated: relation "people" does not exist' in said
    assert "service_role" not in said
    assert db.write(subscription, clerk="user_ann")["user_id"] == "ann"


def test_a_function_that_needs_the_callers_rights_is_named(make):
    db = make(PEOPLE)
    db.owner(
        "create function billing_user_id(id text) returns text language sql"
        " as 'select person from public.people where clerk = id'"
    )
    assert "fails when called for service_role: permission denied for table people" in db.migrate()


def test_the_service_role_needs_no_right_on_the_apps_users(make):
    db = make(USERS)
    db.migrate()
    ann = db.user("user_ann")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        db.service("select * from users")
    assert db.account("user_ann")["user_id"] == ann
