"""Nobody but the service role writes, and a signed-in user reads their own rows alone."""

import itertools

import psycopg
import pytest

CALLS = {
    "billing_user_id": "select billing_user_id('user_ann')",
    "billing_account": "select billing_account('user_ann', false)",
    "link_customer": "select link_customer('user_ann', false, 'cus_1')",
    "mark_customer": "select mark_customer('cus_1', false, true)",
    "forget_owner": "select forget_owner('user_ann', false)",
    "upsert_subscription": "select upsert_subscription('{}')",
    "billing_notices": "select billing_notices()",
    "billing_trial_write": "select billing_trial_write()",
    "billing_open_doors": "select billing_open_doors()",
    "billing_hold_sync": "select billing_hold_sync(false, 'run', 60)",
    "billing_end_sync": "select billing_end_sync(false, 'run', null)",
    "billing_syncs": "select billing_syncs(false)",
    "claim": "select billing_private.claim(null, null, null, null)",
    "reader_owners": "select billing_private.reader_owners()",
    "reader_user_ids": "select billing_private.reader_user_ids()",
    "reader_customers": "select billing_private.reader_customers()",
}
READERS = {"reader_owners", "reader_user_ids", "reader_customers"}
TABLES = ["subscriptions", "billing_customers", "gone_customers"]
OF_OURS = "in ('public'::regnamespace, 'billing_private'::regnamespace)"

WRITES = [
    "insert into {} (stripe_customer_id) values ('cus_1')",
    "update {} set stripe_customer_id = 'cus_2'",
    "delete from {}",
    "truncate {}",
    "create table t (x text references {} (stripe_customer_id))",
    "create trigger t before insert on {} execute function suppress_redundant_updates_trigger()",
]

OLD_TABLE = """
    create table subscriptions
      (id serial primary key, user_id text, cancel_at timestamptz, note text);
    grant all on subscriptions, subscriptions_id_seq to public, anon, authenticated;
    grant update (note) on subscriptions to anon;
"""


@pytest.fixture(params=["", OLD_TABLE], ids=["new", "old"])
def either(make, request):
    db = make(request.param)
    db.migrate()
    return db


def privileges(db, role, kind, name):
    every = {
        "table": "SELECT INSERT UPDATE DELETE TRUNCATE REFERENCES TRIGGER MAINTAIN",
        "any_column": "SELECT INSERT UPDATE REFERENCES",
        "sequence": "USAGE SELECT UPDATE",
    }[kind]
    if db.owner("show server_version_num")[0]["server_version_num"] < "170000":
        every = every.removesuffix(" MAINTAIN")
    return {
        privilege
        for privilege in every.split()
        if db.owner(f"select has_{kind}_privilege('{role}', '{name}', '{privilege}') as it")[0][
            "it"
        ]
    }


def sequences(db):
    found = "select relname from pg_class where relkind = 'S'"
    return [
        row["relname"] for row in db.owner(f"{found} and relnamespace = 'public'::regnamespace")
    ]


@pytest.mark.parametrize("role", ["anon", "authenticated"])
def test_the_public_roles_have_no_right_but_to_read_subscriptions(either, role):
    reads = {"SELECT"} if role == "authenticated" else set()
    assert privileges(either, role, "table", "subscriptions") == reads
    assert privileges(either, role, "any_column", "subscriptions") == reads
    private = [f"billing_private.{name}" for name in ("notices", "sync_leases", "syncs")]
    for table in ("billing_customers", "gone_customers", *private):
        assert privileges(either, role, "table", table) == set()
    for sequence in sequences(either):
        assert privileges(either, role, "sequence", sequence) == set()


def test_the_service_role_has_what_it_needs(either, subscription):
    for table in TABLES:
        assert privileges(either, "service_role", "table", table) >= {
            "SELECT",
            "INSERT",
            "UPDATE",
            "DELETE",
        }
    for sequence in sequences(either):
        assert privileges(either, "service_role", "sequence", sequence) >= {"USAGE", "SELECT"}
    either.link("user_ann", "cus_1")
    row = either.write(subscription)
    assert either.write(subscription, row["revision"])
    assert len(either.account("user_ann")["subscriptions"]) == 1


@pytest.mark.parametrize("role", ["anon", "authenticated"])
@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("table", TABLES)
def test_nobody_but_the_service_role_writes(db, role, write, table):
    with (
        db.connect(role, sub="user_ann") as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(write.format(table))


@pytest.mark.parametrize(
    ("role", "function"), list(itertools.product(["anon", "authenticated", "service_role"], CALLS))
)
def test_each_function_is_for_whom_it_is_named(db, role, function):
    allowed = (
        function in READERS
        if role == "authenticated"
        else role != "anon" and function not in READERS
    )
    with db.connect(role, sub="user_ann") as connection:
        if allowed and function != "upsert_subscription":
            connection.execute(CALLS[function])
            return
        refusal = (
            psycopg.errors.NullValueNotAllowed if allowed else psycopg.errors.InsufficientPrivilege
        )
        with pytest.raises(refusal):
            connection.execute(CALLS[function])


def test_the_list_of_functions_is_complete(db):
    made = db.owner(
        f"select proname, prosecdef, proconfig from pg_proc where pronamespace {OF_OURS}"
    )
    assert {row["proname"] for row in made} == set(CALLS)
    definers = {row["proname"]: row["proconfig"] for row in made if row["prosecdef"]}
    assert definers == dict.fromkeys(
        ["reader_user_ids", "reader_customers", "billing_user_id"], ['search_path=""']
    )


def read(db, role="authenticated", **claims):
    with db.connect(role, **claims) as reader:
        rows = reader.execute("select stripe_subscription_id as it from subscriptions").fetchall()
    return {row["it"] for row in rows}


@pytest.fixture
def rows(db, subscription):
    ann, bob = db.user("user_ann"), db.user("user_bob")
    db.store("anns", user_id=ann, livemode=True)
    db.store("bobs", user_id=bob, stripe_customer_id="cus_bob")
    db.store("nobodys", stripe_customer_id="cus_0")
    db.store("unclaimed", stripe_customer_id="cus_ann")
    db.link("user_ann", "cus_ann")
    db.store("empty", user_id="", stripe_customer_id="")
    return db


def test_a_signed_in_user_reads_their_own_rows_by_user_and_by_customer(rows):
    assert read(rows, sub="user_ann") == {"anns", "unclaimed"}
    assert read(rows, sub="user_bob") == {"bobs"}


@pytest.mark.parametrize("claims", [{"sub": "user_eve"}, {"sub": ""}, {"azp": "x"}, {}])
def test_nobody_else_reads_a_row(rows, claims):
    assert read(rows, **claims) == set()


def test_a_buyer_whom_the_app_does_not_know_yet_reads_by_customer(rows):
    rows.link("user_new", "cus_0")
    assert read(rows, sub="user_new") == {"nobodys"}


@pytest.mark.parametrize(
    ("claims", "organizations"),
    [
        ({"v": 2, "o": {"id": "org_1", "slg": "one", "rol": "member"}}, {"org's"}),
        ({"org_id": "org_1", "org_slug": "one", "org_role": "org:member"}, {"org's"}),
        ({"v": 2, "o": {"id": "org_2", "rol": "admin"}}, set()),
        ({"v": 2, "org_id": "org_1", "org_role": "org:admin"}, set()),
        ({"v": 2}, set()),
    ],
)
def test_a_member_reads_the_active_organizations_rows_beside_their_own(rows, claims, organizations):
    rows.store("org's", clerk_owner_id="org_1")
    assert read(rows, sub="user_ann", **claims) == {"anns", "unclaimed"} | organizations
    assert read(rows, sub="user_eve", **claims) == organizations


def test_members_read_by_the_apps_own_id_of_the_organization(make, subscription):
    db = make(
        "create table organizations (id serial primary key, clerk_org_id text);"
        "insert into organizations (clerk_org_id) values ('org_1'), ('org_2');"
        "create function billing_user_id(clerk_id text) returns text language sql stable"
        " security definer set search_path = '' as $$ select o.id::text from public.organizations o"
        " where o.clerk_org_id = billing_user_id.clerk_id $$"
    )
    db.migrate()
    db.store("org's", user_id="1", livemode=False)
    db.store("the other's", user_id="2", livemode=False)
    for claims in ({"v": 2, "o": {"id": "org_1"}}, {"org_id": "org_1"}):
        assert read(db, sub="user_eve", **claims) == {"org's"}
    assert read(db, sub="user_eve") == set()
    assert [row["stripe_subscription_id"] for row in db.account("org_1")["subscriptions"]] == [
        "org's"
    ]


def test_anon_reads_nothing(rows):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        read(rows, role="anon")
    with (
        rows.connect("authenticated", sub="user_ann") as reader,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        reader.execute("select * from billing_customers")


def test_own_rows_are_read_whatever_the_policies_of_the_apps_users_are(make, subscription):
    db = make(
        "create table users (id uuid primary key default gen_random_uuid(), clerk_id text);"
        "alter table users enable row level security; revoke all on users from authenticated"
    )
    db.migrate()
    db.user("user_ann")
    db.write(subscription, clerk="user_ann")
    db.owner("delete from billing_customers")
    assert read(db, sub="user_ann") == {"sub_1"}


def test_the_policy_asks_who_reads_once_for_each_query(rows):
    for n in range(100):
        rows.store(f"many_{n}", user_id="x")
    with rows.connect("authenticated", sub="user_ann") as reader:
        plan = reader.execute("explain select * from subscriptions").fetchall()
    text = "\n".join(line["QUERY PLAN"] for line in plan)
    assert "InitPlan" in text
    assert "SubPlan" not in text
    assert "reader_" not in text  # a filter that calls it would show it


def test_row_level_security_is_on(db):
    assert db.owner("select relname from pg_class where relrowsecurity order by relname") == [
        {"relname": "billing_customers"},
        {"relname": "gone_customers"},
        {"relname": "subscriptions"},
    ]
