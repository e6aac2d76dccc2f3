"""An app that is the sandbox's guest, and the people in it."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import next_app
import requests
from playwright.sync_api import BrowserContext
from started import StartedSandbox, wait_for


@dataclass(frozen=True)
class Guest:
    """url: of the app. sandbox: what it is the guest of. environment: what the app was told."""

    url: str
    sandbox: StartedSandbox
    environment: dict[str, str]


@contextmanager
def invited(
    folder: Path, data: Path, *, host: str = "localhost", across: bool = False, **told: str
) -> Iterator[Guest]:
    """A production build of the app in the folder, beside a sandbox of its own.

    across: browsers call the service themselves, not by the app's rewrites. told: what the sandbox
    is told besides; `{port}` in it is that of the app.
    """
    with next_app.Port() as port:
        url = f"http://{host}:{port.number}"
        told = {name: value.replace("{port}", str(port.number)) for name, value in told.items()}
        with StartedSandbox(data, SANDBOX_APP_URL=url, **told) as sandbox:
            environment = env_local(sandbox)
            if across:
                environment["NEXT_PUBLIC_BILLING_URL"] = f"{environment['BILLING_URL']}/api/stripe"
            next_app.build(folder, environment)
            with next_app.served(folder, environment, port):
                yield Guest(url, sandbox, environment)


def env_local(sandbox: StartedSandbox) -> dict[str, str]:
    """What the sandbox prints for a Next.js app, as Next.js reads it."""
    text = requests.get(f"{sandbox.url}/_sandbox/env.local", timeout=10).text
    lines = re.findall(r'^(\w+)="?(.*?)"?$', text, re.MULTILINE)
    return {name: value.replace("\\n", "\n") for name, value in lines}


def with_cookies(context: BrowserContext, guest: Guest, user: str) -> None:
    """Clerk's cookies, as its scripts leave them in the browser of who has signed in."""
    claims = {"azp": guest.url, "exp": int(time.time()) + 3600}
    token = guest.sandbox.post("/session", user=user, claims=claims)["token"]
    cookies = {"__session": token, "__client_uat": "1", "__clerk_db_jwt": "dvb_sandbox"}
    context.add_cookies([{"name": n, "value": v, "url": guest.url} for n, v in cookies.items()])


def expired_token(guest: Guest, user: str) -> str:
    """A session token of a minute ago."""
    now = int(time.time())
    claims = {"azp": guest.url, "iat": now - 120, "nbf": now - 120, "exp": now - 60}
    return str(guest.sandbox.post("/session", user=user, claims=claims)["token"])


def subscribe(sandbox: StartedSandbox, user: str, **more: str) -> str:
    """The id of a subscription made at Stripe, once its webhook has come."""
    made = sandbox.post("/stripe/subscriptions", user=user, **({"price": "price_pro"} | more))
    wait_for(lambda: any(r["stripe_subscription_id"] == made["id"] for r in sandbox.get("/rows")))
    return str(made["id"])
