"""What `check` asks Clerk: the key set, the issuer, and whether the PEM is one of its keys."""

import json
from collections.abc import Iterator

from cryptography.hazmat.primitives.serialization import load_pem_public_key

from portal_service.clerk import KeySet
from portal_service.commands.findings import Check, Finding, Subject, green, red, yellow
from portal_service.transport import NO_ANSWER

_DISCOVERY = "/.well-known/openid-configuration"
_SECONDS = 4.0


def _keys(subject: Subject) -> Iterator[Finding]:
    settings = subject.settings
    keys = KeySet(settings.clerk_jwks_url, subject.transport)
    answers = keys.probe()
    if settings.clerk_jwt_key is None:
        if answers:
            yield green("clerk_keys", f"{settings.clerk_jwks_url} has the keys")
        else:
            yield red(
                "clerk_keys",
                f"{settings.clerk_jwks_url} answers no key set: nobody is signed in",
                "Correct CLERK_PUBLISHABLE_KEY, CLERK_ISSUER or CLERK_JWKS_URL",
            )
        return
    if not answers:
        yield yellow(
            "clerk_jwt_key",
            f"It could not be compared with Clerk's keys: {settings.clerk_jwks_url} answers none",
            "Let check reach Clerk once; the service itself does not need to",
        )
    elif keys.has(load_pem_public_key(settings.clerk_jwt_key.encode())):
        yield green("clerk_jwt_key", "CLERK_JWT_KEY is a key of the instance")
    else:
        yield red(
            "clerk_jwt_key",
            "CLERK_JWT_KEY is none of the instance's keys: every token is refused",
            "Take the PEM public key from Clerk's page API keys anew, or unset CLERK_JWT_KEY",
        )


def _issuer(subject: Subject) -> Iterator[Finding]:
    """Clerk's instance says who it is; a token says so too, and must say what we were told."""
    ours = subject.settings.clerk_issuer
    try:
        answer = subject.transport.ask("clerk", "GET", ours + _DISCOVERY, {}, None, _SECONDS)
        told = json.loads(answer.body).get("issuer") if answer.status == 200 else None
    except (*NO_ANSWER, ValueError, AttributeError):
        told = None
    if told == ours:
        yield green("clerk_issuer", ours)
    elif told is None:
        yield yellow(
            "clerk_issuer",
            f"{ours} does not say whose issuer it is",
            "Compare it with the Frontend API URL of Clerk's page API keys: tokens must name it",
        )
    else:
        yield red(
            "clerk_issuer",
            f"The instance at {ours} calls itself {told}: every token is refused",
            f"Set CLERK_ISSUER={told}",
        )


KEYS = Check("clerk_keys", _keys)
ISSUER = Check("clerk_issuer", _issuer)
