"""The stand-in for Clerk, held to what Clerk does."""

import base64
import time
from collections.abc import Iterator

import jwt
import pytest
import requests

from sandbox.clerk import Clerk
from sandbox.faults import Faults
from sandbox.web import Server


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
def clerk(faults: Faults) -> Iterator[Clerk]:
    clerk = Clerk(faults)
    with Server(clerk.app()) as server:
        clerk.issuer = server.url
        yield clerk


def published_key(clerk: Clerk, token: str) -> jwt.PyJWK:
    """The key for this token, as a verifier finds it."""
    jwks = requests.get(clerk.jwks_url, timeout=5).json()
    kid = jwt.get_unverified_header(token)["kid"]
    return jwt.PyJWKSet.from_dict(jwks)[kid]


def verified(clerk: Clerk, token: str) -> dict[str, object]:
    key = published_key(clerk, token)
    return jwt.decode(token, key, algorithms=["RS256"], issuer=clerk.issuer)


def test_a_token_has_clerks_shape_and_verifies_with_the_published_key(clerk: Clerk) -> None:
    token = clerk.session_token("user_ada", azp="http://localhost:8000")

    header = jwt.get_unverified_header(token)
    assert {"alg", "cat", "kid", "typ"} == set(header)
    assert (header["alg"], header["typ"]) == ("RS256", "JWT")
    assert header["kid"].startswith("ins_")
    claims = verified(clerk, token)
    assert set(claims) == {
        *("azp", "exp", "fva", "iat", "iss", "jti", "nbf", "sid", "sts", "sub", "v")
    }
    assert claims["sub"] == "user_ada"
    assert str(claims["sid"]).startswith("sess_")
    assert claims["sts"] == "active"
    assert claims["v"] == 2
    assert claims["exp"] == int(str(claims["iat"])) + 60
    assert claims["nbf"] == int(str(claims["iat"])) - 5


def test_overrides_change_and_remove_claims(clerk: Clerk) -> None:
    token = clerk.session_token("user_ada", sid=None, sts="pending", act={"sub": "user_boss"})

    claims = verified(clerk, token)
    assert "sid" not in claims
    assert "azp" not in claims, "Clerk names an origin only where the request had one"
    assert claims["sts"] == "pending"
    assert claims["act"] == {"sub": "user_boss"}


def test_expired_and_nonsensical_tokens_can_be_made(clerk: Clerk) -> None:
    expired = clerk.session_token("user_ada", exp=int(time.time()) - 10)
    with pytest.raises(jwt.ExpiredSignatureError):
        verified(clerk, expired)

    with pytest.raises(jwt.PyJWTError):
        verified(clerk, clerk.session_token("user_ada", iss=5))


def test_other_tokens_of_the_same_instance_can_be_signed(clerk: Clerk) -> None:
    token = clerk.sign(clerk.claims("user_ada"), typ="at+jwt")

    assert jwt.get_unverified_header(token)["typ"] == "at+jwt"
    assert published_key(clerk, token)


def test_the_publishable_key_names_the_host(clerk: Clerk) -> None:
    encoded = clerk.publishable_key.removeprefix("pk_test_")
    decoded = base64.b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    assert decoded == clerk.issuer.removeprefix("http://") + "$"


def test_the_public_key_verifies_without_the_network(clerk: Clerk) -> None:
    token = clerk.session_token("user_ada")
    assert jwt.decode(token, clerk.public_key_pem, algorithms=["RS256"])["sub"] == "user_ada"


def test_a_rotated_key_signs_from_now_on(clerk: Clerk) -> None:
    before = clerk.session_token("user_ada")

    clerk.rotate(keep_kid=True)
    same_kid = clerk.session_token("user_ada")
    assert verified(clerk, same_kid)["sub"] == "user_ada"
    with pytest.raises(jwt.InvalidSignatureError):
        verified(clerk, before)

    clerk.rotate(keep_kid=False)
    with pytest.raises(KeyError):
        published_key(clerk, same_kid)


def test_requests_for_the_key_set_are_counted_and_refused_when_down(
    clerk: Clerk, faults: Faults
) -> None:
    assert requests.get(clerk.jwks_url, timeout=5).status_code == 200
    faults.clerk = "down"
    assert requests.get(clerk.jwks_url, timeout=5).status_code == 503
    assert clerk.jwks_requests == 2


def test_anything_else_is_refused(clerk: Clerk) -> None:
    unknown = requests.get(f"{clerk.issuer}/v1/users", timeout=5)
    assert unknown.status_code == 404
    assert unknown.json()["errors"][0]["code"] == "resource_not_found"
    assert requests.post(clerk.jwks_url, timeout=5).status_code == 405


# Organizations


def test_a_token_of_version_2_names_the_active_organization(clerk: Clerk) -> None:
    clerk.organizations.join("org_acme", "user_ada", "org:admin")
    active = clerk.organizations.claims("user_ada", "org_acme")

    claims = verified(clerk, clerk.session_token("user_ada", **active))
    assert claims["o"] == {"id": "org_acme", "slg": "acme", "rol": "admin"}
    assert (claims["v"], claims["sub"]) == (2, "user_ada")
    assert not {name for name in claims if name.startswith("org_")}


def test_a_token_of_version_1_names_it_at_the_top(clerk: Clerk) -> None:
    clerk.organizations.join("org_acme", "user_ada", "billing")
    active = clerk.organizations.claims("user_ada", "org_acme", version=1)

    claims = verified(clerk, clerk.session_token("user_ada", **active))
    assert (claims["org_id"], claims["org_role"]) == ("org_acme", "org:billing")
    assert claims["org_slug"] == "acme"
    assert not {"v", "o", "jti", "sts"} & set(claims)
    outside = clerk.organizations.claims("user_ada", None, version=1)
    claims = verified(clerk, clerk.session_token("user_ada", **outside))
    assert not {"v", "org_id", "org_role"} & set(claims)


def test_only_members_can_make_an_organization_the_active_one(clerk: Clerk) -> None:
    organizations = clerk.organizations
    with pytest.raises(KeyError):
        organizations.claims("user_eve", "org_acme")
    organizations.join("org_acme", "user_eve", "member")
    assert organizations.claims("user_eve", "org_acme")
    organizations.leave("org_acme", "user_eve")
    with pytest.raises(KeyError):
        organizations.claims("user_eve", "org_acme")
    with pytest.raises(KeyError):
        organizations.leave("org_acme", "user_eve")
    with pytest.raises(ValueError, match="org_"):
        organizations.join("acme", "user_eve", "admin")
    with pytest.raises(ValueError, match="version"):
        organizations.claims("user_ada", None, version=3)
    organizations.reset()
    assert set(organizations.all()) == {"org_acme", "org_globex"}
