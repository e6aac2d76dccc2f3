"""A Clerk session token -> its claims, or why not. Knows Clerk's keys, and no HTTP request of ours.

Rules: clerk.com/docs, "Manual JWT verification" and "Session tokens".
"""

import json
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jwt
from jwt import PyJWK, PyJWKSet
from jwt.algorithms import RSAAlgorithm

from portal_service import last_call
from portal_service.config import Settings
from portal_service.errors import ServiceError
from portal_service.known_tokens import Known, KnownTokens
from portal_service.log import log
from portal_service.metrics import KEYS_FETCHED, VENDOR_ERRORS
from portal_service.owner import ORGANIZATION, USER, ActiveOrganization
from portal_service.transport import NO_ANSWER, Transport

Claims = Mapping[str, Any]

LEEWAY_SECONDS = 5
_LIFESPAN_SECONDS = 300  # after this the key set is fetched again
_COOLDOWN_SECONDS = 30  # between two fetches that bad tokens, or failures, can cause
_FIRST_COOLDOWN_SECONDS = 1  # between two tries as long as there is no key set at all
_FETCH_SECONDS = 2.0
_GARBAGE = (ValueError, TypeError, AttributeError, RecursionError)  # what parsing it can raise
_REQUIRED = ["exp", "nbf", "iss", "sid", "sub"]


class TokenRefused(Exception):
    """Raised when a token is not a session token of ours; the message says why, for the log."""


def active_organization(claims: Claims) -> ActiveOrganization | None:
    """Version 2 names it in `o`; version 1, which has no `v`, in `org_id` and `org_role`: beside a
    `v` those are claims of the team's own. Roles are written with `org:` or without.
    """
    given = claims["o"] if isinstance(claims.get("o"), dict) else {}
    organization, role = given.get("id"), given.get("rol")
    if organization is None and claims.get("v") is None:
        organization, role = claims.get("org_id"), claims.get("org_role")
    if not isinstance(organization, str) or not ORGANIZATION.has(organization):
        return None
    role = role.removeprefix("org:") if isinstance(role, str) else None
    return ActiveOrganization(organization, role)


class NoKeySet(ValueError):
    """Raised when what Clerk's address answers is no key set."""


class Clerk:
    """Verifies session tokens, by the PEM key or by the instance's key set.

    transport: the process' own, else one for this alone.
    """

    def __init__(self, settings: Settings, transport: Transport | None = None) -> None:
        self._settings = settings
        self.key_set = None
        self._known = KnownTokens()
        if settings.clerk_jwt_key:
            self._pem_key = RSAAlgorithm(RSAAlgorithm.SHA256).prepare_key(settings.clerk_jwt_key)
        else:
            transport = transport or Transport.for_threads(settings.threads)
            self.key_set = KeySet(settings.clerk_jwks_url, transport)

    def claims(self, token: str) -> Claims:
        """The verified claims. Raises TokenRefused, or ServiceError when no key can be had."""
        began = time.monotonic()
        known = self._known.get(token)
        if known and known.key is self._key(known.kid, began):  # whatever another key verified
            return known.claims
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") != "RS256" or header.get("typ") != "JWT":
                raise TokenRefused("not an RS256 JWT")
            claims, key = self._verified(token, header.get("kid"), began)
        except jwt.PyJWTError as error:
            raise TokenRefused(type(error).__name__) from error
        if claims.get("sts") == "pending":
            raise TokenRefused("the session is pending")
        if not USER.has(claims["sub"]):
            raise TokenRefused("the subject is not a user")
        if not isinstance(claims["sid"], str) or not claims["sid"]:
            raise TokenRefused("not a session's token")
        self._known.keep(token, Known(claims, header.get("kid"), key, int(claims["exp"])))
        return claims

    def _key(self, kid: Any, began: float) -> Any:
        return self.key_set.key(kid, began) if self.key_set else self._pem_key

    def _verified(self, token: str, kid: Any, began: float) -> tuple[Claims, Any]:
        """The claims, and the key that verified them."""
        key = self._key(kid, began)
        try:
            return self._decoded(token, key), key
        except jwt.InvalidSignatureError:
            if self.key_set is None:
                raise
            # An instance keeps its key's id when it rotates the key.
            newer = self.key_set.newer_key(kid, began)
            if newer is key:
                raise
            return self._decoded(token, newer), newer

    def _decoded(self, token: str, key: Any) -> Claims:
        return jwt.decode(
            token,
            key,
            algorithms=["RS256"],
            issuer=self._settings.clerk_issuer,
            leeway=LEEWAY_SECONDS,
            options={"require": _REQUIRED, "verify_aud": False},
        )


class KeySet:
    """Clerk's public keys. The last good set outlives an outage of the address it came from.

    A token can cause a fetch when there is no set, when the set is old, and, once per cool-down,
    when its key is unknown or its signature bad. One thread fetches, and none waits for it.
    """

    def __init__(self, url: str, transport: Transport) -> None:
        self._url = url
        self._transport = transport
        self._lock = threading.Lock()  # held while fetching; never needed to read
        self._keys: dict[str, PyJWK] = {}
        self._fetched_at = 0.0
        self._next_try = 0.0  # a fetch that failed, or that a bad token caused, moves this on

    def key(self, kid: Any, began: float) -> PyJWK:
        """The key of that id.

        began: when the caller started, on the monotonic clock; a set fetched since is the newest.
        Raises TokenRefused for an unknown id, ServiceError when no set was ever loaded.
        """
        if not self._keys:
            self._load_first()
        elif time.monotonic() - self._fetched_at > _LIFESPAN_SECONDS:
            self._renew()
        return self._keys[kid] if kid in self._keys else self.newer_key(kid, began)

    def newer_key(self, kid: Any, began: float) -> PyJWK:
        """The key of that id for a token that the present set does not verify.

        Fetches, but at most once per cool-down. Raises TokenRefused for an unknown id.
        """
        with self._fetching() as is_ours:
            if not is_ours:
                raise ServiceError("clerk_unavailable")  # the key may be in what is being fetched
            may_fetch = time.monotonic() >= self._next_try
            self._next_try = max(self._next_try, time.monotonic() + _COOLDOWN_SECONDS * may_fetch)
            if may_fetch and self._fetched_at < began:
                self._fetch()
        if kid not in self._keys:
            raise TokenRefused("unknown key id")
        return self._keys[kid]

    def probe(self) -> bool:
        """Fetch now, or let who is fetching do it; whether Clerk answers."""
        with self._fetching() as is_ours:
            return self._fetch() if is_ours else bool(self._keys)

    def has(self, key: object) -> bool:
        """Whether a public key, as cryptography has it, is one of the set."""
        return any(known.key == key for known in self._keys.values())

    def _load_first(self) -> None:
        with self._fetching() as is_ours:
            due = is_ours and not self._keys and time.monotonic() >= self._next_try
            if due and not self._fetch():
                self._next_try = time.monotonic() + _FIRST_COOLDOWN_SECONDS
        if not self._keys:
            raise ServiceError("clerk_unavailable")

    def _renew(self) -> None:
        """One call renews, the others go on with the set that there is."""
        if time.monotonic() < self._next_try:
            return
        with self._fetching() as is_ours:
            if is_ours and not self._fetch():
                self._next_try = time.monotonic() + _COOLDOWN_SECONDS

    @contextmanager
    def _fetching(self) -> Iterator[bool]:
        """Whether this thread is the one that may fetch."""
        is_ours = self._lock.acquire(blocking=False)
        try:
            yield is_ours
        finally:
            if is_ours:
                self._lock.release()

    def _fetch(self) -> bool:
        try:
            headers = {"User-Agent": "portal_service", "Accept-Encoding": "gzip"}
            answer = self._transport.ask("clerk", "GET", self._url, headers, None, _FETCH_SECONDS)
            if answer.status != 200:
                raise NoKeySet(f"status {answer.status}")
            key_set = PyJWKSet.from_dict(json.loads(answer.body))
            keys = {k.key_id: k for k in key_set.keys if k.key_id}
            if not keys:
                raise NoKeySet("no keys")
        except (*_GARBAGE, *NO_ANSWER, jwt.PyJWTError) as error:
            VENDOR_ERRORS.labels("clerk", type(error).__name__).inc()
            log(logging.ERROR, "clerk's key set can't be fetched", reason=type(error).__name__,
                **last_call.fields())  # fmt: skip
            return False
        self._keys, self._fetched_at = keys, time.monotonic()
        KEYS_FETCHED.labels("clerk").set_to_current_time()
        return True
