"""Tokens of attackers, over HTTP and the real fetch of Clerk's keys: each is 401, none is a fault,
and nothing behind the service is asked.

Forms of a session token, claim by claim, and Clerk's keys: tests/vendors/test_clerk.py.
"""

import base64
import datetime
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from jwt.algorithms import RSAAlgorithm
from service_under_test import APP_URL, Service, refused
from under_attack import CALLS, Json, bearer, forged, part, read

from sandbox.clerk import Clerk
from sandbox.web import Server
from sandbox.world import World

FOREIGN = "https://evil.example"
OTHER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()

Make = Callable[[Clerk], str]


def header_of(clerk: Clerk, **changes: Any) -> Json:
    """The header of Clerk's tokens, changed; a change to ... removes a parameter."""
    header = read(clerk.session_token("user_ada").partition(".")[0]) | changes
    return {name: value for name, value in header.items() if value is not ...}


def claims_of(clerk: Clerk, **changes: Any) -> Json:
    claims = clerk.claims("user_ada") | changes
    return {name: value for name, value in claims.items() if value is not ...}


def by_clerk(header: Json | None = None, claims: Any = None, **changed_claims: Any) -> Make:
    """Signed with Clerk's own key: only what it says is wrong."""

    def make(clerk: Clerk) -> str:
        said = claims_of(clerk, **changed_claims) if claims is None else claims
        return forged(header_of(clerk, **(header or {})), said, clerk._key)

    return make


def by_another_key(header: Json | None = None, **changed_claims: Any) -> Make:
    def make(clerk: Clerk) -> str:
        return forged(
            header_of(clerk, **(header or {})), claims_of(clerk, **changed_claims), OTHER_KEY
        )

    return make


def unsigned(alg: str, signature: str = "") -> Make:
    def make(clerk: Clerk) -> str:
        return f"{part(header_of(clerk, alg=alg))}.{part(claims_of(clerk))}.{signature}"

    return make


def by_hmac(alg: str, secret: Callable[[Clerk], bytes]) -> Make:
    """Signed with something public, as if it were a shared secret."""

    def make(clerk: Clerk) -> str:
        digest = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}[alg]
        signed = f"{part(header_of(clerk, alg=alg))}.{part(claims_of(clerk))}"
        return f"{signed}.{part(hmac.new(secret(clerk), signed.encode(), digest).digest())}"

    return make


def pem(clerk: Clerk) -> bytes:
    return clerk.public_key_pem.encode()


def stripped_pem(clerk: Clerk) -> bytes:
    return clerk.public_key_pem.strip().encode()


def der(clerk: Clerk) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return clerk._key.public_key().public_bytes(serialization.Encoding.DER, form)


def modulus(clerk: Clerk) -> bytes:
    number: int = clerk._key.public_key().public_numbers().n
    return number.to_bytes(256, "big")


def jwk(clerk: Clerk) -> bytes:
    return json.dumps(RSAAlgorithm.to_jwk(clerk._key.public_key(), as_dict=True)).encode()


def by_rsa(alg: str, pad: Any, digest: Any) -> Make:
    """Clerk's own key, another algorithm."""

    def make(clerk: Clerk) -> str:
        signed = f"{part(header_of(clerk, alg=alg))}.{part(claims_of(clerk))}"
        return f"{signed}.{part(clerk._key.sign(signed.encode(), pad, digest))}"

    return make


def by_elliptic_curve(clerk: Clerk) -> str:
    signed = f"{part(header_of(clerk, alg='ES256'))}.{part(claims_of(clerk))}"
    return f"{signed}.{part(EC_KEY.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))}"


def by_edwards_curve(clerk: Clerk) -> str:
    signed = f"{part(header_of(clerk, alg='EdDSA'))}.{part(claims_of(clerk))}"
    return f"{signed}.{part(ED_KEY.sign(signed.encode()))}"


def changed(change: Callable[[str], str]) -> Make:
    """A good token with something done to its text."""
    return lambda clerk: change(clerk.session_token("user_ada"))


def with_part(number: int, value: Any) -> Make:
    def change(token: str) -> str:
        parts = token.split(".")
        parts[number] = part(value)
        return ".".join(parts)

    return changed(change)


def flipped(token: str) -> str:
    """One bit of the signature."""
    signed, _, mac = token.rpartition(".")
    raw = bytearray(base64.urlsafe_b64decode(mac + "=="))
    raw[100] ^= 1
    return f"{signed}.{part(bytes(raw))}"


OWN_JWK = RSAAlgorithm.to_jwk(OTHER_KEY.public_key(), as_dict=True)
PSS = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
LATER, EARLIER = int(time.time()) + 3600, int(time.time()) - 3600

TOKENS: dict[str, Make] = {
    "garbage": lambda _: "garbage",
    "no parts": lambda _: "..",
    "one part": lambda _: part({"alg": "RS256", "typ": "JWT"}),
    "spaces": changed(lambda t: t.replace(".", " . ")),
    "an api key": lambda _: "ak_0123456789abcdef",
    "an opaque oauth token": lambda _: "oat_0123456789abcdef",
    "an opaque machine token": lambda _: "mt_0123456789abcdef",
    "encrypted": changed(lambda t: f"{t}.{part(b'x')}.{part(b'x')}"),
    "a JSON serialization": lambda c: json.dumps(
        dict(zip(("protected", "payload", "signature"), c.session_token("user_ada").split("."),
                 strict=True))
    ),
    "twice": changed(lambda t: f"{t},{t}"),
    "alg none": unsigned("none"),
    "alg None": unsigned("None"),
    "alg NONE": unsigned("NONE"),
    "alg nOnE, signed": unsigned("nOnE", part(b"x")),
    "alg empty": unsigned(""),
    "alg none, signed by clerk": by_clerk({"alg": "none"}),
    "alg missing": by_clerk({"alg": ...}),
    "alg null": by_clerk({"alg": None}),
    "alg a list": by_clerk({"alg": ["RS256"]}),
    "alg rs256": by_clerk({"alg": "rs256"}),
    "HS256 with the PEM": by_hmac("HS256", pem),
    "HS256 with the stripped PEM": by_hmac("HS256", stripped_pem),
    "HS256 with the DER": by_hmac("HS256", der),
    "HS256 with the modulus": by_hmac("HS256", modulus),
    "HS256 with the JWK": by_hmac("HS256", jwk),
    "HS256 with nothing": by_hmac("HS256", lambda _: b""),
    "HS384 with the PEM": by_hmac("HS384", pem),
    "HS512 with the PEM": by_hmac("HS512", pem),
    "RS384 by clerk's key": by_rsa("RS384", padding.PKCS1v15(), hashes.SHA384()),
    "RS512 by clerk's key": by_rsa("RS512", padding.PKCS1v15(), hashes.SHA512()),
    "PS256 by clerk's key": by_rsa("PS256", PSS, hashes.SHA256()),
    "RS256 that is RS512": by_rsa("RS256", padding.PKCS1v15(), hashes.SHA512()),
    "RS256 that is PS256": by_rsa("RS256", PSS, hashes.SHA256()),
    "ES256": by_elliptic_curve,
    "EdDSA": by_edwards_curve,
    "another key": by_another_key(),
    "another key, another kid": by_another_key({"kid": "ins_evil"}),
    "another key in the header": by_another_key({"jwk": OWN_JWK}),
    "another key in the header, no kid": by_another_key({"jwk": OWN_JWK, "kid": ...}),
    "another kid": by_clerk({"kid": "ins_evil"}),
    "kid missing": by_clerk({"kid": ...}),
    "kid empty": by_clerk({"kid": ""}),
    "kid null": by_clerk({"kid": None}),
    "kid a number": by_clerk({"kid": 7}),
    "kid a list": by_clerk({"kid": ["ins_evil"]}),
    "kid a hash": by_clerk({"kid": {"ins": "evil"}}),
    "kid a path": by_clerk({"kid": "../../../../dev/null"}),
    "kid SQL": by_clerk({"kid": "x' union select 'y"}),
    "kid an address": by_clerk({"kid": "http://127.0.0.1:1/jwks.json"}),
    "kid with NUL": by_clerk({"kid": "ins\0"}),
    "kid a lone surrogate": by_clerk({"kid": "\ud800"}),
    "kid long": by_clerk({"kid": "k" * 4000}),
    "a critical extension": by_clerk({"crit": ["exp"], "exp": 1}),
    "an unencoded payload": by_clerk({"b64": False, "crit": ["b64"]}),
    "typ missing": by_clerk({"typ": ...}),
    "an oauth access token": by_clerk({"typ": "at+jwt"}, sub="user_ada", client_id="x", scope="a"),
    "a machine token": by_clerk(sub="mch_0123456789"),
    "a machine token that is JWT": by_clerk({"cat": "cl_M2M"}, sub="mch_0123456789", sid=...),
    "a template's token": by_clerk(sid=..., v=..., aud="supabase", role="authenticated"),
    "pending": by_clerk(sts="pending"),
    "expired": by_clerk(exp=EARLIER),
    "expired long ago": by_clerk(exp=0),
    "expires before time": by_clerk(exp=-1),
    "never expires": by_clerk(exp=...),
    "exp null": by_clerk(exp=None),
    "exp true": by_clerk(exp=True),
    "exp a word": by_clerk(exp="tomorrow"),
    "exp a list": by_clerk(exp=[LATER]),
    "exp NaN": by_clerk(exp=float("nan")),
    "exp minus infinity": by_clerk(exp=float("-inf")),
    "exp infinity": by_clerk(exp=float("inf")),
    "not yet valid": by_clerk(nbf=LATER),
    "nbf far": by_clerk(nbf=10**18),
    "nbf infinity": by_clerk(nbf=float("inf")),
    "nbf missing": by_clerk(nbf=...),
    "issued tomorrow": by_clerk(iat=LATER + 86_400),
    "iat NaN": by_clerk(iat=float("nan")),
    "iss missing": by_clerk(iss=...),
    "iss another": by_clerk(iss="https://clerk.evil.example"),
    "iss empty": by_clerk(iss=""),
    "iss a list with ours": lambda c: by_clerk(iss=[c.issuer])(c),
    "iss ours with a slash": lambda c: by_clerk(iss=f"{c.issuer}/")(c),
    "iss begins as ours": lambda c: by_clerk(iss=f"{c.issuer}.evil.example")(c),
    "iss in capitals": lambda c: by_clerk(iss=c.issuer.upper())(c),
    "sid missing": by_clerk(sid=...),
    "sid empty": by_clerk(sid=""),
    "sid a hash": by_clerk(sid={"sess": 1}),
    "sub missing": by_clerk(sub=...),
    "sub null": by_clerk(sub=None),
    "sub a list": by_clerk(sub=["user_ada"]),
    "sub with a wildcard": by_clerk(sub="user_%"),
    "sub with a comma": by_clerk(sub="user_ada,user_eve"),
    "sub of PostgREST": by_clerk(sub="user_ada&select=*"),
    "sub SQL": by_clerk(sub="user_ada' or '1'='1"),
    "sub with NUL": by_clerk(sub="user_ada\0"),
    "sub with a line end": by_clerk(sub="user_ada\n"),
    "sub of other digits": by_clerk(sub="user_\u0661"),
    "sub a lone surrogate": by_clerk(sub="user_\ud800"),
    "jti a number": by_clerk(jti=7),
    "claims a list": by_clerk(claims=[{"sub": "user_ada"}]),
    "claims a word": by_clerk(claims="user_ada"),
    "claims null": by_clerk(claims=b"null"),
    "claims no JSON": by_clerk(claims=b"{"),
    "claims no UTF-8": by_clerk(claims=b'{"sub": "\xff"}'),
    "claims empty": by_clerk(claims=b""),
    "claims deep": by_clerk(claims=b"[" * 4000),
    "claims a deep hash": by_clerk(claims=b'{"a":' * 1000),
    "claims a long number": by_clerk(claims=b'{"exp": ' + b"9" * 5000 + b"}"),
    "header a list": with_part(0, ["RS256"]),
    "header null": with_part(0, None),
    "header a number": with_part(0, 7),
    "header no JSON": with_part(0, b"{alg: RS256}"),
    "header no UTF-8": with_part(0, b"\xff\xfe"),
    "header empty": with_part(0, b""),
    "header deep": with_part(0, b"[" * 4000),
    "header a deep hash": with_part(0, b'{"alg":' * 1000),
    "header a long number": with_part(0, b'{"alg": ' + b"9" * 5000 + b"}"),
    "claims of another": with_part(1, {"sub": "user_eve", "sid": "x", "exp": LATER, "nbf": 0}),
    "signature missing": changed(lambda t: t.rpartition(".")[0] + "."),
    "signature left out": changed(lambda t: t.rpartition(".")[0]),
    "signature cut": changed(lambda t: t[:-8]),
    "signature of zeros": with_part(2, b"\0" * 256),
    "signature one": with_part(2, b"\0" * 255 + b"\1"),
    "signature flipped": changed(flipped),
    "signature longer": changed(lambda t: t + "AAAA"),
    "not base64": changed(lambda t: f"!{t}"),
    "percent-encoded": changed(lambda t: t.replace(".", "%2E")),
    "quoted": changed(lambda t: f'"{t}"'),
    "beyond ASCII": changed(lambda t: f"{t}\xe9"),
}  # fmt: skip


def answers(service: Service, method: str, path: str, cookie: bool = False) -> Json:
    """What each bad token is answered, by its name."""
    told = {}
    for name, make in TOKENS.items():
        token = make(service.world.clerk)
        carried = {"Cookie": f"__session={token}"} if cookie else bearer(token)
        answer = service.call(method, path, headers=carried | {"Origin": APP_URL})
        told[name] = (answer.status_code, (answer.json or {}).get("code"))
    return told


@pytest.mark.usefixtures("nothing_is_asked")
def test_a_bad_token_is_unauthorized(service: Service) -> None:
    told = answers(service, "GET", "/subscription")
    assert told == dict.fromkeys(TOKENS, (401, "unauthorized"))


@pytest.mark.usefixtures("nothing_is_asked")
@pytest.mark.parametrize("method, path", CALLS)
def test_each_call_asks_for_a_good_one(service: Service, method: str, path: str) -> None:
    for name in ("garbage", "alg none", "HS256 with the PEM", "another key", "expired", "pending"):
        token = TOKENS[name](service.world.clerk)
        refused(service.call(method, path, headers=bearer(token)), "unauthorized")


def test_a_bad_token_in_the_cookie_is_unauthorized_too(service: Service) -> None:
    told = answers(service, "POST", "/portal", cookie=True)
    del told["quoted"]  # as cookies may be
    assert told == dict.fromkeys(TOKENS.keys() - {"quoted"}, (401, "unauthorized"))


def test_the_forging_of_these_tests_makes_good_tokens_too(world: World, service: Service) -> None:
    for make in (by_clerk(), by_clerk(aud=["x"]), by_clerk({"jwk": OWN_JWK, "jku": FOREIGN})):
        answer = service.call("GET", "/subscription", headers=bearer(make(world.clerk)))
        assert answer.status_code == 200


@pytest.mark.parametrize("parameter", ["jku", "x5u", "kid", "iss"])
def test_no_address_in_a_token_is_ever_visited(
    world: World, service: Service, parameter: str
) -> None:
    evil = Clerk(world.faults)
    with Server(evil.app()) as server:
        evil.issuer = server.url
        token = forged(
            header_of(world.clerk, **{parameter: evil.jwks_url}),
            claims_of(world.clerk, iss=evil.issuer),
            evil._key,
        )
        refused(service.call("GET", "/subscription", headers=bearer(token)), "unauthorized")
    assert evil.jwks_requests == 0


@pytest.mark.parametrize(
    "claim, seconds, accepted",
    [
        ("exp", -4, True),
        ("exp", -5, False),
        ("exp", -6, False),
        ("nbf", 5, True),
        ("nbf", 6, False),
        ("iat", 5, True),
        ("iat", 6, False),
    ],
)
def test_the_leeway_is_five_seconds_and_not_one_more(
    world: World,
    service: Service,
    monkeypatch: pytest.MonkeyPatch,
    claim: str,
    seconds: int,
    accepted: bool,
) -> None:
    now = int(time.time())

    class Standing(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> "Standing":
            return cls.fromtimestamp(now, tz)

    monkeypatch.setattr("jwt.api_jwt.datetime", Standing)
    answer = service.call("GET", "/subscription", headers=service.bearer(**{claim: now + seconds}))
    if accepted:
        assert answer.status_code == 200
    else:
        refused(answer, "unauthorized")
