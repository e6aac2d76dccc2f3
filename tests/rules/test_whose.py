"""Whom metadata names, and what is somebody else's before the database is asked."""

from typing import Any

import pytest
from given import item, settings, subscription

from portal_service.supabase_db import Database
from portal_service.whose import Whose

Json = dict[str, Any]
ADA, EVE = {"clerk_user_id": "user_ada"}, {"clerk_user_id": "user_eve"}
ACME = {"clerk_org_id": "org_acme"}
THEIRS = item("price_theirs", "prod_theirs")
SUPPORT = item("price_support", "prod_support")


def whose(**changes: Any) -> Whose:
    """With a database that is not reached, and need not be."""
    told = settings(**changes)
    return Whose(told, Database(told))


def customer(metadata: Json) -> Json:
    return {"id": "cus_1", "object": "customer", "metadata": metadata}


@pytest.mark.parametrize(
    ("one", "of_sessions", "named"),
    [
        (subscription(), (), None),
        (subscription(customer=customer({})), (), None),
        (subscription(metadata=ADA), (), "user_ada"),
        (subscription(), ("user_ada",), "user_ada"),
        (subscription(), ("", "user_ada", "user_eve"), "user_ada"),
        (subscription(customer=customer(ADA)), (), "user_ada"),
        (subscription(metadata=ADA, customer=customer(EVE)), ("user_eve",), "user_ada"),
        (subscription(customer=customer(EVE)), ("user_ada",), "user_ada"),
        (subscription(client_reference_id="user_ada"), (), None),
        # On what is none of our plans anyone may write anything.
        (subscription(THEIRS, metadata=ADA, customer=customer(ADA)), ("user_ada",), None),
        (subscription(THEIRS, item(), metadata=ADA), (), "user_ada"),
        # An organization beside it is no matter.
        (subscription(metadata=ADA | ACME), (), "user_ada"),
        (subscription(metadata=ACME), (), None),
    ],
)
def test_the_subscription_names_its_owner_then_its_sessions_then_its_customer(
    one: Json, of_sessions: tuple[str, ...], named: str | None
) -> None:
    assert whose().named_owner(one, of_sessions) == named


@pytest.mark.parametrize(
    ("one", "of_sessions", "named"),
    [
        (subscription(metadata=ADA | ACME), (), "org_acme"),
        (subscription(metadata=ADA), (), None),
        (subscription(metadata=ADA, customer=customer(ACME)), (), "org_acme"),
        (subscription(metadata=ADA), ("org_acme",), "org_acme"),
        (subscription(metadata=ADA, customer=customer(EVE)), (), None),
        (subscription(metadata={"clerk_org_id": "user_ada"}), (), None),
        (subscription(metadata={"clerk_user_id": "org_acme"}), (), None),
        (subscription(THEIRS, metadata=ACME, customer=customer(ACME)), ("org_acme",), None),
    ],
)
def test_where_organizations_pay_they_alone_are_named(
    one: Json, of_sessions: tuple[str, ...], named: str | None
) -> None:
    assert whose(billing_owner="organization").named_owner(one, of_sessions) == named


@pytest.mark.parametrize(
    ("one", "somebody_elses"),
    [
        (subscription(), False),
        (subscription(customer=None), False),
        (subscription(SUPPORT, item()), False),
        (subscription(THEIRS, customer=None), True),
        (subscription(SUPPORT), True),
        (subscription(SUPPORT, metadata=ADA), True),
    ],
)
def test_by_its_products_alone_it_can_be_ours_or_somebody_elses(
    one: Json, somebody_elses: bool
) -> None:
    told = whose(ignored_products=("prod_support",))
    assert told.is_somebody_elses(one) is somebody_elses
