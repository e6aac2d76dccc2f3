"""A team's own frontend as a guest of the sandbox: SANDBOX_APP_URL=http://localhost:3000."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from flask import Flask, Response
from flask_cors import CORS

from sandbox.clerk_frontend import CLERK_JS_PATH
from sandbox.command_line import CannotStart
from sandbox.world import World

WORDS = """
{guest_url} is welcome too. What its .env.local needs:
  curl {app_url}/_sandbox/env.local
A session token for it, as Clerk's getToken() gives one:
  fetch('{app_url}/_sandbox/session', {{ method: 'POST', body: '{{"user": "ada"}}' }})"""

_ENV = """\
# Of the sandbox, until it is started again.
BILLING_URL={service_url}
# The browser calls the service itself, across origins, instead of through the app's rewrites:
# NEXT_PUBLIC_BILLING_URL={service_url}/api/stripe
NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY={publishable_key}
CLERK_SECRET_KEY=sk_test_sandbox
CLERK_JWT_KEY="{jwt_key}"
# Clerk's own pages and scripts come from the sandbox; with a Clerk account none of these is set.
NEXT_PUBLIC_CLERK_PROXY_URL={clerk_url}
NEXT_PUBLIC_CLERK_JS_URL={clerk_url}{clerk_js_path}/clerk.browser.js
NEXT_PUBLIC_CLERK_PREFETCH_UI=false
NEXT_PUBLIC_CLERK_SIGN_IN_URL={clerk_url}/sign-in
NEXT_PUBLIC_CLERK_SIGN_UP_URL={clerk_url}/sign-up
NEXT_PUBLIC_CLERK_TELEMETRY_DISABLED=1
NEXT_PUBLIC_SUPABASE_URL={supabase_url}
NEXT_PUBLIC_SUPABASE_ANON_KEY={anon_key}
SUPABASE_SERVICE_ROLE_KEY={service_key}
NEXT_PUBLIC_APP_URL={guest_url}
"""


def address(environ: Mapping[str, str]) -> str | None:
    """The guest's origin. Raises CannotStart where it can't be one."""
    given = environ.get("SANDBOX_APP_URL", "").rstrip("/")
    if not given:
        return None
    parts = urlsplit(given)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.path or parts.query:
        raise CannotStart(
            f"SANDBOX_APP_URL is an address such as http://localhost:3000, not {given!r}."
        )
    return given


def settings(guest_url: str | None) -> dict[str, str]:
    """What the service is told besides: people come back to the guest, its calls are allowed."""
    return {"APP_URL": guest_url} if guest_url else {}


def env_local(world: World, guest_url: str, service_url: str) -> str:
    """What the `.env.local` of a Next.js app needs."""
    # Below the guest's own name: browsers then see one site, and send Clerk's cookie.
    host = urlsplit(guest_url).hostname or ""
    return _ENV.format(
        service_url=service_url,
        publishable_key=world.clerk.publishable_key,
        clerk_url=world.clerk.issuer.replace("127.0.0.1", host),
        clerk_js_path=CLERK_JS_PATH,
        jwt_key=world.clerk.public_key_pem.strip().replace("\n", "\\n"),
        supabase_url=world.supabase_url,
        anon_key=world.anon_key,
        service_key=world.service_role_key,
        guest_url=guest_url,
    )


def welcome(app: Flask, world: World, guest_url: str, service_url: str) -> None:
    """Let the guest's pages ask the control API, and tell what its environment is."""
    CORS(app, resources={r"/_sandbox/*": {"origins": [guest_url]}})

    @app.get("/_sandbox/env.local")
    def environment() -> Response:
        text = env_local(world, guest_url, service_url)
        return Response(text, content_type="text/plain; charset=utf-8")
