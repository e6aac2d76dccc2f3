"""Who is asking: the keys of a project, and how a request's token is verified."""

from collections.abc import Callable
from typing import Any

import jwt
from flask import request

from sandbox.supabase.answers import refusal

ROLES = ("anon", "authenticated", "service_role")


def api_key(role: str, jwt_secret: str) -> str:
    """The anon or service_role key of a project, as Supabase makes the older kind."""
    claims = {"iss": "supabase", "ref": "sandbox", "role": role, "exp": 4102444800}
    return jwt.encode(claims, jwt_secret, algorithm="HS256")


def claims_of_request(
    jwt_secret: str, third_party: Callable[[], str] | None = None
) -> dict[str, Any]:
    """What the token says, at least the role. Raises a refusal, and notes the role for others.

    third_party: the public key of another issuer, as a project that trusts Clerk has it.
    """
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        token = request.headers.get("apikey", "")  # Supabase's gateway passes the key on
    claims = _verified(token.strip(), jwt_secret, third_party) if token else {}
    role = request.environ["sandbox.role"] = claims.setdefault("role", "anon")
    if role not in ROLES:
        raise refusal(403, "42501", f'permission denied to set role "{role}"')
    return claims


def _verified(token: str, jwt_secret: str, third_party: Callable[[], str] | None) -> dict[str, Any]:
    if (parts := token.count(".") + 1) != 3:
        raise refusal(401, "PGRST301", f"Expected 3 parts in JWT; got {parts}")
    try:
        theirs = third_party and jwt.get_unverified_header(token).get("alg") == "RS256"
        return jwt.decode(
            token,
            third_party() if third_party and theirs else jwt_secret,
            algorithms=["RS256" if theirs else "HS256"],
            leeway=30,
            options={"verify_aud": False, "verify_sub": False, "verify_jti": False},
        )
    except jwt.ExpiredSignatureError as error:
        raise refusal(401, "PGRST303", "JWT expired") from error
    except jwt.ImmatureSignatureError as error:
        raise refusal(401, "PGRST303", "JWT not yet valid") from error
    except jwt.PyJWTError as error:
        details = "None of the keys was able to decode the JWT"
        raise refusal(401, "PGRST301", "No suitable key or wrong key type", details) from error
