"""Keeps what the stand-in for Stripe holds in a file, so that it agrees with the tables, which are
kept too."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sandbox.stripe.state import StripeState

# Not the answers saved by idempotency key: Stripe too forgets those.
KEPT = (
    "customers",
    "subscriptions",
    "schedules",
    "sessions",
    "orders",
    "portal_sessions",
    "invoices",
    "events",
    "products",
    "prices",
    "configurations",
)
KEPT_EVENTS = 500


class StripeStore:
    def __init__(self, state: StripeState, path: Path) -> None:
        self._state = state
        self._path = path
        self._saved: Any = None

    def load(self) -> bool:
        """Put back what was saved; False where nothing was that this version understands."""
        try:
            saved = json.loads(self._path.read_text())
            kept = {name: saved[name] for name in KEPT}
        except (FileNotFoundError, ValueError, KeyError):
            return False
        with self._state.lock:
            vars(self._state).update(kept)
            self._move_pages()
        self._saved = self._mark()
        return True

    def save(self) -> None:
        """Write the file anew if something happened since the last time."""
        with self._state.lock:
            mark = self._mark()
            if mark == self._saved:
                return
            kept = {name: getattr(self._state, name) for name in KEPT}
            kept["events"] = dict(list(kept["events"].items())[-KEPT_EVENTS:])
            text = json.dumps(kept)
        new = self._path.with_suffix(".new")
        new.write_text(text)
        new.replace(self._path)  # whole or not at all
        self._saved = mark

    def _move_pages(self) -> None:
        """The stand-in takes another port at each start; pages that are still open go with it."""
        for session in (*self._state.sessions.values(), *self._state.portal_sessions.values()):
            if session["url"]:
                session["url"] = self._state.public_url() + urlsplit(session["url"]).path

    def _mark(self) -> list[Any]:
        """Moves with every change: each adds an event or an object, and a reset removes them."""
        return [next(reversed(getattr(self._state, name)), None) for name in KEPT]
