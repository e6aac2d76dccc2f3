"""Clerk's organizations: who is in which, with what role, and what a session token says of the one
that is active.
"""

from typing import Any

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import BadRequest

from sandbox.control_requests import body, text, tried

VERSIONS = (1, 2)  # of session tokens
# The users of the demo page: an admin and a member of each, and one who is in none.
_INITIAL = {
    "org_acme": {"user_ada": "admin", "user_grace": "member"},
    "org_globex": {"user_grace": "admin", "user_ada": "member", "user_linus": "member"},
}


class Organizations:
    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._roles = {organization: dict(roles) for organization, roles in _INITIAL.items()}

    def all(self) -> dict[str, dict[str, str]]:
        """The role of each member of each organization."""
        return self._roles

    def join(self, organization: str, user: str, role: str) -> None:
        """Also where the user is a member already: a change of the role."""
        if not organization.startswith("org_"):
            raise ValueError("an organization is org_…")
        self._roles.setdefault(organization, {})[user] = role.removeprefix("org:")

    def leave(self, organization: str, user: str) -> None:
        """Raises KeyError where the user is no member."""
        if user not in self._roles.get(organization, {}):
            raise KeyError(f"{user} is no member of {organization}")
        del self._roles[organization][user]

    def claims(self, user: str, active: str | None, version: int = 2) -> dict[str, Any]:
        """What a token says differently while this organization is the active one; None: none is.

        version: of the token; 1 is the one that Clerk gave up in April 2025. Raises KeyError where
        the user is no member.
        """
        if version not in VERSIONS:
            raise ValueError("version is 1 or 2")
        older = {"v": None, "jti": None, "sts": None} if version == 1 else {}
        if active is None:
            return older
        if user not in self._roles.get(active, {}):
            raise KeyError(f"{user} is no member of {active}")
        role, slug = self._roles[active][user], active.removeprefix("org_")
        if version == 2:
            return {"o": {"id": active, "slg": slug, "rol": role}}
        named = {"org_id": active, "org_slug": slug, "org_role": f"org:{role}"}
        return older | named | {"org_permissions": []}

    def claims_of_request(self, user: str, given: dict[str, Any]) -> dict[str, Any]:
        """given: a request for a session, with the fields organization and version."""
        active, version = given.get("organization"), given.get("version", 2)
        if not isinstance(active, str | None):
            raise BadRequest("organization is org_…, or null for none")
        return tried(lambda: self.claims(user, active, version))

    def add_to(self, control: Blueprint) -> None:
        """The control API: GET shows who is in which, POST lets somebody in, or out: role null."""

        @control.get("/organizations")
        def show_organizations() -> ResponseReturnValue:
            return jsonify(self._roles)

        @control.post("/organizations")
        def change_organization() -> ResponseReturnValue:
            given = body("organization", "clerk_id", "role")
            organization, user = text(given, "organization"), text(given, "clerk_id")
            if given.get("role", "") is None:
                tried(lambda: self.leave(organization, user))
            else:
                role = text(given, "role")
                tried(lambda: self.join(organization, user, role))
            return jsonify(self._roles)
