"""Row level security and grants as one table: who can do what to which of our rows, in Postgres and
over Supabase's API.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product
from typing import Any

import httpx
import jwt
import psycopg
import pytest
import real_postgrest
from schema_database import USERS, Database

from sandbox.faults import Faults
from sandbox.postgres import Postgres
from sandbox.supabase import api as supabase_api
from sandbox.web import Server

JWT_SECRET = "a secret of the tests, with 32 characters or more"

# Who asks, by the claims of the token.
WHO: dict[str, tuple[str, dict[str, Any]]] = {
    "anon": ("anon", {}),
    "a token without a subject": ("authenticated", {"azp": "http://localhost"}),
    "a token with an empty subject": ("authenticated", {"sub": ""}),
    "a user of whom nothing is known": ("authenticated", {"sub": "user_eve"}),
    "another signed-in user": ("authenticated", {"sub": "user_bob"}),
    "the owner by user_id": ("authenticated", {"sub": "user_ann"}),
    "the owner by customer": ("authenticated", {"sub": "user_new"}),
    "the owner by both": ("authenticated", {"sub": "user_dan"}),
    "the owner by Clerk's id": ("authenticated", {"sub": "user_own"}),
    "a member of the organization": ("authenticated", {"sub": "user_eve", "o": {"id": "org_1"}}),
    "a member, in a token of version 2": (
        "authenticated",
        {"v": 2, "sub": "user_eve", "o": {"id": "org_1", "rol": "member"}},
    ),
    "a member, in an older token": ("authenticated", {"sub": "user_eve", "org_id": "org_1"}),
    "a member who reads their own too": (
        "authenticated",
        {"sub": "user_own", "o": {"id": "org_1"}},
    ),
    "a member of another organization": (
        "authenticated",
        {"v": 2, "sub": "user_eve", "o": {"id": "org_2", "rol": "admin"}},
    ),
    "a team's own claim org_id": ("authenticated", {"v": 2, "sub": "user_eve", "org_id": "org_1"}),
    "another one active than org_id says": (
        "authenticated",
        {"sub": "user_eve", "o": {"id": "org_2"}, "org_id": "org_1"},
    ),
    "a user in place of the organization": (
        "authenticated",
        {"sub": "user_eve", "o": {"id": "user_own"}},
    ),
    "a user in place of the older token's": (
        "authenticated",
        {"sub": "user_eve", "org_id": "user_own"},
    ),
    "a member of no organization": ("authenticated", {"sub": "user_eve", "o": {}, "org_id": ""}),
    "an organization that is no object": ("authenticated", {"sub": "user_eve", "o": "org_1"}),
    "the owner's user_id as a subject": ("authenticated", {"sub": "<ann's users.id>"}),
    "the owner's customer as a subject": ("authenticated", {"sub": "cus_ann"}),
    "the service role": ("service_role", {}),
}
ROWS = {"ann's", "new's", "dan's 1", "dan's 2", "bob's", "nobody's", "an empty one"}
# Rows that have an owner, of another user of the app or on the customer of another owner.
OWNED = {
    "owned, of ann's user": "user_own",
    "owned, of new's customer": "user_own",
    "org's": "org_1",
}
ROWS |= set(OWNED)
SEEN = dict.fromkeys(WHO, set[str]()) | {
    "another signed-in user": {"bob's"},
    "the owner by user_id": {"ann's", "owned, of ann's user"},
    "the owner by customer": {"new's"},
    "the owner by both": {"dan's 1", "dan's 2"},
    "the owner by Clerk's id": {"owned, of ann's user", "owned, of new's customer"},
    "a member of the organization": {"org's"},
    "a member, in a token of version 2": {"org's"},
    "a member, in an older token": {"org's"},
    "a member who reads their own too": {
        "org's",
        "owned, of ann's user",
        "owned, of new's customer",
    },
    "the service role": ROWS,
}
TABLES = {
    "subscriptions": "stripe_subscription_id",
    "billing_customers": "clerk_owner_id",
    "gone_customers": "stripe_customer_id",
}
HELD = {"billing_customers": {"user_new", "user_dan"}, "gone_customers": {"cus_new"}}
VERBS = {
    "select": "select {key} from {table}",
    "lock": "select {key} from {table} for update",
    "insert": "insert into {table} (livemode, {key}, stripe_customer_id)"
    " values (false, 'user_x', 'cus_x')",
    "update": "update {table} set stripe_customer_id = stripe_customer_id",
    "delete": "delete from {table}",
    "truncate": "truncate {table}",
}
INSERT = "insert into subscriptions (stripe_subscription_id, user_id) values ('mine', '{user_id}')"
INSERT_GONE = "insert into gone_customers (livemode, stripe_customer_id) values (false, 'cus_x')"
ANSWERED = {  # function: for whom; every other function, and for everybody else, is forbidden
    "billing_account": {"service_role"},
    "billing_user_id": {"service_role"},
    "link_customer": {"service_role"},
    "mark_customer": {"service_role"},
    "forget_owner": {"service_role"},
    "upsert_subscription": {"service_role"},
    "billing_notices": {"service_role"},
    "billing_trial_write": {"service_role"},
    "billing_open_doors": {"service_role"},
    "billing_hold_sync": {"service_role"},
    "billing_end_sync": {"service_role"},
    "billing_syncs": {"service_role"},
}
ARGUMENTS = {
    "text": "user_ann",
    "boolean": False,
    "bigint": 0,
    "integer": 0,
    "jsonb": {"stripe_subscription_id": "ann's", "status": "canceled"},
}


@pytest.fixture(scope="module")
def db(postgres: Postgres) -> Iterator[Database]:
    database = Database(postgres.create_database("rows_by_role"))
    database.owner(USERS)
    database.migrate()
    for name in ("ann", "bob", "dan"):
        user = database.user(f"user_{name}")
        if name != "dan":
            database.store(f"{name}'s", user_id=user, stripe_customer_id=f"cus_{name}")
        else:
            database.store("dan's 1", user_id=user, stripe_customer_id="cus_other", livemode=True)
    database.link("user_new", "cus_new")
    database.store("new's", stripe_customer_id="cus_new")
    database.link("user_dan", "cus_dan")
    database.store("dan's 2", stripe_customer_id="cus_dan")
    database.store("nobody's", stripe_customer_id="cus_nobody")
    ann = database.owner("select id::text from users where clerk_id = 'user_ann'")[0]["id"]
    for name, owner in OWNED.items():
        database.store(name, clerk_owner_id=owner)
    for name, column, value in (
        ("owned, of ann's user", "user_id", ann),
        ("owned, of new's customer", "stripe_customer_id", "cus_new"),
    ):
        database.owner(
            f"update subscriptions set {column} = %s where stripe_subscription_id = %s", value, name
        )
    database.service("select mark_customer('cus_new', false, true)")
    database.store("an empty one", user_id="", stripe_customer_id="")
    yield database
    database.close()


def claims_of(db: Database, who: str) -> dict[str, Any]:
    role, claims = WHO[who]
    if claims.get("sub") == "<ann's users.id>":
        claims = {"sub": ann(db)}
    return {"role": role, **claims}


def ann(db: Database) -> str:
    return str(db.owner("select id::text from users where clerk_id = 'user_ann'")[0]["id"])


def content(db: Database) -> Any:
    query = "select to_jsonb(s) as it from {} s order by 1"
    return [db.owner(query.format(table)) for table in (*TABLES, "users")]


def test_these_are_all_our_tables_and_functions(db: Database) -> None:
    """What the migration makes and this page does not know is not covered by it."""
    kinds = "('r', 'p', 'v', 'm', 'f')"
    made = db.owner(
        "select relname as it from pg_class where relnamespace = 'public'::regnamespace"
        f" and relkind in {kinds}"
    )
    assert {row["it"] for row in made} == {*TABLES, "users"}
    made = db.owner("select proname as it from pg_proc where pronamespace = 'public'::regnamespace")
    assert {row["it"] for row in made} == set(ANSWERED)


# In Postgres


@pytest.mark.parametrize("who", WHO)
def test_who_can_do_what(db: Database, who: str) -> None:
    before = content(db)
    wrong = []
    with db.connect(**claims_of(db, who)) as connection:
        for table, verb in product(TABLES, VERBS):
            expected = allowed_of(who, table, verb)
            statement = statement_of(db, table, verb)
            try:
                with connection.transaction(force_rollback=True):
                    found = connection.execute(statement)
                    seen = verb in ("select", "lock") and {r[TABLES[table]] for r in found}
            except psycopg.errors.InsufficientPrivilege:
                seen = None
            if seen != expected:
                wrong.append((table, verb, seen))
    assert wrong == []
    assert content(db) == before


def allowed_of(who: str, table: str, verb: str) -> set[str] | bool | None:
    """The rows that are seen, False where there are none to see, None where it is forbidden."""
    role = WHO[who][0]
    reads = role == "authenticated" and table == "subscriptions" and verb == "select"
    if role != "service_role" and not reads:
        return None
    if verb not in ("select", "lock"):
        return False
    return SEEN[who] if table == "subscriptions" else HELD[table]


def statement_of(db: Database, table: str, verb: str) -> str:
    if verb == "insert" and table == "subscriptions":
        return INSERT.format(user_id=ann(db))
    if verb == "insert" and table == "gone_customers":
        return INSERT_GONE
    return VERBS[verb].format(table=table, key=TABLES[table])


@pytest.mark.parametrize("role", ["anon", "authenticated", "service_role"])
def test_who_can_call_which_function(db: Database, role: str) -> None:
    allowed = db.owner(
        "select proname as name, bool_and(has_function_privilege(%s, oid, 'execute')) as every,"
        " bool_or(has_function_privilege(%s, oid, 'execute')) as one"
        " from pg_proc where pronamespace = 'public'::regnamespace group by proname",
        role, role,
    )  # fmt: skip
    found = {row["name"]: (row["every"], row["one"]) for row in allowed}
    assert found == {name: (role in roles,) * 2 for name, roles in ANSWERED.items()}


# Over HTTP: the stand-in for Supabase's API and, with --postgrest, the real PostgREST


@dataclass
class Api:
    url: str
    real: bool


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "api" in metafunc.fixturenames:
        real = metafunc.config.getoption("--postgrest", default=False)
        targets = ["postgrest"] if real and not real_postgrest.why_not() else []
        metafunc.parametrize("api", ["stand-in", *targets], indirect=True, scope="module")


@pytest.fixture(scope="module")
def api(request: pytest.FixtureRequest, db: Database) -> Iterator[Api]:
    with ExitStack() as stack:
        if request.param == "stand-in":
            app = supabase_api.create_app(db.url, JWT_SECRET, Faults())
            yield Api(stack.enter_context(Server(app)).url + "/rest/v1", real=False)
        else:
            yield Api(stack.enter_context(real_postgrest.serve(db.url, JWT_SECRET)), real=True)


def ask(api: Api, db: Database, who: str, method: str, path: str, **how: Any) -> httpx.Response:
    token = jwt.encode(claims_of(db, who), JWT_SECRET, algorithm="HS256")
    headers = {} if who == "anon" else {"Authorization": f"Bearer {token}"}
    return httpx.request(method, f"{api.url}/{path}", headers=headers, trust_env=False, **how)


def refusal(who: str) -> tuple[int, str]:
    return (401 if WHO[who][0] == "anon" else 403), "42501"


def said(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


@pytest.mark.parametrize("who", WHO)
def test_who_reads_which_rows_over_http(api: Api, db: Database, who: str) -> None:
    own = ask(api, db, who, "GET", "subscriptions?select=stripe_subscription_id")
    if who == "anon":
        assert said(own) == refusal(who)
    else:
        assert {row["stripe_subscription_id"] for row in own.json()} == SEEN[who]

    asked_for = ask(api, db, who, "GET", "subscriptions?stripe_customer_id=eq.cus_bob")
    if who != "anon":
        assert len(asked_for.json()) == len(SEEN[who] & {"bob's"})
    for table, held in HELD.items():
        customers = ask(api, db, who, "GET", table)
        if who == "the service role":
            assert len(customers.json()) == len(held)
        else:
            assert said(customers) == refusal(who)


OTHERS = [who for who in WHO if who != "the service role"]


@pytest.mark.parametrize("who", OTHERS)
def test_nobody_writes_over_http(api: Api, db: Database, who: str) -> None:
    before = content(db)
    body = {"stripe_customer_id": "cus_bob"}
    for table, (method, path) in product(
        TABLES,
        [
            ("POST", "{table}"),
            ("PATCH", "{table}?stripe_customer_id=eq.cus_ann"),
            ("DELETE", "{table}?stripe_customer_id=eq.cus_ann"),
            ("PUT", "{table}?{key}=eq.x"),
        ],
    ):
        row = body if method != "PUT" else body | {TABLES[table]: "x"}
        address = path.format(table=table, key=TABLES[table])
        answer = ask(api, db, who, method, address, json=row)
        if api.real and method != "PUT":
            assert said(answer) == refusal(who), (method, table)
        else:  # the stand-in refuses what the service never does
            assert answer.status_code in (400, 401, 403, 405), (method, table)
    assert content(db) == before


@pytest.mark.parametrize("who", OTHERS)
def test_who_calls_which_function_over_http(api: Api, db: Database, who: str) -> None:
    before = content(db)
    for function in ANSWERED:
        answer = ask(api, db, who, "POST", f"rpc/{function}", json=arguments(db, function))
        assert said(answer) == refusal(who), function
    assert content(db) == before


@pytest.mark.parametrize(
    "function", ["reader_owners", "reader_user_ids", "reader_customers", "claim"]
)
def test_what_policies_ask_can_not_be_called_over_http(
    api: Api, db: Database, function: str
) -> None:
    """Its schema is not served, whatever name the caller gives it."""
    for headers in ({}, {"Content-Profile": "billing_private"}):
        answer = httpx.post(
            f"{api.url}/rpc/{function}",
            json={},
            headers=headers | {"Authorization": f"Bearer {service_token()}"},
            trust_env=False,
        )
        assert answer.status_code in (400, 404, 406)


def service_token() -> str:
    return jwt.encode({"role": "service_role"}, JWT_SECRET, algorithm="HS256")


def arguments(db: Database, function: str) -> dict[str, Any]:
    """Each argument of the function, by its type; also those that have a default."""
    (found,) = db.owner(
        "select coalesce(proargnames[:pronargs], '{}') as names,"
        " array(select format_type(oid, null) from unnest(proargtypes) oid) as types"
        " from pg_proc where pronamespace = 'public'::regnamespace and proname = %s",
        function,
    )
    pairs = zip(found["names"], found["types"], strict=True)
    return {name: ARGUMENTS[kind] for name, kind in pairs}
