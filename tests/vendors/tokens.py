"""Session tokens as Clerk signs them, and as others do."""

import base64
import functools
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from given import ISSUER

from portal_service.clerk import Clerk, TokenRefused

KID = "ins_1"
HEADER = {"alg": "RS256", "typ": "JWT", "kid": KID}


@functools.cache
def private_key(name: str) -> RSAPrivateKey:
    return generate_private_key(65537, 2048)


def pem(name: str = "ours") -> str:
    public = private_key(name).public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def claims(**changes: Any) -> dict[str, Any]:
    """Those of a session token; None takes one away."""
    now = int(time.time())
    of_a_session = {
        "azp": "https://app.example.com",
        "exp": now + 60,
        "fva": [0, -1],
        "iat": now,
        "iss": ISSUER,
        "jti": "a1",
        "nbf": now - 5,
        "sid": "sess_1",
        "sub": "user_ada",
        "v": 2,
    }
    return {name: value for name, value in (of_a_session | changes).items() if value is not None}


def token(
    *, key: str = "ours", kid: str | None = KID, header: dict[str, Any] | None = None,
    **changes: Any,
) -> str:  # fmt: skip
    headers = ({"kid": kid} if kid else {}) | {"cat": "cl_x"} | (header or {})
    return jwt.encode(claims(**changes), private_key(key), "RS256", headers)


def by_hand(header: dict[str, Any], payload: Any, sign: Callable[[bytes], bytes]) -> str:
    """A token that no library would make."""

    def encoded(raw: bytes) -> str:
        return base64.urlsafe_b64encode(raw).decode().rstrip("=")

    signed = f"{encoded(json.dumps(header).encode())}.{encoded(json.dumps(payload).encode())}"
    return f"{signed}.{encoded(sign(signed.encode()))}"


def signer(algorithm: str, key: str = "ours") -> Callable[[bytes], bytes]:
    return lambda message: jwt.get_algorithm_by_name(algorithm).sign(message, private_key(key))


def refusal(clerk: Clerk, refused_token: str) -> str:
    with pytest.raises(TokenRefused) as refused:
        clerk.claims(refused_token)
    return str(refused.value)


ALGORITHMS: dict[str, Callable[[bytes], bytes]] = {
    "none": lambda message: b"",
    "None": lambda message: b"",
    "": lambda message: b"",
    "HS256": lambda message: hmac.digest(pem().encode(), message, "sha256"),
    "RS384": signer("RS384"),
    "RS512": signer("RS512"),
    "PS256": signer("PS256"),
    "rs256": signer("RS256"),
    "ES256": lambda message: b"\0" * 64,
}
