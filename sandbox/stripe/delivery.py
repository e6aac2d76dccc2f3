"""One delivery of an event to the webhook endpoint: signing it, sending it and the answer."""

import hashlib
import hmac
import json
import threading
from dataclasses import dataclass, field
from typing import Any

import httpx

Json = dict[str, Any]

TIMEOUT_SECONDS = 10.0


def signature(secret: str, body: str, timestamp: int) -> str:
    """The value of the header Stripe-Signature."""
    mac = hmac.new(secret.encode(), f"{timestamp}.{body}".encode(), hashlib.sha256)
    return f"t={timestamp},v1={mac.hexdigest()}"


@dataclass
class Delivery:
    """One event on its way to the endpoint, over all its attempts."""

    event: Json
    attempts: int = 0
    answered: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)

    def wait_answered(self, timeout: float) -> bool:
        """Wait for the end of the first attempt, whatever came of it."""
        return self.answered.wait(timeout)

    def wait_delivered(self, timeout: float) -> bool:
        """Wait until it is delivered or given up."""
        return self.ended.wait(timeout)

    def end(self) -> None:
        """Give it up."""
        self.answered.set()
        self.ended.set()


class Sender:
    """Sends events over connections that it keeps; for several threads."""

    def __init__(self) -> None:
        self._client = httpx.Client(timeout=TIMEOUT_SECONDS, trust_env=False)

    def post(self, url: str, event: Json, secret: str, now: float) -> Json:
        """What came of it: {"status_code": …, "outcome": …}, or an "error" without a status.

        now: seconds since 1970, for the signature.
        """
        body = json.dumps(event, indent=2)
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": signature(secret, body, int(now)),
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        }
        try:
            response = self._client.post(url, content=body.encode(), headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL, RuntimeError) as error:
            return {"status_code": None, "error": f"{type(error).__name__}: {error}"}
        return {"status_code": response.status_code, "outcome": _outcome(response)}

    def close(self) -> None:
        self._client.close()


def _outcome(response: httpx.Response) -> Any:
    """What the service says that it did; or its error code."""
    try:
        answer = response.json()
    except ValueError:
        return None
    return (answer.get("outcome") or answer.get("code")) if isinstance(answer, dict) else None
