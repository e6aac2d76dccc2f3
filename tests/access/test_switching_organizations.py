"""Hostile switches between organizations: during checkout, portal and refresh, and in all that a
token, a request or Stripe's metadata can say. Many at once: test_many_organizations.py. Who reads
which rows at Supabase: test_rows_by_role.py.
"""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from member import Member
from service_under_test import (
    APP_URL,
    Json,
    Log,
    MakeService,
    OtherStripe,
    Service,
    last_event,
    linked,
    refused,
    rows,
    session_of,
)

from sandbox.stripe import shapes
from sandbox.world import World


@pytest.fixture
def service(make_service: MakeService, world: World, ada: str) -> Service:
    """Where organizations pay, and ada is an admin of two of them."""
    world.clerk.organizations.join("org_globex", "user_ada", "admin")
    return make_service(billing_owner="organization")


@pytest.fixture
def acme(service: Service) -> Member:
    return Member(service)


@pytest.fixture
def globex(service: Service) -> Member:
    return Member(service, "ada", "org_globex")


def owners(world: World) -> set[Any]:
    return {row["clerk_owner_id"] for row in world.rows()}


# Switches


def test_a_switch_before_paying_leaves_the_purchase_where_it_was_begun(
    world: World, acme: Member, globex: Member
) -> None:
    session = session_of(world.stripe, acme.checkout({"quantity": 7}))
    assert session_of(world.stripe, globex.checkout())["customer"] != session["customer"]
    world.stripe.checkout(session["id"], "pay")

    before = globex.shown()
    back = globex.refresh({"checkout_session_id": session["id"]})
    assert back.json == before
    assert not world.rows()  # nothing was even looked up for the other one

    assert (acme.refresh({"checkout_session_id": session["id"]}).json or {})["quantity"] == 7
    assert owners(world) == {"org_acme"}
    assert not globex.shown()["subscribed"]


def test_a_foreign_organizations_session_is_told_from_none_by_nothing(
    world: World, acme: Member, globex: Member
) -> None:
    paid = acme.buys()["id"]
    open_one = session_of(world.stripe, Member(acme.service, "grace", "org_globex").checkout())
    world.clerk.organizations.join("org_initech", "user_ada", "admin")
    initech = Member(acme.service, "ada", "org_initech")
    answers = [
        initech.refresh({"checkout_session_id": name})
        for name in (paid, open_one["id"], "cs_test_nobodys")
    ]
    assert {answer.status_code for answer in answers} == {200}
    assert answers[0].json == answers[1].json == answers[2].json
    assert not world.rows()


def test_a_portal_is_that_of_the_organization_in_the_token(
    world: World, acme: Member, globex: Member
) -> None:
    customers = {one.organization: one.buys()["customer"] for one in (acme, globex)}
    for event in list(world.stripe.events.values()):
        acme.service.deliver(event)

    for one in (acme, globex, acme):
        assert one.portal().status_code == 200
        *_, newest = world.stripe.portal_sessions.values()
        assert newest["customer"] == customers[one.organization]


@pytest.mark.parametrize("moment", ["POST /v1/customers", "GET /v1/checkout/sessions",
                                    "POST /v1/checkout/sessions"])  # fmt: skip
def test_a_switch_while_a_checkout_is_under_way(
    service_at: Callable[..., Service], world: World, other_stripe: OtherStripe, moment: str
) -> None:
    """The same user, a second tab: the other organization's checkout runs inside the first one."""
    world.clerk.organizations.join("org_globex", "user_ada", "admin")
    service = service_at(other_stripe, billing_owner="organization")
    acme, globex = Member(service), Member(service, "ada", "org_globex")
    inside: list[Json] = []

    def held(method: str, path: str) -> None:
        if f"{method} {path}" == moment and not inside:
            inside.append({})
            inside[0] = session_of(other_stripe.state, globex.checkout())

    other_stripe.held = held
    outer = session_of(other_stripe.state, acme.checkout())
    assert outer["metadata"]["clerk_org_id"] == "org_acme"
    assert inside[0]["metadata"]["clerk_org_id"] == "org_globex"
    assert linked(world) == {"org_acme": outer["customer"], "org_globex": inside[0]["customer"]}
    assert {s["status"] for s in other_stripe.state.sessions.values()} == {"open"}


def test_two_organizations_never_share_a_refresh_under_way(
    service_at: Callable[..., Service], world: World, other_stripe: OtherStripe
) -> None:
    """Calls of one owner share one question to Stripe; of one user with two owners they don't."""
    world.clerk.organizations.join("org_globex", "user_ada", "admin")
    service = service_at(other_stripe, billing_owner="organization")
    acme, globex = Member(service), Member(service, "ada", "org_globex")
    session = session_of(other_stripe.state, acme.checkout())
    other_stripe.state.checkout(session["id"], "pay")
    body, go_on, seen = {"checkout_session_id": session["id"]}, threading.Event(), []

    def held(method: str, path: str) -> None:
        seen.append(path)
        assert go_on.wait(30)

    other_stripe.held = held
    thread = threading.Thread(target=acme.refresh, args=(body,))
    thread.start()
    try:
        _until(lambda: bool(seen))
        other_stripe.held = lambda method, path: None
        assert not (globex.refresh(body).json or {})["subscribed"]
    finally:
        go_on.set()
        thread.join()
    assert acme.shown()["subscribed"]
    assert owners(world) == {"org_acme"}


def _until(found: Callable[[], bool]) -> None:
    for _ in range(2000):
        if found():
            return
        threading.Event().wait(0.005)
    raise AssertionError("nothing was asked")


# What a token can say


def ids(one: Json) -> str:
    return " ".join(f"{name}={value}" for name, value in one.items())


@pytest.mark.parametrize(
    "claims",
    [
        {"org_id": "org_acme", "org_role": "org:admin"},  # a team's own, beside version 2
        {"o": {"id": "org_acme", "rol": "member"}, "org_role": "org:admin"},
        {"o": {"id": "org_globex", "rol": "admin"}, "org_id": "org_acme"},
        {"o": "org_acme"},
        {"o": ["org_acme"]},
        {"o": {"id": ["org_acme"], "rol": "admin"}},
        {"o": {"id": "org_acme\n", "rol": "admin"}},
        {"o": {"id": "ORG_ACME", "rol": "admin"}},
        {"o": {"slg": "acme", "rol": "admin"}},
        {"o": {"id": "user_ada", "rol": "admin"}},
        {"o": {"id": "cus_1", "rol": "admin"}},
        {"o": {"id": "org_' or true--", "rol": "admin"}},
        {"v": None, "o": {"id": "", "rol": "admin"}, "org_id": "org_acme"},
        {"v": None, "org_id": "user_ada", "org_role": "org:admin"},
        {"v": None, "org_slug": "acme", "org_role": "org:admin"},
    ],
    ids=ids,
)
def test_whatever_a_token_says_it_opens_no_portal_of_acme(
    world: World, service: Service, acme: Member, claims: Json
) -> None:
    acme.buys()
    acme.refresh()
    headers = service.bearer("ada", **claims)
    for path in ("/portal", "/checkout"):
        answer = service.call("POST", path, headers=headers)
        assert answer.status_code in (403, 404) or path == "/checkout", answer.text
        if answer.status_code == 200:
            assert session_of(world.stripe, answer)["metadata"]["clerk_org_id"] == "org_globex"
    assert not world.stripe.portal_sessions
    sees = (service.call("GET", "/subscription", headers=headers).json or {})["subscribed"]
    assert sees == (claims.get("o") == {"id": "org_acme", "rol": "member"})


def test_the_request_never_says_which_organization_pays(
    world: World, service: Service, acme: Member, globex: Member
) -> None:
    acme.buys()
    acme.refresh()
    for name in ("organization", "clerk_org_id", "org_id", "clerk_owner_id", "owner"):
        for call in (globex.portal, globex.checkout, globex.refresh):
            refused(call({name: "org_acme"}), "invalid_request")
    claims = world.clerk.organizations.claims("user_ada", "org_acme")
    others = {
        "Cookie": f"__session={service.token('ada', **claims)}",
        "Origin": APP_URL,
        "X-Clerk-Org-Id": "org_acme",
    }
    mine = service.bearer("ada", **world.clerk.organizations.claims("user_ada", "org_globex"))
    path = "/subscription?org_id=org_acme&organization=org_acme"
    answer = service.call("GET", path, headers=mine | others)
    assert (answer.json or {})["plan"] == "free"
    refused(service.call("POST", "/portal", headers=mine | others), "user_not_found")


# What Stripe's metadata can say


def created(world: World) -> Json:
    return last_event(world.stripe, "customer.subscription.created")


def test_an_organization_in_the_metadata_of_somebody_elses_is_ignored(
    world: World, service: Service, acme: Member
) -> None:
    whose = {"clerk_org_id": "org_acme", "clerk_user_id": "user_ada"}
    customer = world.stripe.create_customer(metadata=whose)["id"]
    world.stripe.create_subscription(None, "price_other", customer=customer, metadata=whose)

    assert service.outcome(created(world)) == "ignored"
    assert (world.rows(), linked(world)) == ([], {})
    assert not acme.shown()["can_manage_billing"]


def test_metadata_never_moves_what_an_organization_owns(
    world: World, service: Service, acme: Member, globex: Member, log: Log
) -> None:
    subscription = acme.buys()["subscription"]
    acme.refresh()
    before = linked(world)
    world.stripe.subscriptions[subscription]["metadata"] = {"clerk_org_id": "org_globex"}
    world.stripe.act(subscription, "change_plan", price="price_team")
    service.outcome(last_event(world.stripe))

    assert (owners(world), linked(world)) == ({"org_acme"}, before)
    assert not globex.shown()["subscribed"]
    line = log.line("the metadata names another owner")
    assert (line["linked"], line["named"]) == ("org_acme", "org_globex")


@pytest.mark.parametrize(
    "metadata",
    [
        {"clerk_user_id": "org_acme"},
        {"clerk_org_id": "user_ada"},
        {"clerk_org_id": "acme"},
        {"clerk_org_id": "org_acme "},
        {"org_id": "org_acme"},
    ],
    ids=ids,
)
def test_metadata_of_another_form_names_nobody(
    world: World, service: Service, acme: Member, metadata: Json
) -> None:
    customer = world.stripe.create_customer()["id"]
    one = world.stripe.create_subscription(None, "price_pro", customer=customer, metadata=metadata)
    assert service.outcome(created(world)) == "refreshed"
    assert rows(world)[one["id"]]["clerk_owner_id"] is None
    assert not acme.shown()["subscribed"]
    assert linked(world) == {}


def test_a_payment_links_reference_is_no_organizations(
    world: World, service: Service, acme: Member
) -> None:
    one = world.stripe.create_subscription(None, "price_pro")
    session = {
        "id": "cs_test_link", "object": "checkout.session", "livemode": False, "metadata": {},
        "status": "complete", "mode": "subscription", "customer": one["customer"],
        "subscription": one["id"], "client_reference_id": "org_acme",
    }  # fmt: skip
    world.stripe.sessions["cs_test_link"] = session | {"url": None}
    service.outcome(shapes.event("checkout.session.completed", session, one["created"]))

    assert owners(world) == {None}
    assert not (acme.refresh({"checkout_session_id": "cs_test_link"}).json or {})["subscribed"]


def test_where_users_pay_an_organization_in_the_metadata_is_no_matter(
    world: World, make_service: MakeService, ada: str
) -> None:
    service = make_service()
    whose = {"clerk_user_id": "user_ada", "clerk_org_id": "org_acme"}
    customer = world.stripe.create_customer(metadata=whose)["id"]
    world.stripe.create_subscription(None, "price_pro", customer=customer, metadata=whose)
    service.outcome(created(world))
    assert (owners(world), linked(world)) == ({"user_ada"}, {"user_ada": customer})

    lone = world.stripe.create_customer()["id"]
    alone = {"clerk_org_id": "org_acme"}
    world.stripe.create_subscription(None, "price_pro", customer=lone, metadata=alone)
    service.outcome(created(world))
    assert owners(world) == {"user_ada", None}
    assert linked(world) == {"user_ada": customer}
