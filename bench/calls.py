"""What is asked: the four calls, as whole HTTP requests, signed as Clerk and Stripe sign. The same
bytes go to every service that is compared.
"""

import base64
import json
import time
from typing import Any

import stripe

from bench.load import Call
from bench.upstreams import BUYER, CHECKOUT_URL, CUSTOMER, PORTAL_URL, PRICE, PRODUCT, SUBSCRIPTION
from sandbox.clerk import JWKS_PATH, Clerk
from sandbox.faults import Faults

APP_URL = "https://app.example.com"
ISSUER_HOST = "clerk.example.com"
STRIPE_KEY = "sk_test_bench"
WEBHOOK_SECRET = "whsec_bench"  # noqa: S105
USERS = 1_000  # whose tokens come in turn: more than one and fewer than the calls


class Signer:
    """Keys of one run. Tokens live for an hour, so that none ends while something is measured."""

    def __init__(self) -> None:
        self._clerk = Clerk(Faults())
        self._clerk.issuer = f"https://{ISSUER_HOST}"
        self.public_key = self._clerk.public_key_pem
        self.key_set = self._clerk.app().test_client().get(JWKS_PATH).text
        self.publishable_key = "pk_test_" + base64.b64encode(f"{ISSUER_HOST}$".encode()).decode()

    def tokens(self, user: str, number: int) -> list[str]:
        made = {"exp": int(time.time()) + 3600, "azp": APP_URL}
        return [self._clerk.session_token(f"{user}{n:06}", **made) for n in range(number)]

    def tokens_of_other_keys(self, number: int) -> list[str]:
        """Each names a key that the service has not seen, and makes it ask Clerk."""
        claims = self._clerk.claims("user_payer000000") | {"exp": int(time.time()) + 3600}
        return [self._clerk.sign(claims, kid=f"ins_other{n:06}") for n in range(number)]


def environment(signer: Signer, supabase_port: int, stripe_port: int) -> dict[str, str]:
    """What each service is told; those in Python and those in Node read the same names."""
    return {
        "APP_URL": APP_URL,
        "CLERK_JWT_KEY": signer.public_key,
        "CLERK_PUBLISHABLE_KEY": signer.publishable_key,
        "NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY": signer.publishable_key,
        "CLERK_SECRET_KEY": "sk_test_bench",
        "STRIPE_SECRET_KEY": STRIPE_KEY,
        "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
        "STRIPE_PLANS": f"pro={PRICE},{PRODUCT}",
        "STRIPE_PRICE": PRICE,
        "STRIPE_API_BASE": f"http://127.0.0.1:{stripe_port}",
        "SUPABASE_URL": f"http://127.0.0.1:{supabase_port}",
        "SUPABASE_SERVICE_ROLE_KEY": "sb_secret_bench",
        "RATE_LIMIT": "1000000/minute",  # counted all the same
        "THREADS": "192",
        "WEB_CONCURRENCY": "2",
    }


def key_set_url(port: int) -> str:
    return f"http://127.0.0.1:{port}{JWKS_PATH}"


def calls(signer: Signer, users: int = USERS) -> dict[str, Call]:
    """By name. users: how many tokens come in turn."""
    payers, buyers = signer.tokens("user_payer", users), signer.tokens(BUYER, users)
    portal = [_request("POST", "/portal", _bearer(token)) for token in payers]
    checkout = [_request("POST", "/checkout", _bearer(token)) for token in buyers]
    return {
        call.name: call
        for call in (
            Call("portal", portal, PORTAL_URL.encode()),
            webhook(),
            status(payers),
            Call("checkout", checkout, CHECKOUT_URL.encode()),
        )
    }


def status(tokens: list[str]) -> Call:
    wires = [_request("GET", "/subscription", _bearer(token)) for token in tokens]
    return Call("subscription", wires, b'"active"')


def unknown(tokens: list[str]) -> Call:
    wires = [_request("GET", "/subscription", _bearer(token)) for token in tokens]
    return Call("tokens of other keys", wires, b"HTTP/1.1 401")


def webhook() -> Call:
    """A renewal, months after what the row says: the fast path. Good for five minutes."""
    body = json.dumps(_event()).encode()
    signature = stripe.WebhookSignature.generate_signature_header(body.decode(), WEBHOOK_SECRET)
    headers = {"Content-Type": "application/json", "Stripe-Signature": signature}
    return Call("webhook", [_request("POST", "/webhook", headers, body)], b'"received"')


def plain(path: str) -> Call:
    """Of those at the root, which nobody signs."""
    return Call(path, [_wire("GET", path, {}, b"")], b"HTTP/1.1 200")


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", "Origin": APP_URL}


def _request(method: str, path: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    return _wire(method, f"/api/stripe{path}", headers, body)


def _wire(method: str, path: str, headers: dict[str, str], body: bytes) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def _event() -> dict[str, Any]:
    now = int(time.time())
    price = {"id": PRICE, "object": "price", "product": PRODUCT, "currency": "usd",
             "unit_amount": 900,
             "recurring": {"interval": "month", "interval_count": 1}}  # fmt: skip
    item = {"id": "si_bench", "object": "subscription_item", "quantity": 1, "price": price,
            "current_period_start": now, "current_period_end": now + 30 * 86_400}  # fmt: skip
    subscription = {
        "id": SUBSCRIPTION, "object": "subscription", "customer": CUSTOMER, "status": "active",
        "livemode": False, "created": now - 90 * 86_400, "cancel_at": None, "canceled_at": None,
        "cancel_at_period_end": False, "collection_method": "charge_automatically",
        "ended_at": None, "trial_end": None, "pause_collection": None, "currency": "usd",
        "metadata": {"clerk_user_id": "user_payer000000"},
        "items": {"object": "list", "data": [item], "has_more": False, "total_count": 1},
    }  # fmt: skip
    return {
        "id": "evt_bench", "object": "event", "type": "customer.subscription.updated",
        "api_version": stripe.api_version, "created": now, "livemode": False,
        "data": {"object": subscription}, "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
    }  # fmt: skip
