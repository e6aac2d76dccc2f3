"""A Clerk session token -> its claims, or why not. Knows Clerk's keys, and no HTTP request of ours.

Rules: clerk.com/docs, "Manual JWT verification" and "Session tokens".
"""

import logging
import re
import threading
import time
from typing import Any

import jwt
import requests
from jwt import PyJWK, PyJWKSet

from portal_service import deadline
from portal_service.config import Settings
from portal_service.errors import ServiceError
from portal_service.log import log
from portal_service.metrics import VENDOR_ERRORS

Claims = dict[str, Any]

LEEWAY_SECONDS = 5
_LIFESPAN_SECONDS = 300  # after this the key set is fetched again
_COOLDOWN_SECONDS = 30  # between two fetches that bad tokens, or failures, can cause
_FIRST_COOLDOWN_SECONDS = 1  # between two tries as long as there is no key set at all
_FETCH_SECONDS = 2.0
_GARBAGE = (ValueError, TypeError, AttributeError, RecursionError)  # what parsing it can raise
_REQUIRED = ["exp", "nbf", "iss", "sid", "sub"]


class TokenRefused(Exception):
    """Raised when a token is not a session token of ours; the message says why, for the log."""


class Clerk:
    """Verifies session tokens, by the PEM key or by the instance's key set."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.key_set = None if settings.clerk_jwt_key else KeySet(settings.clerk_jwks_url)

    def claims(self, token: str) -> Claims:
        """The verified claims. Raises TokenRefused, or ServiceError when no key can be had."""
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") != "RS256" or header.get("typ") != "JWT":
                raise TokenRefused("not an RS256 JWT")
            claims = self._verified(token, header.get("kid"))
        except jwt.PyJWTError as error:
            raise TokenRefused(type(error).__name__) from error
        if claims.get("sts") == "pending":
            raise TokenRefused("the session is pending")
        if not re.fullmatch(r"user_[\w-]{1,100}", claims["sub"], re.ASCII):
            raise TokenRefused("the subject is not a user")
        if not isinstance(claims["sid"], str) or not claims["sid"]:
            raise TokenRefused("not a session's token")
        return claims

    def _verified(self, token: str, kid: Any) -> Claims:
        if self.key_set is None:
            return self._decoded(token, self._settings.clerk_jwt_key)
        began = time.monotonic()
        key = self.key_set.key(kid, began)
        try:
            return self._decoded(token, key)
        except jwt.InvalidSignatureError:
            # An instance keeps its key's id when it rotates the key.
            newer = self.key_set.newer_key(kid, began)
            if newer is key:
                raise
            return self._decoded(token, newer)

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
    when its key is unknown or its signature bad.
    """

    def __init__(self, url: str) -> None:
        self._url = url
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
        with self._lock:
            may_fetch = time.monotonic() >= self._next_try
            self._next_try = max(self._next_try, time.monotonic() + _COOLDOWN_SECONDS * may_fetch)
            if may_fetch and self._fetched_at < began:
                self._fetch()
        if kid not in self._keys:
            raise TokenRefused("unknown key id")
        return self._keys[kid]

    def probe(self) -> bool:
        """Fetch now; whether that worked."""
        with self._lock:
            return self._fetch()

    def _load_first(self) -> None:
        with self._lock:  # all wait for the first set
            due = not self._keys and time.monotonic() >= self._next_try
            if due and not self._fetch():
                self._next_try = time.monotonic() + _FIRST_COOLDOWN_SECONDS
        if not self._keys:
            raise ServiceError("clerk_unavailable")

    def _renew(self) -> None:
        """One call renews, the others go on with the set that there is."""
        if time.monotonic() < self._next_try or not self._lock.acquire(blocking=False):
            return
        try:
            if not self._fetch():
                self._next_try = time.monotonic() + _COOLDOWN_SECONDS
        finally:
            self._lock.release()

    def _fetch(self) -> bool:
        try:
            answer = requests.get(
                self._url,
                timeout=deadline.attempt(_FETCH_SECONDS),
                allow_redirects=False,
                headers={"User-Agent": "portal_service"},
            )
            answer.raise_for_status()
            keys = {k.key_id: k for k in PyJWKSet.from_dict(answer.json()).keys if k.key_id}
            if not keys:
                raise ValueError("no keys")
        except (*_GARBAGE, requests.RequestException, jwt.PyJWTError, deadline.OutOfTime) as error:
            VENDOR_ERRORS.labels("clerk", type(error).__name__).inc()
            log(logging.ERROR, "clerk's key set can't be fetched", reason=type(error).__name__)
            return False
        self._keys, self._fetched_at = keys, time.monotonic()
        return True
