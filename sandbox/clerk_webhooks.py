"""Clerk's webhooks, which Svix sends: signed, at least once, again and again until the endpoint
says 2xx. What they tell is in clerk_users.py.

Format: docs.svix.com/receiving/verifying-payloads/how-manual."""

import base64
import hashlib
import hmac
import json
import random
import secrets
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any

from sandbox.faults import Faults

Json = dict[str, Any]

# Svix takes 5 s, 5 min, 30 min, … over days; nobody at a sandbox wants to.
DELAYS = (1, 2, 4, 8, 15, 30, 30, 30)
TIMEOUT_SECONDS = 15.0
SHUFFLE_SECONDS = 0.3


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """The value of svix-signature."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def headers(secret: str, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    return {
        "svix-id": message_id,
        "svix-timestamp": str(timestamp),
        "svix-signature": signature(secret, message_id, timestamp, body),
        "Content-Type": "application/json",
        "User-Agent": "Svix-Webhooks/1.0",
    }


class ClerkWebhooks:
    """The one endpoint of the instance. url: where to deliver; without one events are not sent."""

    def __init__(self, secret: str, faults: Faults, delays: Sequence[float] = DELAYS) -> None:
        self.secret = secret
        self.url: str | None = None
        self._faults = faults
        self._delays = delays
        self._changed = threading.Condition()
        self._forget()

    def _forget(self) -> None:
        self._log: list[Json] = []
        self._under_way = 0
        self._ended = threading.Event()

    def send(self, event: Json) -> None:
        """Deliver an event in the background, and again as the faults say."""
        if self.url is None:
            return
        for _ in range(1 + self._faults.webhook_duplicates):
            args = (self.url, event, f"msg_{secrets.token_hex(13)}", self._log, self._ended)
            with self._changed:
                self._under_way += 1
            threading.Thread(target=self._deliver, args=args, daemon=True).start()

    def deliveries(self) -> list[Json]:
        """Every attempt, newest last. status_code is null until the endpoint has answered."""
        with self._changed:
            return [dict(record) for record in self._log]

    def wait_until_delivered(self, timeout: float = 10) -> bool:
        """Wait until nothing is under way; False when the time is over before."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._under_way, timeout)

    def reset(self, timeout: float = TIMEOUT_SECONDS) -> None:
        """Send nothing of what waits, wait for the answers to what is under way, and forget all."""
        self._ended.set()
        self.wait_until_delivered(timeout)
        with self._changed:
            self._forget()

    def _deliver(
        self, url: str, event: Json, message_id: str, log: list[Json], ended: threading.Event
    ) -> None:
        wait = self._faults.webhook_delay_ms / 1000
        if self._faults.webhook_shuffle:
            wait += random.uniform(0, SHUFFLE_SECONDS)
        try:
            for attempt, pause in enumerate([wait, *self._delays], 1):
                if ended.wait(pause) or self._attempt(url, event, message_id, attempt, log):
                    return
        finally:
            with self._changed:
                if ended is self._ended:
                    self._under_way -= 1
                    self._changed.notify_all()

    def _attempt(
        self, url: str, event: Json, message_id: str, attempt: int, log: list[Json]
    ) -> bool:
        """Whether the endpoint said 2xx."""
        record: Json = {"event_id": message_id, "type": event["type"], "attempt": attempt,
                        "status_code": None, "outcome": None, "error": None, "at": time.time(),
                        "created": event["timestamp"] // 1000}  # fmt: skip
        with self._changed:
            log.append(record)
        body = json.dumps(event).encode()
        sent = headers(self.secret, message_id, int(time.time()), body)
        try:
            answer = _post(url, body, sent)
        except (OSError, ValueError) as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        with self._changed:
            record.update(answer)
        return 200 <= (record["status_code"] or 0) < 300


def _post(url: str, body: bytes, sent: dict[str, str]) -> Json:
    request = urllib.request.Request(url, body, sent)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=TIMEOUT_SECONDS) as response:
            status, text = response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            status, text = error.code, error.read()
    said = json.loads(text)
    outcome = said.get("outcome") or said.get("code") if isinstance(said, dict) else None
    return {"status_code": status, "outcome": outcome}
