"""Every call of the contract, as one user with every identifier of others, wherever it could stand:
theirs stays as it was, nothing of it is told, and at Stripe and Supabase only the caller is named.
"""

import json
from collections.abc import Iterator
from typing import Any

import contract_document
import pytest
from attacker import (
    Attempt,
    Ids,
    Recorder,
    Wiretap,
    attempts,
    belongings,
    mentioned,
    settled_victims,
)
from contract_document import DOCUMENT
from service_under_test import (
    Json,
    MakeService,
    Service,
    execute,
    last_event,
    linked,
    refused,
    rows,
)
from werkzeug.test import TestResponse

from sandbox.stripe import api as stripe_api
from sandbox.supabase import api as supabase_api
from sandbox.web import Server
from sandbox.world import JWT_SECRET, STRIPE_KEY, World, clerk_id

Operation = tuple[str, str]

# Each call of the contract, with a body that it takes. A new call belongs here.
WALKED: dict[Operation, Json | None] = {
    ("POST", "/api/stripe/portal"): {"return_path": "/settings"},
    ("POST", "/api/stripe/checkout"): {"plan": "pro"},
    ("GET", "/api/stripe/subscription"): None,
    ("POST", "/api/stripe/subscription/refresh"): {},
    ("POST", "/api/stripe/webhook"): {"object": "event", "type": "customer.subscription.deleted"},
    ("POST", "/api/stripe/clerk/webhook"): {"type": "user.deleted", "data": {"deleted": True}},
    ("GET", "/api/stripe/plans"): None,
    ("GET", "/api/stripe/openapi.json"): None,
    ("GET", "/healthz"): None,
    ("GET", "/readyz"): None,
    ("GET", "/metrics"): None,
    ("GET", "/openapi.json"): None,
}
CALLS = sorted(contract_document.operations())


def is_by_somebody(method: str, path: str) -> bool:
    """Whether a call asks for Clerk's token."""
    return "clerkBearer" in str(DOCUMENT["paths"][path][method.lower()]["security"])


ASK_WHO_CALLS = [(method, path) for method, path in CALLS if is_by_somebody(method, path)]
# A newcomer and a subscriber get different answers where Clerk's token is asked for.
BY_WHOM = [(call, True) for call in CALLS] + [(call, False) for call in ASK_WHO_CALLS]


@pytest.fixture(scope="session")
def wires(shared_world: World) -> Iterator[Wiretap]:
    """The world's Stripe and Supabase at addresses of their own, where every request is kept."""
    world = shared_world
    stripe = Recorder(
        stripe_api.create_app(world.stripe, world.faults, {STRIPE_KEY}, lambda: world.stripe_url)
    )
    supabase = Recorder(supabase_api.create_app(world.database_url, JWT_SECRET, world.faults))
    with Server(stripe) as stripe_server, Server(supabase) as supabase_server:
        yield Wiretap(stripe, supabase, stripe_server.url, supabase_server.url)


@pytest.fixture
def service(make_service: MakeService, wires: Wiretap) -> Service:
    return make_service(
        stripe_api_base=wires.stripe_url,
        supabase_url=wires.supabase_url,
        rate_limit="100000/minute",
        refresh_rate_limit="100000/minute",
    )


@pytest.fixture
def victims(service: Service, wires: Wiretap) -> Ids:
    """The identifiers of bob, who subscribes, and of cyd, who is at the checkout."""
    ids = settled_victims(service)
    wires.forget()
    return ids


def fields_of(operation: Operation) -> list[str]:
    """The fields of a call's body, and its parameters, as the contract's document has them."""
    method, path = operation
    described = DOCUMENT["paths"][path][method.lower()]
    names = [parameter["name"] for parameter in described.get("parameters", [])]
    content = described.get("requestBody", {}).get("content", {}).get("application/json", {})
    return names + sorted(_properties(content.get("schema", {})))


def _properties(schema: Json) -> set[str]:
    if "$ref" in schema:
        return _properties(DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    inner = [s for how in ("oneOf", "anyOf", "allOf") for s in schema.get(how, [])]
    return set(schema.get("properties", {})).union(*map(_properties, inner))


def test_every_call_of_the_contract_is_walked(service: Service) -> None:
    routes = {
        (method, rule.rule)
        for rule in service.app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.endpoint != "portal_service._refuse_unknown"
    }
    assert set(WALKED) == routes == set(CALLS)


def call(service: Service, operation: Operation, attempt: Attempt, bearer: Ids) -> TestResponse:
    method, path = operation
    if attempt.claims:
        bearer = service.bearer("ada", **attempt.claims)
    body = WALKED[operation] if attempt.body is None else attempt.body
    return service.root(
        path + attempt.path,
        method,
        query_string=attempt.query,
        headers=bearer | attempt.headers,
        data=None if body is None else json.dumps(body),
        content_type="application/json",
    )


def told(answer: TestResponse) -> Any:
    """What an answer says, without what differs each time."""
    if not answer.is_json:
        return answer.status_code
    body = dict(answer.json or {})
    body.pop("request_id", None)
    if "url" in body:
        body["url"] = "…"
    return answer.status_code, body


@pytest.mark.parametrize("operation, subscribed", BY_WHOM, ids=str)
def test_a_call_with_somebody_elses_identifier_is_about_the_caller_alone(
    world: World,
    service: Service,
    wires: Wiretap,
    victims: Ids,
    operation: Operation,
    subscribed: bool,
) -> None:
    world.add_user("ada")
    if subscribed:
        subscription = world.stripe.create_subscription("user_ada", "price_pro")
        assert service.outcome(last_event(world.stripe)) == "refreshed"
        assert world.rows()[-1]["stripe_subscription_id"] == subscription["id"]
    ours = service.bearer("ada")
    plain = told(call(service, operation, Attempt("nothing of anybody's"), ours))
    before = belongings(world, victims)
    token = service.token("bob")
    secrets = victims | {"bob's seats": '"quantity":17'}

    # A call that does not ask who calls gets all identifiers at once.
    tried = victims if operation in ASK_WHO_CALLS else {"everybody's": "; ".join(victims.values())}

    for attempt in attempts(fields_of(operation), WALKED[operation], tried, token):
        wires.forget()
        answer = call(service, operation, attempt, ours)

        said = answer.get_data(as_text=True) + str(answer.headers)
        assert not mentioned(said, secrets | {"bob's token": token}), f"{attempt.what}: {said}"
        if attempt.path:
            refused(answer, "not_found")
        elif attempt.body is not None and answer.status_code == 400:
            assert told(answer) == plain or refused(answer, "invalid_request"), attempt.what
        else:
            assert told(answer) == plain, attempt.what
        for line, whole in wires.stripe.requests + wires.supabase.requests:
            asked_whose = attempt.session and f"GET /v1/checkout/sessions/{attempt.session}" == line
            assert asked_whose or not mentioned(whole, victims), f"{attempt.what}: {whole}"

    assert belongings(world, victims) == before
    _everything_new_is_the_callers(world, victims)


def _everything_new_is_the_callers(world: World, victims: Ids) -> None:
    """Everything of Stripe's and of ours that is not the victims' is ada's."""
    others = {victims["bob's customer"], victims["cyd's customer"]}
    customers = set(world.stripe.customers) - others
    assert len(customers) <= 1
    for kind in ("subscriptions", "sessions", "portal_sessions"):
        for held in getattr(world.stripe, kind).values():
            assert held["customer"] in customers | others
    assert set(linked(world)) <= {"user_ada", "user_bob", "user_cyd"}
    for row in world.rows():
        owner = "bob" if row["stripe_customer_id"] in others else "ada"
        assert row["user_id"] == world.user_id(owner)


@pytest.mark.parametrize("whose", ["bob's checkout session", "cyd's checkout session"])
def test_nobody_learns_whether_a_foreign_checkout_session_exists(
    world: World, service: Service, victims: Ids, whose: str
) -> None:
    """A paid one, an open one and none at all get one and the same answer."""
    world.add_user("ada")
    real = service.refresh("ada", {"checkout_session_id": victims[whose]})
    none = service.refresh("ada", {"checkout_session_id": "cs_test_nobodys"})

    assert told(real) == told(none) == told(service.status("ada"))


# What Stripe signs, and an attacker had a hand in


def test_metadata_that_names_another_user_takes_and_gives_nothing(
    world: World, service: Service, victims: Ids
) -> None:
    world.add_user("ada")
    subscription = world.stripe.create_subscription("user_ada", "price_pro")
    service.outcome(last_event(world.stripe))
    before = belongings(world, victims)
    bobs = service.shown("bob")
    event = last_event(world.stripe)
    event["data"]["object"]["metadata"] = {"clerk_user_id": "user_bob"}
    world.stripe.subscriptions[subscription["id"]]["metadata"] = {"clerk_user_id": "user_bob"}

    assert service.deliver(event).status_code == 200
    assert rows(world)[subscription["id"]]["user_id"] == world.user_id("ada")
    assert service.shown("bob") == bobs
    after = belongings(world, victims)
    for kind in ("subscriptions", "billing_customers", "users"):
        assert after[kind] == before[kind]


@pytest.mark.parametrize("named", ["bob", "cyd"])
def test_a_payment_link_with_somebody_elses_reference_and_address_is_not_theirs(
    world: World, service: Service, victims: Ids, named: str
) -> None:
    """Anyone can write `client_reference_id` and an e-mail into a payment link's address."""
    before = belongings(world, victims), service.shown(named)
    subscription = world.stripe.create_subscription(None, "price_pro")
    service.outcome(last_event(world.stripe))
    session = world.stripe.sessions[victims["cyd's checkout session"]] | {
        "id": "cs_test_link",
        "status": "complete",
        "customer": subscription["customer"],
        "subscription": subscription["id"],
        "client_reference_id": clerk_id(named),
        "customer_details": {"email": f"{named}@example.com"},
        "customer_email": f"{named}@example.com",
        "metadata": {},
    }
    event = last_event(world.stripe) | {
        "id": "evt_link",
        "type": "checkout.session.completed",
        "data": {"object": session},
    }

    assert service.deliver(event).status_code == 200
    assert rows(world)[subscription["id"]]["user_id"] is None
    assert (belongings(world, victims), service.shown(named)) == before
    assert service.refresh(named, {"checkout_session_id": "cs_test_link"}).status_code == 200
    assert service.shown(named) == before[1]


def test_a_customer_that_is_somebodys_is_never_linked_to_another(
    world: World, service: Service, victims: Ids
) -> None:
    """Not even where everything else of theirs was deleted by hand."""
    world.add_user("ada")
    execute(world, "delete from billing_customers where clerk_owner_id = 'user_bob'")
    before = belongings(world, victims)

    session = world.stripe.sessions[victims["bob's checkout session"]]
    session["client_reference_id"] = "user_ada"
    service.refresh("ada", {"checkout_session_id": session["id"]})
    service.portal("ada")

    assert not service.shown("ada")["can_manage_billing"]
    after = belongings(world, victims)
    assert after["subscriptions"] == before["subscriptions"]
    assert after["billing_customers"] == before["billing_customers"] == [
        row for row in before["billing_customers"] if row["clerk_owner_id"] == "user_cyd"
    ]  # fmt: skip
