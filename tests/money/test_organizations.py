"""Where organizations pay: who buys, who manages, who sees, what Stripe is told, and what a switch
of BILLING_OWNER leaves behind. The decision by table: rules/test_owner.py. Hostile switches between
organizations: access/test_switching_organizations.py.
"""

import re
from pathlib import Path

import pytest
from member import Member
from service_under_test import (
    Json,
    Log,
    MakeService,
    Service,
    execute,
    last_event,
    linked,
    order_of,
    refused,
    rows,
    session_of,
)

from sandbox.world import World

OWNERS_PAGE = Path(__file__).parents[2] / "docs" / "owners.md"


@pytest.fixture
def service(make_service: MakeService, ada: str) -> Service:
    """A service where organizations pay, and ada among the app's users."""
    return make_service(billing_owner="organization")


@pytest.fixture
def admin(service: Service) -> Member:
    return Member(service)


@pytest.fixture
def bought(world: World, service: Service, admin: Member) -> Json:
    """Acme's subscription, bought by ada, which the service has heard of."""
    session = admin.buys()
    service.outcome(last_event(world.stripe, "checkout.session.completed"))
    world.stripe.calls.clear()
    return world.stripe.subscriptions[session["subscription"]]


# What Stripe is told


def test_the_organization_is_the_customer_and_the_buyer_is_named_beside_it(
    world: World, admin: Member
) -> None:
    answer = admin.checkout()
    order = order_of(world.stripe, answer)
    session = session_of(world.stripe, answer)

    whose = {"clerk_org_id": "org_acme", "clerk_user_id": "user_ada"}
    assert session["metadata"].items() >= whose.items()
    assert order["subscription_data"]["metadata"] == whose
    assert session["client_reference_id"] == "org_acme"
    customer = world.stripe.customers[session["customer"]]
    assert customer["metadata"] == {"clerk_org_id": "org_acme"}
    assert linked(world) == {"org_acme": customer["id"]}


def test_another_admin_buys_for_the_same_customer_and_one_session_stays_open(
    world: World, service: Service, admin: Member
) -> None:
    world.clerk.organizations.join("org_acme", "user_linus", "admin")
    first = session_of(world.stripe, admin.checkout())
    second = session_of(world.stripe, Member(service, "linus").checkout())

    assert first["customer"] == second["customer"]
    assert second["metadata"]["clerk_user_id"] == "user_linus"
    statuses = {s["id"]: s["status"] for s in world.stripe.sessions.values()}
    assert statuses == {first["id"]: "expired", second["id"]: "open"}


def test_an_organization_buys_once_whoever_asks(
    world: World, service: Service, bought: Json
) -> None:
    world.clerk.organizations.join("org_acme", "user_linus", "admin")
    refused(Member(service, "linus").checkout(), "already_subscribed")
    assert len(world.stripe.subscriptions) == 1


def test_a_trial_is_given_once_to_an_organization(
    world: World, make_service: MakeService, ada: str
) -> None:
    trial = {"subscription_data": {"trial_period_days": 14}}
    service = make_service(billing_owner="organization", checkout_params=trial)
    acme, globex = Member(service), Member(service, "grace", "org_globex")
    subscription = acme.buys()["subscription"]
    acme.refresh()
    world.stripe.act(subscription, "cancel_now")

    assert "trial_period_days" not in order_of(world.stripe, acme.checkout())["subscription_data"]
    assert "trial_period_days" in order_of(world.stripe, globex.checkout())["subscription_data"]


# Who sees it, who manages it


@pytest.mark.parametrize("version", [1, 2])
def test_members_see_what_the_organization_has_and_its_admins_manage_it(
    world: World, service: Service, bought: Json, version: int
) -> None:
    admin = Member(service, "ada", version=version)
    member = Member(service, "grace", version=version)

    row = rows(world)[bought["id"]]
    assert (row["clerk_owner_id"], row["user_id"]) == ("org_acme", None)
    for who, may_manage in ((admin, True), (member, False)):
        shown = who.shown()
        assert (shown["subscribed"], shown["plan"]) == (True, "pro")
        assert (shown["can_manage_billing"], shown["can_checkout"]) == (may_manage, False)
    assert admin.portal().status_code == 200
    (portal,) = world.stripe.portal_sessions.values()
    assert portal["customer"] == bought["customer"]
    refused(member.portal(), "not_billing_admin")
    refused(member.checkout(), "not_billing_admin")


@pytest.mark.parametrize("version", [1, 2])
def test_a_member_neither_buys_nor_is_shown_that_they_could(
    world: World, service: Service, version: int
) -> None:
    member = Member(service, "grace", version=version)
    shown = member.shown()
    assert (shown["plan"], shown["can_checkout"], shown["can_manage_billing"]) == (
        "free", False, False,
    )  # fmt: skip
    refused(member.checkout(), "not_billing_admin")
    refused(member.portal(), "not_billing_admin")
    assert not world.stripe.customers and not world.stripe.sessions


@pytest.mark.parametrize("version", [1, 2])
def test_without_an_active_organization_it_is_the_free_plan_and_nothing_is_asked(
    world: World, service: Service, bought: Json, version: int
) -> None:
    nobody = Member(service, "ada", None, version)
    shown = nobody.shown()
    assert (shown["plan"], shown["subscribed"], shown["status"]) == ("free", False, None)
    assert (shown["can_checkout"], shown["can_manage_billing"]) == (False, False)
    refreshed = nobody.refresh()
    assert (refreshed.status_code, refreshed.json) == (200, shown)
    refused(nobody.refresh({"checkout_session_id": "sub_1"}), "invalid_request")
    refused(nobody.checkout(), "organization_required")
    refused(nobody.portal(), "organization_required")
    assert not world.stripe.calls


def test_other_roles_may_pay_where_they_are_named(
    world: World, make_service: MakeService, ada: str
) -> None:
    service = make_service(billing_owner="organization", billing_org_roles=("billing", "owner"))
    world.clerk.organizations.join("org_acme", "user_linus", "org:billing")
    for version in (1, 2):
        assert Member(service, "linus", version=version).shown()["can_checkout"]
        assert not Member(service, "ada", version=version).shown()["can_checkout"]
    refused(Member(service, "ada").checkout(), "not_billing_admin")
    assert Member(service, "linus").checkout().status_code == 200


def test_a_token_with_an_organization_and_no_role_is_no_admins(service: Service) -> None:
    for claims in ({"o": {"id": "org_acme"}}, {"v": None, "org_id": "org_acme"}):
        headers = service.bearer("ada", **claims)
        refused(service.call("POST", "/checkout", headers=headers), "not_billing_admin")


def test_whoever_impersonates_an_admin_may_look(
    world: World, service: Service, bought: Json
) -> None:
    claims = world.clerk.organizations.claims("user_ada", "org_acme")
    headers = service.bearer("ada", **claims, act={"sub": "user_support"})
    shown = service.call("GET", "/subscription", headers=headers).json or {}
    assert (shown["plan"], shown["can_manage_billing"]) == ("pro", False)
    refused(service.call("POST", "/portal", headers=headers), "impersonation_not_allowed")


def test_a_removed_member_is_in_no_token_and_sees_nothing(
    world: World, service: Service, bought: Json
) -> None:
    world.clerk.organizations.leave("org_acme", "user_grace")
    assert Member(service, "grace", None).shown()["plan"] == "free"
    world.clerk.organizations.join("org_acme", "user_ada", "member")
    refused(Member(service).portal(), "not_billing_admin")


def test_a_limit_counts_for_each_user_of_an_organization(
    world: World, make_service: MakeService, ada: str
) -> None:
    service = make_service(billing_owner="organization", rate_limit="1/minute")
    world.clerk.organizations.join("org_acme", "user_linus", "admin")
    assert Member(service).checkout().status_code == 200
    refused(Member(service, organization="org_acme").checkout(), "rate_limited")
    assert Member(service, "linus").checkout().status_code == 200


def test_the_log_names_the_user_and_who_pays(service: Service, log: Log) -> None:
    Member(service, "grace").shown()
    line = log.line("request")
    assert (line["clerk_user_id"], line["clerk_owner_id"]) == ("user_grace", "org_acme")


# Where users pay


@pytest.mark.parametrize("version", [1, 2])
def test_an_organization_in_the_token_changes_nothing_where_users_pay(
    world: World, make_service: MakeService, ada: str, version: int
) -> None:
    service = make_service()
    ada_at_acme = Member(service, "ada", "org_globex", version)  # where she is no admin
    session = ada_at_acme.buys()
    service.outcome(last_event(world.stripe, "checkout.session.completed"))

    assert session["metadata"]["clerk_user_id"] == "user_ada"
    assert "clerk_org_id" not in session["metadata"]
    assert session["client_reference_id"] == "user_ada"
    assert list(linked(world)) == ["user_ada"]
    assert service.shown()["plan"] == ada_at_acme.shown()["plan"] == "pro"
    assert ada_at_acme.shown()["can_manage_billing"]
    assert Member(service, "linus", "org_globex", version).shown()["plan"] == "free"


# A switch of BILLING_OWNER


def test_what_users_bought_is_nobodys_once_organizations_pay(
    world: World, make_service: MakeService, ada: str
) -> None:
    by_user = make_service()
    subscription = Member(by_user, organization=None).buys()["subscription"]
    by_user.outcome(last_event(world.stripe, "checkout.session.completed"))
    service = make_service(billing_owner="organization")

    for organization in (None, "org_acme", "org_globex"):
        shown = Member(service, "ada", organization).shown()
        assert (shown["plan"], shown["can_manage_billing"]) == ("free", False)
    world.stripe.act(subscription, "change_plan", price="price_team")
    assert service.outcome(last_event(world.stripe)) == "refreshed"  # kept true
    row = rows(world)[subscription]
    assert (row["plan"], row["clerk_owner_id"]) == ("team", "user_ada")

    assert Member(service).buys()["status"] == "complete"  # nothing blocks Acme
    assert set(linked(world)) == {"user_ada", "org_acme"}


def test_and_the_other_way_round(world: World, make_service: MakeService, bought: Json) -> None:
    service = make_service()
    assert Member(service).shown()["plan"] == "free"
    assert Member(service).shown()["can_checkout"]
    world.stripe.act(bought["id"], "change_plan", price="price_team")
    assert service.outcome(last_event(world.stripe)) == "refreshed"
    assert rows(world)[bought["id"]]["clerk_owner_id"] == "org_acme"
    assert Member(service).shown()["plan"] == "free"


def test_metadata_that_names_a_user_alone_makes_no_owner(
    world: World, service: Service, log: Log
) -> None:
    world.stripe.create_subscription("user_ada", "price_pro")
    assert service.outcome(last_event(world.stripe)) == "refreshed"

    (row,) = world.rows()
    assert row["clerk_owner_id"] is None
    assert linked(world) == {}
    assert log.line("a subscription belongs to nobody")["level"] == "WARNING"
    assert Member(service).shown()["plan"] == "free"


def test_the_sql_of_the_docs_hands_a_users_subscription_over(
    world: World, make_service: MakeService, ada: str
) -> None:
    by_user = make_service()
    session = Member(by_user, organization=None).buys()
    by_user.outcome(last_event(world.stripe, "checkout.session.completed"))
    blocks = re.findall(r"```sql\n(.*?)```", OWNERS_PAGE.read_text(), re.DOTALL)
    look, hand_over = blocks[-2:]
    assert "clerk_owner_id like" in look and "update" in hand_over
    (found,) = execute(world, look.replace("%", "%%"))
    assert found["stripe_subscription_id"] == session["subscription"]
    for statement in hand_over.replace("org_…", "org_acme").split(";"):
        one = statement.replace("cus_…", session["customer"]).strip()
        if one.startswith("update"):
            execute(world, one)

    service = make_service(billing_owner="organization")
    assert not execute(world, look.replace("%", "%%"))
    for event in (last_event(world.stripe), None):
        if event:
            service.outcome(event)
        assert Member(service).shown()["can_manage_billing"]
        assert Member(service, "grace").shown()["plan"] == "pro"
        assert Member(service, "ada", "org_globex").shown()["plan"] == "free"
    assert Member(service).portal().status_code == 200
    refused(Member(service).checkout(), "already_subscribed")
