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
    """url: of the app. sandbox: what it is the guest of."""

    url: str
    sandbox: StartedSandbox


@contextmanager
def invited(app: Path, data: Path) -> Iterator[Guest]:
    """The app's production build beside a sandbox of its own."""
    port = next_app.Port()
    with StartedSandbox(data, SANDBOX_APP_URL=port.url) as sandbox:
        environment = env_local(sandbox)
        folder = next_app.built(app, environment)
        with next_app.served(folder, environment, port) as url:
            yield Guest(url, sandbox)


def env_local(sandbox: StartedSandbox) -> dict[str, str]:
    """What the sandbox prints for a Next.js app, as Next.js reads it."""
    text = requests.get(f"{sandbox.url}/_sandbox/env.local", timeout=10).text
    lines = re.findall(r'^(\w+)="?(.*?)"?$', text, re.MULTILINE)
    return {name: value.replace("\\n", "\n") for name, value in lines}


def sign_in(context: BrowserContext, guest: Guest, user: str) -> None:
    """Clerk's cookies, as its scripts leave them in the browser of who has signed in."""
    claims = {"azp": guest.url, "exp": int(time.time()) + 3600}
    token = guest.sandbox.post("/session", user=user, claims=claims)["token"]
    cookies = {"__session": token, "__client_uat": "1", "__clerk_db_jwt": "dvb_sandbox"}
    context.add_cookies([{"name": n, "value": v, "url": guest.url} for n, v in cookies.items()])


def subscribe(sandbox: StartedSandbox, user: str, **more: str) -> str:
    """The id of a subscription made at Stripe, once its webhook has come."""
    made = sandbox.post("/stripe/subscriptions", user=user, **({"price": "price_pro"} | more))
    wait_for(lambda: any(r["stripe_subscription_id"] == made["id"] for r in sandbox.get("/rows")))
    return str(made["id"])
