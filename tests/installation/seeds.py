"""Misconfigurations, each of one thing: how it is broken, and what `check` calls it."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from installation import Installation
from service_under_test import put_row

from portal_service.events import USED_EVENTS
from sandbox.clerk import Clerk
from sandbox.faults import Faults
from sandbox.stripe import RESTRICTED_KEY, endpoints

Broken = Callable[[Installation], Any]
EVENTS = sorted(USED_EVENTS)


@dataclass(frozen=True)
class Seed:
    """found: what is said of it. mend: for what a new world does not mend by itself."""

    name: str
    state: str
    found: str
    broken: Broken
    mend: Broken = lambda installation: None

    def __str__(self) -> str:
        return f"{self.name}: {self.found}"


@contextmanager
def seeded(seed: Seed, installation: Installation) -> Iterator[None]:
    seed.broken(installation)
    try:
        yield
    finally:
        seed.mend(installation)


def told(**variables: str) -> Broken:
    return lambda installation: installation.environment.update(variables)


def untold(name: str) -> Broken:
    return lambda installation: installation.environment.pop(name)


def forbidden(*paths: str) -> Broken:
    return lambda installation: installation.world.stripe.forbidden.update(
        {RESTRICTED_KEY: list(paths)}
    )


def run(query: str) -> Broken:
    def execute(installation: Installation) -> None:
        with psycopg.connect(installation.world.database_url) as connection:
            connection.execute(query)

    return execute


def endpoint(**changes: Any) -> Broken:
    """The endpoint as Stripe has it; nothing else is delivered to."""

    def change(installation: Installation) -> None:
        stripe = installation.world.stripe
        more = {"url": installation.webhook_url} | changes
        stripe.webhooks.url = None
        stripe.webhook_endpoints["we_1"] = endpoints.endpoint(stripe, "we_1", **more)

    return change


def no_endpoint(installation: Installation) -> None:
    installation.world.webhooks.url = None


def second_endpoint(installation: Installation) -> None:
    stripe = installation.world.stripe
    made = endpoints.endpoint(stripe, "we_2", installation.webhook_url)
    stripe.webhook_endpoints["we_2"] = made


def thin_destination(**changes: Any) -> Broken:
    def change(installation: Installation) -> None:
        stripe = installation.world.stripe
        stripe.webhooks.url = None
        stripe.event_destinations["ed_1"] = endpoints.destination(
            stripe, "ed_1", installation.webhook_url, **changes
        )

    return change


def undelivered(installation: Installation) -> None:
    stripe = installation.world.stripe
    stripe.webhooks.url = None
    stripe.create_subscription("user_ada", "price_pro")
    for event in stripe.events.values():
        event["created"] -= 3600
    installation.world.deliver_to(installation.service_url)


def archived(name: str) -> Broken:
    return lambda installation: installation.world.stripe.archive(name)


def price(**changes: Any) -> Broken:
    return lambda installation: installation.world.stripe.prices["price_pro"].update(changes)


def portal(feature: str, **changes: Any) -> Broken:
    def change(installation: Installation) -> None:
        (default,) = installation.world.stripe.configurations.values()
        default["features"][feature].update(changes)

    return change


def stripe_clock(seconds: int) -> Broken:
    def change(installation: Installation) -> None:
        clock = installation.world.stripe.clock
        installation.world.stripe.clock = lambda: clock() + seconds

    return change


def another_issuer(installation: Installation) -> None:
    """The same instance by another name, as `accounts.` beside `clerk.` is."""
    issuer = installation.world.clerk.issuer.replace("127.0.0.1", "localhost")
    installation.environment["CLERK_ISSUER"] = issuer


def another_key(installation: Installation) -> None:
    installation.environment["CLERK_JWT_KEY"] = Clerk(Faults()).public_key_pem


def live_clerk(installation: Installation) -> None:
    test = installation.environment["CLERK_PUBLISHABLE_KEY"]
    installation.environment["CLERK_PUBLISHABLE_KEY"] = test.replace("pk_test_", "pk_live_")


def elsewhere(installation: Installation) -> None:
    """The endpoint leads to something that is not the service."""
    installation.world.webhooks.url = installation.world.stripe_url + "/api/stripe/webhook"


def behind(*proxies: str, trusted: int) -> Broken:
    """What each proxy does with X-Forwarded-For, the innermost first."""
    return lambda installation: installation.serve(*proxies, TRUSTED_PROXY_HOPS=str(trusted))


def trial(**params: Any) -> Broken:
    return told(STRIPE_CHECKOUT_PARAMS=json.dumps(params))


NOWHERE = "http://127.0.0.1:1"
# fmt: off
SEEDS = [
    Seed("settings", "red", "STRIPE_SECRET_KEY is missing", untold("STRIPE_SECRET_KEY")),
    Seed("settings", "red", "STRIPE_PLANS is wrong", told(STRIPE_PLANS="pro=")),
    Seed("settings", "red", "STRIPE_WEBHOOK_SECRET is wrong", told(STRIPE_WEBHOOK_SECRET="we_1")),
    Seed("modes", "yellow", "CLERK_PUBLISHABLE_KEY of live mode", live_clerk),
    Seed("app_url", "yellow", "without TLS", told(APP_URL="http://app.example.com")),
    Seed("trial", "red", "9999", trial(subscription_data={"trial_period_days": 9999})),
    Seed("trial", "yellow", "without a card", trial(
        payment_method_collection="if_required", subscription_data={"trial_period_days": 14})),
    Seed("entitled_statuses", "yellow", "ENTITLED_STATUSES=past_due",
         told(ENTITLED_STATUSES="past_due")),

    Seed("stripe_key", "red", "does not know STRIPE_SECRET_KEY",
         told(STRIPE_SECRET_KEY="rk_test_rolled_long_ago")),
    Seed("permission_subscriptions", "red", "Subscriptions: read", forbidden("/v1/subscriptions")),
    Seed("permission_customers", "red", "Customers: write", forbidden("POST /v1/customers")),
    Seed("permission_checkout_sessions", "red", "nobody can buy",
         forbidden("POST /v1/checkout/sessions")),
    Seed("permission_customer_portal", "red", "nobody can open",
         forbidden("POST /v1/billing_portal/sessions")),
    Seed("permission_prices", "yellow", "Prices: read", forbidden("/v1/prices")),
    Seed("permission_events", "yellow", "Events: read", forbidden("/v1/events")),

    Seed("webhook_endpoint", "red", "there is: none", no_endpoint),
    Seed("webhook_endpoint", "red", "there is: https://example.com/webhook",
         endpoint(url="https://example.com/webhook")),
    Seed("webhook_endpoint", "yellow", "could not be looked at",
         forbidden("/v1/webhook_endpoints")),
    Seed("webhook_status", "red", "is disabled", endpoint(status="disabled")),
    Seed("webhook_status", "red", "is disabled", thin_destination(
        status="disabled", enabled_events=[f"v1.{name}" for name in EVENTS])),
    Seed("webhook_events", "red", "customer.subscription.deleted",
         endpoint(enabled_events=[e for e in EVENTS if not e.endswith(".deleted")])),
    Seed("webhook_events", "yellow", "pending_update_expired",
         endpoint(enabled_events=[e for e in EVENTS if not e.endswith("_expired")])),
    Seed("webhook_events", "red", "v1.customer.subscription.updated",
         thin_destination(enabled_events=["v1.checkout.session.completed"])),
    Seed("webhook_release", "yellow", "2025-03-31.basil", endpoint(api_version="2025-03-31.basil")),
    Seed("webhook_release", "yellow", "the account's default version", endpoint(api_version=None)),
    Seed("webhook_twins", "yellow", "comes twice", second_endpoint),
    Seed("webhook_secret", "red", "another STRIPE_WEBHOOK_SECRET",
         told(STRIPE_WEBHOOK_SECRET="whsec_of_another_endpoint")),
    Seed("webhook_answers", "red", "answers 404", elsewhere),
    Seed("webhook_answers", "red", "can not be reached",
         endpoint(url=f"{NOWHERE}/api/stripe/webhook")),
    Seed("trusted_hops", "yellow", "1 proxy in front says whose call it is, 0 trusted: a proxy's",
         behind("appended to", trusted=0)),
    Seed("trusted_hops", "yellow", "2 proxies in front say whose call it is, 1 trusted: a proxy's",
         behind("appended to", "appended to", trusted=1)),
    Seed("trusted_hops", "yellow", "1 proxy in front says whose call it is, 2 trusted: whoever",
         behind("appended to", trusted=2)),
    Seed("trusted_hops", "yellow", "1 proxy in front says whose call it is, 2 trusted: a proxy's",
         behind("replaced", trusted=2)),
    Seed("trusted_hops", "yellow", "0 proxies in front say whose call it is, 1 trusted: whoever",
         behind("passed on", trusted=1)),
    Seed("webhook_deliveries", "red", "were not delivered", undelivered),

    Seed("prices", "red", "price_nowhere of STRIPE_PLANS does not exist",
         told(STRIPE_PLANS="pro=price_nowhere")),
    Seed("prices", "red", "price_pro of STRIPE_PLANS is archived", archived("price_pro")),
    Seed("prices", "red", "is not recurring", price(recurring=None, type="one_time")),
    Seed("prices", "red", "does not exist under this key", price(livemode=True)),
    Seed("products", "red", "prod_pro of STRIPE_PLANS is archived", archived("prod_pro")),
    Seed("products", "red", "prod_gone", told(STRIPE_PLANS="pro=price_pro,prod_gone")),
    Seed("permission_products", "yellow", "lacks Products: read", forbidden("/v1/products")),
    Seed("ignored_products", "yellow", "prod_nowhere",
         told(STRIPE_IGNORED_PRODUCTS="prod_nowhere")),
    Seed("portal_configuration", "red", "never configured",
         lambda i: i.world.stripe.configurations.clear()),
    Seed("portal_configuration", "red", "bpc_nowhere",
         told(STRIPE_PORTAL_CONFIGURATION="bpc_nowhere")),
    Seed("portal_features", "yellow", "can't cancel",
         portal("subscription_cancel", enabled=False)),
    Seed("portal_prices", "yellow", "price_team", portal("subscription_update", products=[
        {"product": "prod_pro", "prices": ["price_pro"], "adjustable_quantity": None}])),

    Seed("supabase", "red", "does not answer as Supabase does", told(SUPABASE_URL=NOWHERE)),
    Seed("supabase_key", "red", "refuses SUPABASE_SERVICE_ROLE_KEY",
         told(SUPABASE_SERVICE_ROLE_KEY="eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmVkX2J5X25vYm9keQ")),
    Seed("schema", "red", "is not exposed", told(SUPABASE_SCHEMA="elsewhere")),
    Seed("schema", "red", "subscriptions.items is missing",
         run("alter table subscriptions rename items to things"),
         run("alter table subscriptions rename things to items")),
    Seed("schema", "red", "mark_customer is missing",
         run("alter function mark_customer rename to marked"),
         run("alter function marked rename to mark_customer")),
    Seed("schema", "red", "billing_syncs is missing",
         run("alter function billing_syncs rename to synced"),
         run("alter function synced rename to billing_syncs")),
    Seed("grants", "red", "gone_customers",
         run("revoke select on gone_customers from service_role"),
         run("grant select on gone_customers to service_role")),
    Seed("writes", "red", "can't be stored",
         run("alter table subscriptions add team text not null"),
         run("alter table subscriptions drop team")),
    Seed("owners", "yellow", "of the other kind",
         lambda i: put_row(i.world, clerk_owner_id="org_acme", user_id=None)),
    Seed("access", "red", "row level security of public.subscriptions is off",
         run("alter table subscriptions disable row level security"),
         run("alter table subscriptions enable row level security")),
    Seed("access", "red", "anon may select on public.billing_customers",
         run("grant select on billing_customers to anon"),
         run("revoke select on billing_customers from anon")),
    Seed("access", "red", "authenticated may call public.link_customer",
         run("grant execute on function link_customer to authenticated"),
         run("revoke execute on function link_customer from authenticated")),

    Seed("clerk_keys", "red", "nobody is signed in", told(CLERK_JWKS_URL=f"{NOWHERE}/jwks.json")),
    Seed("clerk_jwt_key", "red", "none of the instance's keys", another_key),
    Seed("clerk_issuer", "red", "calls itself", another_issuer),
    Seed("clerk_issuer", "yellow", "does not say", told(CLERK_ISSUER=f"{NOWHERE}")),
    Seed("clock", "red", "webhooks and tokens are refused", stripe_clock(3600)),
    Seed("clock", "yellow", "Clerk's tokens are refused", stripe_clock(-60)),
    Seed("rate_limits", "yellow", "requests pass uncounted",
         told(RATE_LIMIT_STORAGE_URI="redis://127.0.0.1:1/0")),
]
# fmt: on
