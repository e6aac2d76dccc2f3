"""A good environment, and what becomes of it with a variable changed."""

import base64
import json

from portal_service.config import Settings


def publishable_key(host: str, mode: str = "test") -> str:
    """As Clerk makes it: without the padding."""
    return f"pk_{mode}_{base64.b64encode(f'{host}$'.encode()).decode().rstrip('=')}"


def service_key(role: str) -> str:
    """A legacy JWT of Supabase's."""
    parts = ({"alg": "HS256", "typ": "JWT"}, {"iss": "supabase", "role": role})
    encoded = (base64.urlsafe_b64encode(json.dumps(p).encode()).decode() for p in parts)
    return ".".join(p.rstrip("=") for p in encoded) + ".c2lnbmF0dXJl"


GOOD = {
    "STRIPE_SECRET_KEY": "sk_test_hush1",
    "STRIPE_WEBHOOK_SECRET": "whsec_hush2",
    "STRIPE_PLANS": "pro=prod_X,price_a,price_b;team=price_c",
    "SUPABASE_URL": "https://abc.supabase.co",
    "SUPABASE_SERVICE_ROLE_KEY": "sb_secret_hush3",
    "CLERK_PUBLISHABLE_KEY": publishable_key("clerk.example.com"),
    "APP_URL": "https://app.example.com",
}
SECRETS = {
    "STRIPE_SECRET_KEY": "sk_live_hush1",
    "STRIPE_WEBHOOK_SECRET": "whsec_hush2,whsec_hush2b",
    "SUPABASE_SERVICE_ROLE_KEY": service_key("service_role"),
    "CLERK_WEBHOOK_SECRET": "whsec_aHVzaDU=,whsec_aHVzaDU2",
    "METRICS_TOKEN": "hush4",
}


def read(**changes: str | None) -> Settings:
    return Settings.from_environment(environment(**changes))


def environment(**changes: str | None) -> dict[str, str]:
    """A good environment with these changes; None takes a variable away."""
    return {name: value for name, value in (GOOD | changes).items() if value is not None}


def problems(**changes: str | None) -> list[str]:
    settings, found = Settings.collect(environment(**changes))
    assert (settings is None) is bool(found)
    return found
