"""What an attacker knows of others, where it can be put, and what the attack leaves behind."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any
from urllib.parse import unquote, urlencode
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from service_under_test import Json, Service, execute

from sandbox.world import World

Ids = dict[str, str]

# Names under which frameworks, proxies and earlier versions of apps carry who somebody is.
FIELDS = [
    "customer", "customer_id", "customerId", "stripe_customer_id", "stripeCustomerId", "user",
    "user_id", "userId", "clerk_user_id", "clerkUserId", "clerk_id", "sub", "subject", "email",
    "customer_email", "subscription", "subscription_id", "subscriptionId",
    "stripe_subscription_id", "session", "session_id", "sessionId", "client_reference_id",
    "metadata", "subscription_data", "flow_data", "customer_account", "account", "id",
    "on_behalf_of", "__proto__", "checkout_session_id", "portal_session", "token",
]  # fmt: skip
HEADERS = [
    "X-User-Id", "X-User", "X-Clerk-User-Id", "X-Auth-User", "X-Auth-Request-User",
    "X-Forwarded-User", "X-Authenticated-User", "X-Remote-User", "Remote-User", "X-Customer-Id",
    "X-Stripe-Customer", "X-Email", "From", "Stripe-Account", "Stripe-Context",
    "Idempotency-Key", "X-Subscription-Id", "Referer", "Forwarded", "X-Original-URL",
    "X-Rewrite-URL", "X-Correlation-Id", "apikey",
]  # fmt: skip
COOKIES = [
    "user", "user_id", "customer", "customer_id", "email", "session", "sub", "__session",
    "__client_uat", "__clerk_db_jwt", "clerk_active_context", "sb-access-token",
]  # fmt: skip
CLAIMS = [
    "user_id", "userId", "email", "customer", "customer_id", "stripe_customer_id",
    "clerk_user_id", "client_reference_id", "subscription", "sid", "jti", "org_id", "azp_user",
    "external_id", "username",
]  # fmt: skip

# Which identifiers are tried in lists and hashes too.
NESTED = {"bob's users.id", "bob's Clerk id", "bob's customer", "bob's checkout session"}


class Recorder:
    """A WSGI app that keeps what it was asked, word by word."""

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app
        self.requests: list[tuple[str, str]] = []  # method and path; everything, unquoted

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = BytesIO(body)
        headers = [f"{k}: {v}" for k, v in environ.items() if k.startswith("HTTP_")]
        line = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"
        whole = "\n".join([line, environ.get("QUERY_STRING", ""), *headers, body.decode()])
        self.requests.append((line, unquote(whole)))
        return self._app(environ, start_response)


@dataclass
class Wiretap:
    stripe: Recorder
    supabase: Recorder
    stripe_url: str
    supabase_url: str

    def forget(self) -> None:
        self.stripe.requests.clear()
        self.supabase.requests.clear()


@dataclass
class Attempt:
    """One call, with an identifier of somebody else's where it could stand."""

    what: str
    path: str = ""  # after that of the call
    query: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    claims: Json = field(default_factory=dict)  # of the attacker's own, signed, token
    body: Json | None = None  # instead of the call's own
    session: str | None = None  # a checkout session whose owner Stripe may be asked for


def settled_victims(service: Service) -> Ids:
    """bob pays for team, 17 seats, and opens the portal; cyd stands at an open checkout."""
    world = service.world
    ids = {}
    for name in ("bob", "cyd"):
        ids[f"{name}'s users.id"] = world.add_user(name)
        ids[f"{name}'s Clerk id"] = f"user_{name}"
        ids[f"{name}'s e-mail"] = f"{name}@example.com"
        answer = service.checkout(name, {"plan": "team", "quantity": 17})
        assert answer.status_code == 200, answer.text
        session = next(reversed(world.stripe.sessions.values()))
        ids[f"{name}'s customer"] = session["customer"]
        ids[f"{name}'s checkout session"] = session["id"]
        ids[f"{name}'s checkout URL"] = session["url"]
        if name == "bob":
            paid = world.stripe.checkout(session["id"], "pay")
            ids["bob's subscription"] = paid["subscription"]
            service.refresh(name, {"checkout_session_id": session["id"]})
            service.portal(name)
            portal = next(reversed(world.stripe.portal_sessions.values()))
            ids["bob's portal session"] = portal["id"]
            ids["bob's portal URL"] = portal["url"]
    shown = service.shown("bob")
    assert (shown["plan"], shown["quantity"]) == ("team", 17)
    return ids


def attempts(fields: list[str], base: Json | None, victims: Ids, token: str) -> Iterator[Attempt]:
    """Everything to be tried with one call.

    fields: those that the contract knows in its body. victims: their identifiers, or several of
    them with "; " between. token: a session token of bob's.
    """
    for whose, value in victims.items():
        nested: list[Any] = [[value], {"id": value}, {"clerk_user_id": value}]
        for name in fields:
            for shape in (value, *(nested if whose in NESTED else [])):
                mine = name == "checkout_session_id" and value.startswith("cs_")
                what = f"{whose} as {name} in the body: {shape}"
                body = {**(base or {}), name: shape}
                yield Attempt(what, body=body, session=value if mine else None)
        # An unknown name is refused whatever its value is.
        one_by_one = fields and whose == "bob's customer"
        for name in [n for n in FIELDS if one_by_one and n not in fields]:
            yield Attempt(f"{whose} as {name} in the body", body={**(base or {}), name: value})
        yield Attempt(f"{whose} all over the body", body=dict.fromkeys(FIELDS, value))
        query = urlencode(dict.fromkeys([*fields, *FIELDS], value))
        yield Attempt(f"{whose} in the query", query=query)
        yield Attempt(f"{whose} in the headers", headers=dict.fromkeys(HEADERS, value))
        cookie = "; ".join(f"{name}={value}" for name in COOKIES)
        yield Attempt(f"{whose} in cookies", headers={"Cookie": cookie})
        yield Attempt(f"{whose} in claims", claims=dict.fromkeys(CLAIMS, value))
        inner: Json = {"metadata": dict.fromkeys(CLAIMS, value)}
        inner |= {"public_metadata": inner["metadata"], "unsafe_metadata": inner["metadata"]}
        yield Attempt(f"{whose} in nested claims", claims=inner | {"o": {"id": value}})
        for one in value.split("; "):
            if "/" not in one:
                yield Attempt(f"{whose} in the path", path=f"/{one}")
    cookies = f"__session={token}; __client={token}"
    yield Attempt("bob's token beside ours", headers={"Cookie": cookies, "X-Clerk-Token": token})
    yield Attempt("bob's token in the query", query=urlencode({"token": token, "__session": token}))


def belongings(world: World, victims: Ids) -> Json:
    """All that names somebody of them, in the database and at Stripe."""
    found: Json = {}
    for table in ("subscriptions", "billing_customers", "users"):
        rows = execute(world, f"select to_jsonb(t) as it from {table} t")  # noqa: S608
        found[table] = [row["it"] for row in rows if mentioned(json.dumps(row["it"]), victims)]
    for kind in ("customers", "subscriptions", "sessions", "portal_sessions", "orders", "invoices",
                 "events"):  # fmt: skip
        held = {name: json.dumps(it) for name, it in getattr(world.stripe, kind).items()}
        found[f"Stripe's {kind}"] = {
            name: text for name, text in held.items() if mentioned(name + text, victims)
        }
    return found


def mentioned(text: str, victims: Ids) -> list[str]:
    return [whose for whose, value in victims.items() if value in text]
