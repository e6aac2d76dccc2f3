"""Who pays, a user or an organization: by table. Whose a subscription is: test_whose.py. Clerk's
claims: vendors/test_clerk.py.
"""

from typing import Any

import pytest
from given import settings

from portal_service.owner import (
    ActiveOrganization,
    Standing,
    is_owner,
    metadata,
    named_owner,
    names_in,
    other_kind,
    standing,
)

BY_USER = settings()
BY_ORGANIZATION = settings(billing_owner="organization")
ADMIN = ActiveOrganization("org_acme", "admin")
MEMBER = ActiveOrganization("org_acme", "member")
NO_ROLE = ActiveOrganization("org_acme", None)
REQUIRED, NO_ADMIN = "organization_required", "not_billing_admin"


@pytest.mark.parametrize("organization", [None, ADMIN, MEMBER, NO_ROLE])
def test_a_user_pays_whatever_organization_is_active(
    organization: ActiveOrganization | None,
) -> None:
    assert standing("user_ada", organization, BY_USER) == Standing("user_ada", None)


@pytest.mark.parametrize(
    ("roles", "organization", "owner", "refusal"),
    [
        (("admin",), ADMIN, "org_acme", None),
        (("admin",), MEMBER, "org_acme", NO_ADMIN),
        (("admin",), NO_ROLE, "org_acme", NO_ADMIN),
        (("admin",), ActiveOrganization("org_acme", "Admin"), "org_acme", NO_ADMIN),
        (("admin",), ActiveOrganization("org_acme", ""), "org_acme", NO_ADMIN),
        (("admin",), None, None, REQUIRED),
        (("billing", "member"), MEMBER, "org_acme", None),
        (("billing", "member"), ADMIN, "org_acme", NO_ADMIN),
    ],
)
def test_of_an_organization_the_roles_may_spend_and_every_member_sees(
    roles: tuple[str, ...],
    organization: ActiveOrganization | None,
    owner: str | None,
    refusal: str | None,
) -> None:
    told = settings(billing_owner="organization", billing_org_roles=roles)
    assert standing("user_ada", organization, told) == Standing(owner, refusal)


@pytest.mark.parametrize(
    ("said", "by_user", "by_organization"),
    [
        ({"clerk_user_id": "user_ada"}, "user_ada", None),
        ({"clerk_org_id": "org_acme"}, None, "org_acme"),
        ({"clerk_user_id": "user_ada", "clerk_org_id": "org_acme"}, "user_ada", "org_acme"),
        ({"clerk_user_id": "org_acme", "clerk_org_id": "user_ada"}, None, None),
        ({"clerk_user_id": "", "clerk_org_id": ""}, None, None),
        ({"clerk_user_id": None, "clerk_org_id": None}, None, None),
        ({"clerk_user_id": ["user_ada"], "clerk_org_id": ["org_acme"]}, None, None),
        ({"clerk_user_id": {"id": "user_ada"}}, None, None),
        ({"clerk_user_id": 7}, None, None),
        ({"clerk_user_id": "ada"}, None, None),
        ({"clerk_user_id": "user_"}, None, None),
        ({"clerk_user_id": "user_ada\n", "clerk_org_id": " org_acme"}, None, None),
        ({"user_id": "7"}, None, None),
        ({}, None, None),
        (None, None, None),
    ],
)
def test_only_the_metadata_of_the_kind_that_pays_names_an_owner(
    said: Any, by_user: str | None, by_organization: str | None
) -> None:
    one = {"metadata": said, "client_reference_id": "user_eve"}
    assert named_owner(one, BY_USER) == by_user
    assert named_owner(one, BY_ORGANIZATION) == by_organization


@pytest.mark.parametrize(
    ("said", "names"),
    [
        ({"clerk_user_id": "user_ada", "other": "x"}, ["user_ada"]),
        ({"clerk_user_id": "user_ada", "clerk_org_id": "org_acme"}, ["user_ada", "org_acme"]),
        ({"clerk_user_id": "\0"}, ["\0"]),
        ({"clerk_org_id": ""}, []),
        ({}, []),
        (None, []),
    ],
)
def test_what_metadata_says_under_our_names_whoever_pays(said: Any, names: list[str]) -> None:
    assert names_in({"metadata": said}) == names


def test_stripe_is_told_the_owner_and_beside_an_organization_the_buyer() -> None:
    assert metadata("user_ada") == metadata("user_ada", buyer="user_ada")
    assert metadata("user_ada") == {"clerk_user_id": "user_ada"}
    assert metadata("org_acme") == {"clerk_org_id": "org_acme"}
    bought = metadata("org_acme", buyer="user_ada")
    assert bought == {"clerk_org_id": "org_acme", "clerk_user_id": "user_ada"}


def test_what_is_written_is_read_again() -> None:
    for told, owner in ((BY_USER, "user_ada"), (BY_ORGANIZATION, "org_acme")):
        assert named_owner({"metadata": metadata(owner, buyer="user_ada")}, told) == owner
        assert is_owner(owner, told)
        assert not is_owner(owner + "\n", told)
        assert not other_kind(told).has(owner)
    assert (other_kind(BY_USER).prefix, other_kind(BY_ORGANIZATION).prefix) == ("org_", "user_")
