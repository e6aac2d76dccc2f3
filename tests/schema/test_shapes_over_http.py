"""The shapes once more with --postgrest: the service's calls, and the app's own, over HTTP.

PostgREST reads the catalog in its own way: which function a call means, which tables embed which
and how, what a role sees. So what SQL says of a shape is asked of the real thing too.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import jwt
import pytest
import real_postgrest  # noqa: E402
from outcome import PURCHASE, holds
from project import Project, Refused
from shape import SHAPES, Shape

pytestmark = pytest.mark.long
JWT_SECRET = "a secret of the tests, with 32 characters or more"
OFF = pytest.mark.skip(reason="the real PostgREST is asked with --postgrest alone")

EMBEDS = """
select distinct relname as name from pg_constraint c join pg_class t on t.oid = c.confrelid
where c.contype = 'f' and c.conrelid = to_regclass('subscriptions')
  and t.relnamespace = 'public'::regnamespace and t.oid <> c.conrelid
"""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    asked = metafunc.config.getoption("--postgrest", default=False)
    off = [] if asked and not real_postgrest.why_not() else [OFF]
    shapes = SHAPES if not off else SHAPES[:1]
    metafunc.parametrize("shape", [pytest.param(it, marks=off, id=it.name) for it in shapes])


class Api:
    def __init__(self, url: str, http: httpx.Client) -> None:
        self._url = url
        self._http = http

    def ask(self, path: str, body: Any = None, **claims: str) -> Any:
        """The answer's JSON; a refusal as its code."""
        token = jwt.encode({"role": "service_role"} | claims, JWT_SECRET, algorithm="HS256")
        answer = self._http.request(
            "GET" if body is None else "POST",
            f"{self._url}/{path}",
            json=body,
            headers={"Authorization": f"Bearer {token}"},
        )
        said = answer.json() if answer.content else None
        return said["code"] if answer.is_error else said


@contextmanager
def served(project: Project) -> Iterator[Api]:
    with (
        real_postgrest.serve(project.url, JWT_SECRET) as url,
        httpx.Client(trust_env=False, verify=False) as http,
    ):
        yield Api(url, http)


def test_postgrest_says_so_too(project: Project, shape: Shape) -> None:
    assert list(findings(project, shape)) == []


def findings(project: Project, shape: Shape) -> Iterator[str]:
    with served(project) as api:
        before = app_reads(project, api)
    try:
        told = project.upgrade()
    except Refused:
        with served(project) as api:
            if app_reads(project, api) != before:
                yield "it refused, and the app's own reads have changed"
        return
    with served(project) as api:
        after = app_reads(project, api)
        for path, was in before.items():
            yield from changed(path, was, after[path], told)
        yield from the_service_works(api)


def app_reads(project: Project, api: Api) -> dict[str, Any]:
    """What supabase-js would be given: rows, and rows with those that they point at."""
    with project.trying() as trying:
        tables = [row["name"] for row in trying.act("owner", EMBEDS)]
    reads = {"subscriptions": api.ask("subscriptions")}
    for table in tables:
        reads[table] = api.ask(f"{table}?select=*,subscriptions(*)")
    if project.shape.payer:
        clerk = project.shape.payer[0]
        reads["as the payer"] = api.ask("subscriptions", role="authenticated", sub=clerk)
    return reads


def changed(path: str, was: Any, now: Any, told: str) -> Iterator[str]:
    """How an answer to the app differs, unless it failed before or that was told."""
    if path == "as the payer":
        if isinstance(was, list) and now == "22P02" and not re.search(r"auth\.uid", told):
            yield f"the payer can't read any more: {now}"
    elif was == "42P01":
        return  # there was no such table
    elif not isinstance(was, list) or not isinstance(now, list):
        if was != now:
            yield f"{path} answers {now}, not {was}"
    elif path == "subscriptions":
        for row in was:
            if not any(holds(other, row) for other in now):
                yield f"{path} has no row any more like {row}"
    else:
        kinds = {type(row["subscriptions"]) for row in [*was, *now]} - {type(None)}
        if len(kinds) > 1 and not re.search(r"\b(list|array|single)\b", told):
            yield f"{path} embeds as {kinds}, and nobody is told"


def the_service_works(api: Api) -> Iterator[str]:
    first = api.ask(
        "rpc/upsert_subscription",
        {"subscription": PURCHASE, "clerk_owner_id": "user_new", "expected_revision": 0},
    )
    if not isinstance(first, list) or len(first) != 1:
        yield f"a purchase is answered {first}"
        return
    again = api.ask(
        "rpc/upsert_subscription",
        {
            "subscription": PURCHASE,
            "clerk_owner_id": None,
            "expected_revision": first[0]["revision"],
        },
    )
    if not isinstance(again, list) or not again or again[0]["revision"] <= first[0]["revision"]:
        yield f"its next word is answered {again}"
    who = {"clerk_owner_id": "user_new", "livemode": True}
    account = api.ask("rpc/billing_account", who)
    if not isinstance(account, dict) or len(account["subscriptions"]) != 1:
        yield f"its account is answered {account}"
    linked = api.ask("rpc/link_customer", who | {"stripe_customer_id": "cus_Replacement01"})
    gone = {"stripe_customer_id": "cus_Replacement01", "livemode": True, "gone": True}
    if linked is not None or isinstance(api.ask("rpc/mark_customer", gone), str):
        yield f"a customer is linked and marked: {linked}"
    if not isinstance(api.ask("rpc/billing_notices", {}), list):
        yield "billing_notices can't be asked"
    mine = api.ask("subscriptions?select=status", role="authenticated", sub="user_new")
    if isinstance(mine, list) and {"status": "active"} not in mine:
        yield f"the buyer reads {mine}"
