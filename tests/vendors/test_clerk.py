"""Session tokens with real keys, by the PEM. By a key set: test_clerk_keys.py. As attacks on the
service: access/test_tokens.py.
"""

import itertools
import json
import string
import time
from typing import Any

import jwt
import pytest
from given import ISSUER, settings
from hypothesis import given as for_all
from hypothesis import strategies as st
from tokens import (
    ALGORITHMS,
    HEADER,
    KID,
    by_hand,
    claims,
    pem,
    private_key,
    refusal,
    signer,
    token,
)

from portal_service.clerk import Clerk, active_organization
from portal_service.owner import ActiveOrganization


@pytest.fixture(scope="module")
def by_pem() -> Clerk:
    return Clerk(settings(clerk_jwt_key=pem(), clerk_jwks_url="http://127.0.0.1:1/unreachable"))


def test_the_claims_of_a_session_token_are_given_back(by_pem: Clerk) -> None:
    given_back = by_pem.claims(token())
    assert given_back == claims() | {name: given_back[name] for name in ("exp", "iat", "nbf")}


@pytest.mark.parametrize(
    "changes",
    [
        {"azp": None},
        {"iat": None},
        {"jti": None},
        {"v": None},
        {"aud": "https://anyone.example"},
        {"sts": "active"},
        {"act": {"sub": "user_admin", "iss": "https://dashboard.clerk.com", "sid": "sess_2"}},
        {"sub": "user_" + "a1B-_" * 20},
        {"org_id": "org_1", "org_role": "org:admin"},
    ],
    ids=str,
)
def test_what_a_session_token_may_have_or_lack(by_pem: Clerk, changes: dict[str, Any]) -> None:
    assert by_pem.claims(token(**changes))["sid"] == "sess_1"


V1: dict[str, Any] = {"v": None}  # its tokens have none


@pytest.mark.parametrize(
    ("changes", "named", "role"),
    [
        # Version 2
        ({"o": {"id": "org_1", "slg": "acme", "rol": "admin", "per": "read"}}, "org_1", "admin"),
        ({"o": {"id": "org_1", "rol": "org:admin"}}, "org_1", "admin"),
        ({"o": {"id": "org_1", "rol": "member"}}, "org_1", "member"),
        ({"o": {"id": "org_1"}}, "org_1", None),
        ({"o": {"id": "org_1", "rol": None}}, "org_1", None),
        ({"o": {"id": "org_1", "rol": ["admin"]}}, "org_1", None),
        ({"o": {"id": "org_1", "per": "admin"}}, "org_1", None),
        ({"o": {"id": "org_1"}, "org_role": "org:admin"}, "org_1", None),
        ({"o": {"id": "org_1", "rol": "member"}, "org_id": "org_2"}, "org_1", "member"),
        ({}, None, None),
        ({"o": {}}, None, None),
        ({"o": {"id": ""}}, None, None),
        ({"o": {"id": "user_ada", "rol": "admin"}}, None, None),
        ({"o": {"id": "org_"}}, None, None),
        ({"o": {"id": "org_a b", "rol": "admin"}}, None, None),
        ({"o": {"id": "org_1\n", "rol": "admin"}}, None, None),
        ({"o": {"id": "org_" + "1" * 101, "rol": "admin"}}, None, None),
        ({"o": {"id": 1}}, None, None),
        ({"o": "org_1"}, None, None),
        ({"o": ["org_1"]}, None, None),
        # Beside a version these are the team's own claims, of what a user may have written.
        ({"org_id": "org_1", "org_role": "org:admin"}, None, None),
        ({"v": 3, "org_id": "org_1", "org_role": "org:admin"}, None, None),
        # Version 1
        (V1 | {"org_id": "org_1", "org_role": "org:admin"}, "org_1", "admin"),
        (V1 | {"org_id": "org_1", "org_role": "admin"}, "org_1", "admin"),
        (V1 | {"org_id": "org_1", "org_role": "org:org:admin"}, "org_1", "org:admin"),
        (V1 | {"org_id": "org_1"}, "org_1", None),
        (V1 | {"org_id": "org_1", "org_permissions": ["org:sys_billing:manage"]}, "org_1", None),
        (V1 | {"o": {"id": "org_2", "rol": "member"}, "org_id": "org_1"}, "org_2", "member"),
        (V1 | {"org_slug": "acme", "org_role": "org:admin"}, None, None),
        (V1 | {"org_id": "user_ada", "org_role": "org:admin"}, None, None),
        (V1 | {"org_id": ["org_1"]}, None, None),
        (V1, None, None),
    ],
    ids=str,
)  # fmt: skip
def test_the_active_organization_is_read_from_both_versions(
    by_pem: Clerk, changes: dict[str, Any], named: str | None, role: str | None
) -> None:
    found = active_organization(by_pem.claims(token(**changes)))
    assert found == (ActiveOrganization(named, role) if named else None)


def test_the_key_id_means_nothing_beside_a_pem(by_pem: Clerk) -> None:
    assert by_pem.claims(token(kid=None))
    assert by_pem.claims(token(kid="ins_other"))


@pytest.mark.parametrize("claim", ["exp", "nbf", "iss", "sid", "sub"])
def test_each_required_claim_is_required(by_pem: Clerk, claim: str) -> None:
    assert refusal(by_pem, token(**{claim: None})) == "MissingRequiredClaimError"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"iss": "https://clerk.evil.com"}, "InvalidIssuerError"),
        ({"iss": ISSUER + "/"}, "InvalidIssuerError"),
        ({"sub": "mch_1"}, "the subject is not a user"),
        ({"sub": "user_"}, "the subject is not a user"),
        ({"sub": "user_a b"}, "the subject is not a user"),
        ({"sub": "user_a\n"}, "the subject is not a user"),
        ({"sub": "user_é"}, "the subject is not a user"),
        ({"sub": " user_ada"}, "the subject is not a user"),
        ({"sub": "xuser_ada"}, "the subject is not a user"),
        ({"sub": "user_" + "a" * 500}, "the subject is not a user"),
        ({"sub": ""}, "the subject is not a user"),
        ({"sid": ""}, "session"),
        ({"sid": 1}, "session"),
        ({"sid": ["sess_1"]}, "session"),
        ({"sts": "pending"}, "pending"),
    ],
    ids=str,
)
def test_a_token_that_is_not_a_users_session_is_refused(
    by_pem: Clerk, changes: dict[str, Any], reason: str
) -> None:
    assert reason in refusal(by_pem, token(**changes))


def test_a_token_made_by_hand_can_be_good(by_pem: Clerk) -> None:
    assert by_pem.claims(by_hand(HEADER, claims(), signer("RS256")))


@pytest.mark.parametrize(
    "changes",
    [
        {"sub": 1},
        {"sub": ["user_ada"]},
        {"sub": {"id": "user_ada"}},
        {"iss": [ISSUER]},
        {"iss": 1},
        {"jti": 1},
        {"exp": "soon"},
        {"exp": []},
        {"exp": float("inf")},
        {"exp": float("nan")},
        {"nbf": {}},
        {"nbf": float("-inf")},
        {"iat": "now"},
    ],
    ids=str,
)
def test_a_claim_of_another_kind_is_refused(by_pem: Clerk, changes: dict[str, Any]) -> None:
    refusal(by_pem, by_hand(HEADER, claims(**changes), signer("RS256")))


@pytest.mark.parametrize("payload", [None, [], "user_ada", 1, [claims()]], ids=itertools.count())
def test_claims_that_are_no_hash_are_refused(by_pem: Clerk, payload: object) -> None:
    refusal(by_pem, by_hand(HEADER, payload, signer("RS256")))


def test_a_token_of_a_template_is_no_session(by_pem: Clerk) -> None:
    """Made for Supabase or Hasura, signed with the same key."""
    refusal(by_pem, token(sid=None, v=None, aud="authenticated", role="authenticated"))


@pytest.mark.parametrize("typ", ["at+jwt", "jwt", "JWS", "", None, 1, ["JWT"]])
def test_another_typ_is_refused(by_pem: Clerk, typ: object) -> None:
    assert refusal(by_pem, token(header={"typ": typ})) == "not an RS256 JWT"


@pytest.mark.parametrize("seconds", [-4, 0, 60])
def test_a_token_that_expired_within_the_leeway_is_accepted(by_pem: Clerk, seconds: int) -> None:
    assert by_pem.claims(token(exp=int(time.time()) + seconds + 1))


@pytest.mark.parametrize("seconds", [-6, -60, -(10**9)])
def test_a_token_that_expired_is_refused(by_pem: Clerk, seconds: int) -> None:
    assert refusal(by_pem, token(exp=int(time.time()) + seconds)) == "ExpiredSignatureError"


@pytest.mark.parametrize("claim", ["nbf", "iat"])
@pytest.mark.parametrize(("seconds", "accepted"), [(-60, True), (4, True), (8, False),
                                                   (10**6, False)])  # fmt: skip
def test_a_token_counts_from_its_beginning_less_the_leeway(
    by_pem: Clerk, claim: str, seconds: int, accepted: bool
) -> None:
    early = token(**{claim: int(time.time()) + seconds, "exp": int(time.time()) + 10**7})
    if accepted:
        assert by_pem.claims(early)
    else:
        assert refusal(by_pem, early) == "ImmatureSignatureError"


def test_a_token_signed_with_another_key_is_refused(by_pem: Clerk) -> None:
    assert refusal(by_pem, token(key="foreign")) == "InvalidSignatureError"


def test_a_changed_token_is_refused(by_pem: Clerk) -> None:
    header, _, signature = token().split(".")
    payload = token(sub="user_eve").split(".")[1]
    assert refusal(by_pem, f"{header}.{payload}.{signature}") == "InvalidSignatureError"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_another_algorithm_is_refused_whatever_signed_it(by_pem: Clerk, algorithm: str) -> None:
    header = {"alg": algorithm, "typ": "JWT", "kid": KID}
    refusal(by_pem, by_hand(header, claims(), ALGORITHMS[algorithm]))


@pytest.mark.parametrize("algorithm", ["none", "HS256", "RS256"])
def test_the_header_is_no_way_to_bring_ones_own_key(by_pem: Clerk, algorithm: str) -> None:
    own = json.loads(jwt.get_algorithm_by_name("RS256").to_jwk(private_key("foreign").public_key()))
    sign = ALGORITHMS.get(algorithm, signer("RS256", "foreign"))
    header = {"alg": algorithm, "typ": "JWT", "kid": KID, "jwk": own, "jku": "https://evil.com/"}
    refusal(by_pem, by_hand(header, claims(), sign))


@pytest.mark.parametrize(
    "garbage",
    ["", " ", ".", "..", "...", "a.b.c", "eyJ.eyJ.x", "null", "{}", "\0", "é.é.é", "Bearer x",
     "sk_live_x", "user_ada", "x" * 20_000, "." * 5000, "e30.e30.", "e30.e30.e30", "W10.W10.W10",
     "bnVsbA.bnVsbA.bnVsbA", "ak_x", "oat_x", "mt_x"],
    ids=lambda garbage: ascii(garbage)[:20],
)  # fmt: skip
def test_garbage_is_refused(by_pem: Clerk, garbage: str) -> None:
    refusal(by_pem, garbage)


@for_all(
    st.text(max_size=60)
    | st.text(alphabet=string.ascii_letters + string.digits + ".-_=", max_size=60)
    | st.builds(
        lambda header, payload: by_hand(header, payload, lambda message: b"x"),
        st.fixed_dictionaries(
            {"alg": st.sampled_from(["RS256", "none", 1, None])},
            optional={"kid": st.text() | st.integers() | st.lists(st.none()), "typ": st.just("JWT"),
                      "crit": st.lists(st.text()), "b64": st.booleans()},
        ),
        st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3), max_size=2),
    )
)  # fmt: skip
def test_no_token_raises_anything_but_a_refusal(by_pem: Clerk, any_token: str) -> None:
    refusal(by_pem, any_token)
