"""Which portal configuration sessions are opened with: the one that STRIPE_PORTAL_CONFIGURATION
names, else the one that `portal configure` made, looked up in the background by its metadata.
"""

import threading
import time

from portal_service import deadline, slots
from portal_service.config import Settings
from portal_service.errors import ServiceError
from portal_service.stripe_api import Stripe, is_our_configuration

KEPT_SECONDS = 300.0
_LOOK_SECONDS = 6.0
THREAD_NAME = "portal_service portal configuration"


class PortalChoice:
    """One per process; nobody waits for it."""

    def __init__(self, settings: Settings, stripe: Stripe) -> None:
        self._named = settings.portal_configuration
        self._stripe = stripe
        self._found: str | None = None
        self._due_at = 0.0
        self._lock = threading.Lock()

    def known(self) -> str | None:
        """Its id; None for the account's default. Begins another look where the last is old."""
        if self._named is None:
            with self._lock:
                is_due = time.monotonic() >= self._due_at
                self._due_at = time.monotonic() + KEPT_SECONDS if is_due else self._due_at
            if is_due:
                self._begin()
        return self._named or self._found

    def _begin(self) -> None:
        threading.Thread(target=self.look, name=THREAD_NAME, daemon=True).start()

    def look(self) -> None:
        """Ask Stripe. Where it does not say, what was known stays."""
        try:
            with slots.background(), deadline.within(_LOOK_SECONDS):
                found = [c for c in self._stripe.portal_configurations() if is_our_configuration(c)]
        except (ServiceError, deadline.OutOfTime):  # which the log has
            return
        self._found = found[0]["id"] if found else None
