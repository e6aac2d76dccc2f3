"""Idempotency keys as Stripe keeps them: the answer to a key is saved, an error of Stripe's own
too, and said again to whoever brings the key with the same request."""

import threading
from dataclasses import dataclass
from typing import Any

from sandbox.stripe.errors import StripeError

Json = dict[str, Any]

KEY_LENGTH = 255
KEPT_SECONDS = 86_400


@dataclass
class Saved:
    path: str
    body: bytes
    at: float
    answer: tuple[int, Json] | None = None  # None while the first request is under way


class IdempotencyKeys:
    """`store` is the account's; emptying it forgets every key."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def begin(
        self, store: dict[str, Any], key: str, path: str, body: bytes, now: float
    ) -> tuple[int, Json] | None:
        """The saved answer, or None when the request is to be executed. Raises StripeError."""
        if len(key) > KEY_LENGTH:
            raise _error(f"Idempotency keys can have up to {KEY_LENGTH} characters.")
        with self._lock:
            saved = store.get(key)
            if saved is None or now - saved.at > KEPT_SECONDS:
                store[key] = Saved(path, body, now)
                return None
            if saved.path != path:
                raise _error(
                    "Keys for idempotent requests can only be used for the same endpoint they "
                    f"were first used for ('{path}' vs '{saved.path}'). Try using a key other "
                    f"than '{key}' if you meant to execute a different request."
                )
            if saved.body != body:
                raise _error(
                    "Keys for idempotent requests can only be used with the same parameters "
                    f"they were first used with. Try using a key other than '{key}' if you "
                    "meant to execute a different request."
                )
            if saved.answer is None:
                raise _error(
                    "There is currently another in-progress request using this Idempotent Key "
                    "(that probably means you submitted twice, and the other request is still "
                    f"going through): {key}. Please try again later.",
                    status=409,
                    code="idempotency_key_in_use",
                )
            answer: tuple[int, Json] = saved.answer
            return answer

    def end(self, store: dict[str, Any], key: str, answer: tuple[int, Json] | None) -> None:
        """Save the answer; None forgets the key, as for a request that was not executed."""
        with self._lock:
            if answer is None:
                store.pop(key, None)
            elif key in store:
                store[key].answer = answer


def _error(message: str, status: int = 400, code: str | None = None) -> StripeError:
    return StripeError(message, status=status, type="idempotency_error", code=code)
