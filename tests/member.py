"""A user of Clerk's in an organization, or in none, and what they ask of the service."""

from dataclasses import dataclass
from typing import Any

from service_under_test import Json, Service, session_of
from werkzeug.test import TestResponse

from sandbox.world import clerk_id


@dataclass(frozen=True)
class Member:
    """organization: the one that is active in the session. version: of the token."""

    service: Service
    user: str = "ada"
    organization: str | None = "org_acme"
    version: int = 2

    def call(self, method: str, path: str, **more: Any) -> TestResponse:
        organizations = self.service.world.clerk.organizations
        claims = organizations.claims(clerk_id(self.user), self.organization, self.version)
        headers = self.service.bearer(self.user, **claims)
        return self.service.call(method, path, headers=headers, **more)

    def portal(self, body: Any = None) -> TestResponse:
        return self.call("POST", "/portal", json=body)

    def checkout(self, body: Any = None) -> TestResponse:
        return self.call("POST", "/checkout", json=body)

    def refresh(self, body: Any = None) -> TestResponse:
        return self.call("POST", "/subscription/refresh", json=body)

    def shown(self) -> Json:
        """The status object."""
        answer = self.call("GET", "/subscription")
        assert answer.status_code == 200, answer.text
        return answer.json or {}

    def buys(self, body: Any = None) -> Json:
        """Goes through checkout and pays; no webhook is delivered. Gives the session."""
        stripe = self.service.world.stripe
        session = session_of(stripe, self.checkout(body))
        stripe.checkout(session["id"], "pay")
        paid: Json = stripe.sessions[session["id"]]
        return paid
