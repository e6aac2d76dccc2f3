"""Who is signed in at Clerk's stand-in, in which browser, and how Clerk's Frontend API says it.

Shapes: the types of @clerk/shared, and what @clerk/clerk-js reads. As in a development instance a
browser is known by `__clerk_db_jwt`, and has one session at most. How it is asked for over HTTP is
in clerk_frontend.py.
"""

import base64
import hashlib
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sandbox.clerk import Clerk
from sandbox.clerk_users import ClerkUsers

Json = dict[str, Any]

YEAR = 365 * 24 * 3600
TEMPLATE_CATEGORY = "cl_B7d4PD222AAA"  # Clerk's mark of tokens from JWT templates
_USERS = ("user_ada", "user_grace", "user_linus", "user_margaret")
# What a session token has and one from a template lacks.
_SESSIONS_OWN = ("fva", "sid", "sts", "v")


@dataclass
class Session:
    user: str
    organization: str | None
    id: str = field(default_factory=lambda: f"sess_{secrets.token_hex(13)}")
    began: int = field(default_factory=lambda: int(time.time()))  # seconds since 1970


class ClerkSessions:
    """arrived: told the Clerk id of whoever signs in."""

    def __init__(self, clerk: Clerk, users: ClerkUsers, arrived: Callable[[str], object]) -> None:
        self._clerk = clerk
        self._users = users
        self._arrived = arrived
        self._lock = threading.Lock()
        self._browsers: dict[str, Session | None] = {}

    def reset(self) -> None:
        """Everybody is signed out; browsers stay known."""
        with self._lock:
            self._browsers = dict.fromkeys(self._browsers)

    def new_browser(self) -> str:
        browser = f"dvb_{secrets.token_hex(13)}"
        with self._lock:
            self._browsers[browser] = None
        return browser

    def knows(self, browser: str) -> bool:
        return browser in self._browsers

    def roles(self) -> dict[str, dict[str, str]]:
        """Who may sign in, with the role in each organization that they are in."""
        found: dict[str, dict[str, str]] = {user: {} for user in _USERS}
        for organization, members in self._clerk.organizations.all().items():
            for user, role in members.items():
                found.setdefault(user, {})[organization] = role
        return found

    def sign_in(self, browser: str, user: str, organization: str | None) -> None:
        """Raises KeyError where the user left, or is no member of the organization."""
        self._users.user(user)
        self._clerk.organizations.claims(user, organization)
        self._arrived(user)
        with self._lock:
            self._browsers[browser] = Session(user, organization)

    def sign_out(self, browser: str) -> None:
        with self._lock:
            self._browsers[browser] = None

    def session(self, browser: str, id: str | None = None) -> Session | None:
        """The browser's session, where it has one, of that id if one is given."""
        session = self._browsers.get(browser)
        if session is None or id not in (None, session.id):
            return None
        try:
            self._users.user(session.user)
        except KeyError:  # the account is gone, and its sessions with it
            return None
        return session

    def activate(self, session: Session, organization: str | None) -> None:
        """Raises KeyError where the user is no member."""
        self._clerk.organizations.claims(session.user, organization)
        session.organization = organization

    def token(self, session: Session, origin: str | None) -> str:
        """origin: of the page that asks."""
        try:
            active = self._clerk.organizations.claims(session.user, session.organization)
        except KeyError:  # no member any more
            active = self._clerk.organizations.claims(session.user, None)
        claims = {"azp": origin, "sid": session.id} | active
        return self._clerk.session_token(session.user, **claims)

    def template_token(self, session: Session, origin: str | None) -> str:
        """As getToken({ template }) gives one."""
        claims = self._clerk.claims(session.user) | {"azp": origin}
        kept = {name: value for name, value in claims.items() if name not in _SESSIONS_OWN}
        return self._clerk.sign(kept, cat=TEMPLATE_CATEGORY)

    def handshake(self, browser: str, origin: str | None) -> str:
        """What Clerk's middleware sets as cookies when a browser comes back from Clerk."""
        session = self.session(browser)
        cookies = {"__clerk_db_jwt": browser, "__client_uat": "0", "__session": ""}
        if session:
            cookies |= {
                "__client_uat": str(session.began),
                "__session": self.token(session, origin),
            }
        suffix = _cookie_suffix(self._clerk.publishable_key)
        directives = [
            f"{name}{end}={value}; Path=/; Max-Age={YEAR if value else 0}; SameSite=Lax"
            for name, value in cookies.items()
            for end in ("", f"_{suffix}")
        ]
        return self._clerk.sign({"handshake": directives})

    def client(self, browser: str, origin: str | None) -> Json:
        session = self.session(browser)
        now = (session.began if session else int(time.time())) * 1000
        return {
            "object": "client",
            "id": f"client_{browser.removeprefix('dvb_')}",
            "sessions": [self.session_resource(session, origin)] if session else [],
            "sign_in": None,
            "sign_up": None,
            "last_active_session_id": session.id if session else None,
            "cookie_expires_at": None,
            "captcha_bypass": False,
            "created_at": now,
            "updated_at": now,
        }

    def session_resource(self, session: Session, origin: str | None) -> Json:
        began = session.began * 1000
        user = self._user(session.user)
        names = ("first_name", "last_name", "image_url", "has_image")
        identifier = user["email_addresses"][0]["email_address"]
        return {
            "object": "session",
            "id": session.id,
            "status": "active",
            "expire_at": began + YEAR * 1000,
            "abandon_at": began + YEAR * 1000,
            "last_active_at": began,
            "last_active_organization_id": session.organization,
            "last_active_token": {"object": "token", "jwt": self.token(session, origin)},
            "actor": None,
            "tasks": None,
            "factor_verification_age": [0, -1],
            "user": user,
            "public_user_data": {name: user[name] for name in names}
            | {"user_id": session.user, "identifier": identifier},
            "created_at": began,
            "updated_at": began,
        }

    def _user(self, clerk_id: str) -> Json:
        user = self._users.user(clerk_id) | {"image_url": "", "has_image": False}
        joined = user["created_at"]
        memberships = [
            _membership(organization, roles[clerk_id], joined)
            for organization, roles in self._clerk.organizations.all().items()
            if clerk_id in roles
        ]
        return user | {"passkeys": [], "organization_memberships": memberships}


def _membership(organization: str, role: str, joined: int) -> Json:
    slug = organization.removeprefix("org_")
    times = {"created_at": joined, "updated_at": joined}
    return {
        "object": "organization_membership",
        "id": f"orgmem_{slug}",
        "role": f"org:{role}",
        "role_name": role.capitalize(),
        "permissions": [],
        "public_metadata": {},
        "organization": {
            "object": "organization",
            "id": organization,
            "name": slug.capitalize(),
            "slug": slug,
            "image_url": "",
            "has_image": False,
            "public_metadata": {},
            **times,
        },
        **times,
    }


def _cookie_suffix(publishable_key: str) -> str:
    """As getCookieSuffix of @clerk/shared."""
    digest = hashlib.sha1(publishable_key.encode(), usedforsecurity=False).digest()
    return base64.urlsafe_b64encode(digest).decode()[:8]
