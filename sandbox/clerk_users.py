"""The users of Clerk's stand-in: they change their address and name, and leave, and Clerk's
webhooks say so. Whoever is asked about for the first time is there, with an address of their own.
Organizations get a new name, and are deleted; who is in which is in organizations.py.

Shapes: clerk.com/docs/webhooks, and the User object of the Backend API."""

import copy
import secrets
import threading
import time
from typing import Any

from sandbox.clerk_webhooks import ClerkWebhooks

Json = dict[str, Any]


class ClerkUsers:
    def __init__(self, webhooks: ClerkWebhooks) -> None:
        self._webhooks = webhooks
        self._lock = threading.Lock()
        self._instance = f"ins_{secrets.token_hex(12)}"
        self._users: dict[str, Json | None] = {}  # None: deleted
        self._last = 0

    def reset(self) -> None:
        self._webhooks.reset()
        with self._lock:
            self._users = {}

    def user(self, clerk_id: str) -> Json:
        """Raises KeyError for one who left."""
        with self._lock:
            return copy.deepcopy(self._user(clerk_id))

    def change(self, clerk_id: str, **changes: Any) -> Json:
        """Change `email`, which then is the verified primary one, `first_name`, `last_name`.

        Sends user.updated, and returns it. Raises KeyError for one who left.
        """
        with self._lock:
            user = self._user(clerk_id)
            email = changes.pop("email", None)
            if email is not None:
                user["email_addresses"] = [address(email)]
                user["primary_email_address_id"] = user["email_addresses"][0]["id"]
            user.update(changes, updated_at=self._now())
            event = self.event("user.updated", user)
        self._webhooks.send(event)
        return event

    def delete(self, clerk_id: str) -> Json:
        """Sends user.deleted, and returns it. Raises KeyError for one who left before."""
        with self._lock:
            self._user(clerk_id)
            self._users[clerk_id] = None
            event = self.event("user.deleted", {"deleted": True, "id": clerk_id, "object": "user"})
        self._webhooks.send(event)
        return event

    def rename_organization(self, clerk_id: str, name: str) -> Json:
        """Sends organization.updated, and returns it."""
        with self._lock:
            now = self._now()
            data = {"id": clerk_id, "object": "organization", "name": name, "created_at": now,
                    "updated_at": now, "slug": clerk_id.removeprefix("org_"), "image_url": "",
                    "public_metadata": {}, "private_metadata": {}}  # fmt: skip
            event = self.event("organization.updated", data)
        self._webhooks.send(event)
        return event

    def delete_organization(self, clerk_id: str) -> Json:
        """Sends organization.deleted, and returns it."""
        data = {"deleted": True, "id": clerk_id, "object": "organization"}
        with self._lock:
            event = self.event("organization.deleted", data)
        self._webhooks.send(event)
        return event

    def event(self, type: str, data: Json) -> Json:
        """An event as Clerk words it, also of what is not a user; not sent yet."""
        request = {"client_ip": "127.0.0.1", "user_agent": "sandbox"}
        return {
            "data": copy.deepcopy(data),
            "event_attributes": {"http_request": request},
            "instance_id": self._instance,
            "object": "event",
            "timestamp": self._now(),
            "type": type,
        }

    def _user(self, clerk_id: str) -> Json:
        if clerk_id not in self._users:
            self._users[clerk_id] = new_user(clerk_id, self._now())
        user = self._users[clerk_id]
        if user is None:
            raise KeyError(f"{clerk_id} left")
        return user

    def _now(self) -> int:
        """Milliseconds since 1970; later each time, so that events have an order."""
        self._last = max(self._last + 1, int(time.time() * 1000))
        return self._last


def new_user(clerk_id: str, now: int) -> Json:
    name = clerk_id.removeprefix("user_")
    primary = address(f"{name}@example.com")
    return {
        "id": clerk_id,
        "object": "user",
        "banned": False,
        "created_at": now,
        "email_addresses": [primary],
        "external_accounts": [],
        "external_id": None,
        "first_name": name.capitalize(),
        "last_name": None,
        "last_sign_in_at": now,
        "locked": False,
        "password_enabled": True,
        "phone_numbers": [],
        "primary_email_address_id": primary["id"],
        "primary_phone_number_id": None,
        "primary_web3_wallet_id": None,
        "private_metadata": {},
        "public_metadata": {},
        "two_factor_enabled": False,
        "unsafe_metadata": {},
        "updated_at": now,
        "username": None,
        "web3_wallets": [],
    }


def address(email: str, status: str = "verified") -> Json:
    return {
        "id": f"idn_{secrets.token_hex(13)}",
        "object": "email_address",
        "email_address": email,
        "linked_to": [],
        "reserved": False,
        "verification": {"status": status, "strategy": "email_code"},
    }
