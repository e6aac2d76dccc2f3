"""What a team may expect after the upgrade of its own table: checks that hold for every shape.

Each check gives its findings as sentences; none means that all is well.
"""

import difflib
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psycopg
from advisor import advice
from project import Project, Refused, Trying, printed
from shape import Shape

STATUSES = ["active", "trialing", "past_due", "unpaid", "canceled", "incomplete"]
STATUSES += ["incomplete_expired", "paused"]

# With ids as long as Stripe's are.
PURCHASE: dict[str, Any] = {
    "stripe_subscription_id": "sub_1NewPurchase000000000001",
    "stripe_customer_id": "cus_NewPayer000001",
    "status": "active",
    "plan": "pro",
    "price_id": "price_1NewPrice00000000000001",
    "product_id": "prod_NewProduct0001",
    "quantity": 1,
    "items": [
        {
            "price_id": "price_1NewPrice00000000000001",
            "product_id": "prod_NewProduct0001",
            "quantity": 1,
            "current_period_end": "2026-12-01T00:00:00Z",
        }
    ],
    "collection_method": "charge_automatically",
    "current_period_end": "2026-12-01T00:00:00Z",
    "cancel_at": None,
    "canceled_at": None,
    "trial_end": None,
    "ended_at": None,
    "pause_resumes_at": None,
    "cancel_at_period_end": False,
    "pause_collection": None,
    "paused_reason": None,
    "livemode": True,
    "as_of": "2026-11-01T12:00:00Z",
}

# What Stripe may say beside that. A table need not take each, but the team is told which not.
VARIANTS: list[dict[str, Any]] = [
    *({"status": status} for status in STATUSES),
    {"plan": None},
    {"plan": "a plan that nobody listed"},
    {"price_id": None, "product_id": None, "quantity": None, "items": []},
    {"quantity": 30_000},
    {"current_period_end": None, "collection_method": None},
    {"cancel_at": "2027-01-01T00:00:00Z", "cancel_at_period_end": True},
    {"canceled_at": "2026-11-01T00:00:00Z", "ended_at": "2026-11-01T00:00:00Z"},
    {"trial_end": "2026-11-20T00:00:00Z", "pause_resumes_at": "2026-11-20T00:00:00Z"},
    {"pause_collection": "keep_as_draft", "paused_reason": "trial_end_without_payment_method"},
    {"livemode": False},
]

OUR_FUNCTIONS = "billing_user_id|billing_account|link_customer|mark_customer|upsert_subscription"
OUR_FUNCTIONS += "|billing_notices|forget_owner|billing_hold_sync|billing_end_sync|billing_syncs"
OUR_TABLES = ["subscriptions", "billing_customers", "gone_customers"]


class Before:
    """The project as it was."""

    def __init__(self, project: Project) -> None:
        self.dump = project.dump()
        self.rows = project.rows()
        self.advice = advice(project.superuser)
        self.indexed = indexed(project)
        self.answers = [answer(project, app.role, app.statement) for app in project.shape.app]
        for app, said in zip(project.shape.app, self.answers, strict=True):
            assert isinstance(said, list) and said, f"not a shape: {app.statement}: {said}"


def answer(project: Project, role: str, statement: str) -> list[Any] | str:
    """The app's rows, or how it fails."""
    with project.trying() as trying:
        try:
            rows = trying.act(role, statement, clerk="user_old" if role == "authenticated" else "")
        except psycopg.Error as error:
            return why(error)
    return [json.loads(json.dumps(row, default=str)) for row in rows]


def why(error: psycopg.Error) -> str:
    """Postgres' words, without the row and the stack that it adds."""
    detail = error.diag.message_detail or ""
    parts = [error.diag.message_primary or str(error), "" if "row contains" in detail else detail]
    return " ".join(part for part in parts if part)


# Refused ------------------------------------------------------------------------------------------


def left_alone(project: Project, before: Before) -> Iterator[str]:
    """A refusal leaves the database as it was, also where somebody runs the next file then."""
    with suppress(Refused):
        project.upgrade(after=1)
        yield "the first file is refused, and the next one runs all the same"
    if differs := difference(before.dump, project.dump()):
        yield f"it refused, and changed this: {differs}"


def difference(before: list[str], after: list[str]) -> str:
    lines = difflib.unified_diff(before, after, lineterm="", n=0)
    return "\n".join(line for line in lines if line[:2] not in ("--", "++", "@@"))[:2000]


def refused_for_good_reason(shape: Shape, refused: Refused) -> Iterator[str]:
    if shape.ends == "works":
        yield f"it should work, and is refused: {refused}"
    if shape.way_out == "schema":
        if not any(word in str(refused) for word in ("SUPABASE_SCHEMA", "--schema")):
            yield f"it does not say that a schema of our own is the way out: {refused}"
    elif not refused.hint and not printed(str(refused)):
        yield f"it names no way out: {refused}"


def let_out(project: Project, before: Before, refused: Refused) -> Iterator[str]:
    """Whoever runs what was printed, all of it, once, gets through, and the app goes on."""
    statements = printed(str(refused))
    if not statements:
        yield f"it prints no statement: {refused}"
        return
    try:
        project.run(statements)
    except psycopg.Error as error:
        yield f"what it prints fails: {why(error)} {statements}"
        return
    try:
        told = project.upgrade()
    except Refused as again:
        yield f"after what it printed ({statements}) it is refused again: {again}"
        return
    after = project.rows()
    for name, rows in before.rows.items():
        if len(after[name]) != len(rows):
            yield f"what it printed loses rows of {name}: {statements}"
    for check in (stores_purchases, recognizes_the_payer):
        yield from (f"after what it printed, {each}" for each in check(project, told))
    yield from answers_the_app(project, before, f"{refused}\n{told}")


def lives_beside(project: Project, before: Before) -> Iterator[str]:
    """In a schema of its own it works, and the team's tables are as they were."""
    try:
        told = project.upgrade("billing")
    except Refused as again:
        yield f"in a schema of its own it is refused too: {again}"
        return
    for check in (stores_purchases, recognizes_the_payer):
        yield from (f"in its own schema, {each}" for each in check(project, told))
    for name, rows in before.rows.items():
        if project.rows().get(name) != rows:
            yield f"beside a schema of our own, {name} is not what it was"


# Works --------------------------------------------------------------------------------------------


def tells_again(project: Project) -> Iterator[str]:
    """The SQL editor shows no notices, so the last statement does, and a function at any time."""
    with project.trying() as trying:
        try:
            rows = trying.act("service_role", "select * from billing_notices()")
        except psycopg.Error as error:
            yield f"billing_notices() can't be asked: {why(error)}"
            return
    later = "\n".join(str(value) for row in rows for value in row.values())
    for pattern in project.shape.tells:
        if not re.search(pattern, project.shown, re.I):
            yield f"no result shows {pattern!r}"
        if not re.search(pattern, later, re.I):
            yield f"billing_notices() does not tell {pattern!r}: {later}"


def keeps_the_teams(project: Project, before: Before) -> Iterator[str]:
    """Each row has what it had; a time may have got its zone."""
    after = project.rows()
    for name, rows in before.rows.items():
        left = list(after.get(name, []))
        for row in rows:
            same = [other for other in left if holds(other, row)]
            if not same:
                yield f"a row of {name} is not what it was: {row}, now {left}"
                break
            left.remove(same[0])


def holds(after: dict[str, Any], before: dict[str, Any]) -> bool:
    """A row has at least what it had; a time may have got its zone."""
    return all(
        name in after
        and (after[name] == value or (value and str(after[name]).startswith(str(value))))
        for name, value in before.items()
    )


def changes_nothing_again(project: Project) -> Iterator[str]:
    once = project.dump()
    try:
        project.upgrade()
    except Refused as refused:
        yield f"the second run is refused: {refused}"
        return
    if differs := difference(once, project.dump()):
        yield f"the second run changes this: {differs}"


def stores_purchases(project: Project, told: str) -> Iterator[str]:
    """Two subscriptions of a new owner, every path of the write function, Stripe's every word."""
    with project.trying() as trying:
        for n in (1, 2):
            one = PURCHASE | {"stripe_subscription_id": f"sub_1NewPurchase00000000000{n}"}
            try:
                yield from _goes_through_every_path(trying, one)
            except psycopg.Error as error:
                yield f"purchase {n} of an owner can't be stored: {why(error)}"
                return
        known = {
            row["stripe_subscription_id"]
            for account in trying.accounts("user_new")
            for row in account["subscriptions"]
        }
        if len(known) != 2:
            yield f"of two purchases the account has {known}"
        for variant in VARIANTS:
            yield from _is_stored_or_told(trying, variant, told)


def _goes_through_every_path(trying: Trying, one: dict[str, Any]) -> Iterator[str]:
    first = trying.write(one, "user_new", 0)
    if not first:
        yield f"{one['stripe_subscription_id']} was not inserted"
        return
    for name, value in one.items():
        stored = first.get(name)
        if hasattr(stored, "isoformat"):
            stored = stored.isoformat().replace("+00:00", "Z")
            stored += "Z" if "T" in stored and not stored.endswith("Z") else ""
        if stored != value:
            yield f"{name} was {value!r} and is stored as {first.get(name)!r}"
    if trying.write(one, "user_new", 0):
        yield "it was inserted twice"
    second = trying.write(one | {"status": "active"}, None, first["revision"])
    if not second or second["revision"] <= first["revision"]:
        yield "a write with the revision that was read does not get through"
    if trying.write(one, None, first["revision"]):
        yield "a write with an old revision gets through"
    if not trying.write(one | {"as_of": "2026-11-02T00:00:00Z"}, None, None):
        yield "a later snapshot does not get through"


def _is_stored_or_told(trying: Trying, variant: dict[str, Any], told: str) -> Iterator[str]:
    one = PURCHASE | variant | {"stripe_subscription_id": "sub_1Variant0000000000000001"}
    one |= {"stripe_customer_id": "cus_NewPayer000002"}
    try:
        with trying.undone():
            trying.write(one, "user_variant", 0)
    except psycopg.Error as error:
        diag = error.diag
        names = [diag.constraint_name, diag.column_name, diag.datatype_name]
        value = str(next(iter(variant.values())))
        if not (any(name and name in told for name in names) or value in told):
            yield f"nobody is told that {variant} can't be stored: {why(error)}"


def recognizes_the_payer(project: Project, told: str) -> Iterator[str]:
    """At once, or after the statements that were printed."""
    shape = project.shape
    if not shape.payer:
        return
    clerk, customer, *subscription = shape.payer
    with project.trying() as trying:
        if missing := _unknown(trying, clerk, customer, subscription):
            statements = printed(told)
            try:
                for statement in statements:
                    trying.act("owner", statement)
            except psycopg.Error as error:
                yield f"the old payer is unknown ({missing}), and the printed fails: {why(error)}"
                return
            if missing := _unknown(trying, clerk, customer, subscription):
                yield f"the old payer is unknown: {missing}; printed was {statements}"
                return
        for stranger in ("user_free", "user_admin", "user_nobody"):
            if not _unknown(trying, stranger, customer, []):
                yield f"{stranger} is taken for the old payer"
        yield from _carries_on(trying, clerk, customer, subscription)


def _unknown(trying: Trying, clerk: str, customer: str, subscription: list[str]) -> str | None:
    accounts = trying.accounts(clerk)
    if _known(accounts, customer) is None:
        return f"no customer in {accounts}"
    rows = [row for account in accounts for row in account["subscriptions"]]
    running = {row["stripe_subscription_id"] for row in rows if row["status"] == "active"}
    return None if running >= set(subscription) else f"no running subscription in {accounts}"


def _known(accounts: list[dict[str, Any]], pattern: str) -> str | None:
    customers = {account["stripe_customer_id"] for account in accounts}
    customers |= {row["stripe_customer_id"] for it in accounts for row in it["subscriptions"]}
    return next((it for it in customers if it and re.fullmatch(pattern, it)), None)


def _carries_on(trying: Trying, clerk: str, pattern: str, subscription: list[str]) -> Iterator[str]:
    """Stripe's next word about the old payer, and another subscription, find their way."""
    query = "select * from subscriptions where stripe_subscription_id = %s"
    word = PURCHASE | {"stripe_customer_id": _known(trying.accounts(clerk), pattern)}
    try:
        for id in subscription:
            was = trying.act("service_role", query, id)[0]
            now = trying.write(word | {"stripe_subscription_id": id}, None, was["revision"])
            if not now or now.get("user_id") != was.get("user_id"):
                yield f"Stripe's next word about {id} is not stored: {now}"
        second = trying.write(word, clerk, 0)
        if not second:
            yield "a second subscription of the old payer is not stored"
        elif subscription and str(second.get("user_id")) != str(was.get("user_id")):
            yield f"the old payer's second subscription is of {second.get('user_id')}"
    except psycopg.Error as error:
        yield f"Stripe's next word about the old payer can't be stored: {why(error)}"


def knows_the_buyer(project: Project, told: str) -> Iterator[str]:
    """A purchase of somebody whom the app knows gets the app's own id."""
    if not project.shape.buyer:
        return
    clerk, user_id = project.shape.buyer
    with project.trying() as trying:
        try:
            for statement in printed(told):
                trying.act("owner", statement)
            stored = trying.write(PURCHASE, clerk, 0)
        except psycopg.Error as error:
            yield f"a purchase of somebody known can't be stored: {why(error)}"
            return
    if not stored or str(stored["user_id"]) != user_id:
        yield f"a purchase of {user_id} is of {stored and stored['user_id']}"


def lets_read(project: Project, told: str) -> Iterator[str]:
    """A signed-in payer reads their own rows, a stranger none, but for a policy that was named."""
    shape = project.shape
    if not shape.payer:
        return
    statement, clerk = "select * from subscriptions", shape.payer[0]
    with project.trying() as trying:
        try:
            for each in printed(told):
                if shape.reader == "printed" or " policy" not in each:
                    trying.act("owner", each)
            has_rows = any(account["subscriptions"] for account in trying.accounts(clerk))
            rows = trying.act("authenticated", statement, clerk=clerk)
        except psycopg.Error as error:
            yield f"the old payer can't read: {why(error)}"
            return
        if has_rows and clerk.startswith("user_") and not rows:
            yield "the old payer reads nothing"
        rows = trying.act("authenticated", statement, clerk="user_nobody")
        policies = trying.act("owner", POLICIES)
        if rows and not any(row["polname"] in told for row in policies):
            yield "a stranger reads rows, and nobody is told"


POLICIES = "select polname from pg_policy where polrelid = 'subscriptions'::regclass"


def answers_the_app(project: Project, before: Before, told: str) -> Iterator[str]:
    for app, was in zip(project.shape.app, before.answers, strict=True):
        now = answer(project, app.role, app.statement)
        same = isinstance(now, list) and len(now) == len(was)
        if same and all(holds(new, old) for new, old in zip(now, was, strict=True)):
            continue
        if not app.told or not re.search(app.told, told, re.I):
            yield f"the app's statement answers {now}, not {was}: {app.statement}"


def is_guarded(project: Project, before: Before) -> Iterator[str]:
    """Rights, indexes, and what Supabase's advisor says."""
    for table in OUR_TABLES:
        with project.trying() as trying:
            for row in trying.act("owner", RIGHTS, table):
                yield f"{row['role']} may {row['may']} {table}"
    with project.trying() as trying:
        for row in trying.act("owner", CALLERS, f"^({OUR_FUNCTIONS})$"):
            yield f"{row['role']} may call {row['it']}"
    after = indexed(project)
    for name in sorted(
        ({key for key in before.indexed if not key.endswith(" alone")} | OUR_KEYS) - after
    ):
        yield f"no index finds a row by its {name}"
    for found in sorted(advice(project.superuser) - before.advice):
        yield f"the advisor says: {found}"


RIGHTS = """
select role, may
from unnest(array['anon', 'authenticated']) as role,
  unnest(array['select', 'insert', 'update', 'delete', 'truncate', 'references', 'trigger']) as may,
  to_regclass(%s) as it
where it is not null and not (role = 'authenticated' and may = 'select')
  and case when may in ('delete', 'truncate', 'trigger') then has_table_privilege(role, it, may)
      else has_any_column_privilege(role, it, may) end
"""

CALLERS = """
select role, p.oid::regprocedure::text as it
from unnest(array['anon', 'authenticated']) as role, pg_proc p
where p.proname ~ %s and p.pronamespace = 'public'::regnamespace
  and has_function_privilege(role, p.oid, 'execute')
"""

INDEXED = """
select distinct pg_get_indexdef(i.indexrelid, 1, true) as key,
  i.indisunique and i.indimmediate and i.indnkeyatts = 1 as alone
from pg_index i
where i.indrelid = to_regclass('subscriptions') and i.indisvalid and i.indpred is null
"""

# What the service and its policies look rows up by.
OUR_KEYS = {"stripe_subscription_id alone", "stripe_customer_id", "user_id or its text"}


def indexed(project: Project) -> set[str]:
    """The leading keys of whole indexes."""
    with project.trying() as trying:
        found = trying.act("owner", INDEXED)
    keys = {row["key"] for row in found}
    keys |= {f"{row['key']} alone" for row in found if row["alone"]}
    if any("user_id" in key for key in keys):
        keys.add("user_id or its text")
    return keys
