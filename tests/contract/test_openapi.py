"""GET /openapi.json: valid, and the same as the routes and the answers.

Every answer of the other tests over HTTP is held to it by the client that they use.
"""

from typing import Any

import contract_document
import pytest
from contract_document import ANYONE, CLERK, CLERK_ITSELF, DOCUMENT, STRIPE
from flask import Flask
from service_under_test import ContractClient, Json, MakeService, Service, put_row, refused

from portal_service import inputs
from sandbox.world import World

# Who may call what: the contract's table.
WHO = {
    ("POST", "/api/stripe/portal"): CLERK,
    ("POST", "/api/stripe/checkout"): CLERK,
    ("GET", "/api/stripe/subscription"): CLERK,
    ("POST", "/api/stripe/subscription/refresh"): CLERK,
    ("POST", "/api/stripe/webhook"): STRIPE,
    ("POST", "/api/stripe/clerk/webhook"): CLERK_ITSELF,
    ("GET", "/api/stripe/plans"): ANYONE,
    ("GET", "/api/stripe/openapi.json"): ANYONE,
    ("GET", "/healthz"): ANYONE,
    ("GET", "/readyz"): ANYONE,
    ("GET", "/metrics"): ANYONE,
    ("GET", "/openapi.json"): ANYONE,
}
SCHEMES = {
    CLERK: {"clerkBearer", "clerkCookie", "clerkInstanceCookie"},
    STRIPE: {"stripeSignature"},
    CLERK_ITSELF: {"svixSignature"},
}


def operation(method: str, path: str) -> Json:
    found: Json = DOCUMENT["paths"][path][method.lower()]
    return found


def test_it_is_valid_openapi_3_1() -> None:
    # Here, since it takes two seconds, which each worker of the suite would spend.

    assert DOCUMENT["openapi"].startswith("3.1.")
    from openapi_spec_validator import validate  # noqa: PLC0415  (seconds, in each worker)

    validate(DOCUMENT)


@pytest.mark.parametrize("path", ["/openapi.json", "/api/stripe/openapi.json"])
def test_it_is_served_as_it_is(service: Service, path: str) -> None:
    assert service.root(path).json == DOCUMENT


def test_its_examples_are_what_it_describes() -> None:
    seen = 0
    for schema in _schemas(DOCUMENT["components"]["schemas"]):
        for example in schema.get("examples", ()):
            contract_document.check_value(schema, example)
            seen += 1
    assert seen > 5


def _schemas(value: Any) -> list[Json]:
    """Every schema that stands in a value, however deep."""
    if not isinstance(value, dict):
        return [s for each in value for s in _schemas(each)] if isinstance(value, list) else []
    inner = [schema for each in value.values() for schema in _schemas(each)]
    return [value, *inner] if isinstance(value.get("examples"), list) else inner


@pytest.mark.parametrize("name", ["PortalRequest", "CheckoutRequest", "RefreshRequest"])
def test_no_field_of_a_body_has_a_default(name: str) -> None:
    """Generators of clients make such a field one that must be sent."""
    schema = DOCUMENT["components"]["schemas"][name]
    assert "required" not in schema
    assert not any("default" in field for field in schema["properties"].values())
    contract_document.check_value(schema, {})


def test_the_languages_are_those_of_stripes_two_pages() -> None:
    listed = DOCUMENT["components"]["schemas"]["Locale"]["enum"]
    assert set(listed) == {*inputs.PORTAL_LOCALES, *inputs.CHECKOUT_LOCALES}
    assert len(listed) == len(set(listed))


@pytest.mark.parametrize("prefix", ["/billing", "/api/stripe/v2", ""])
def test_its_paths_stand_under_the_prefix_in_use(make_service: MakeService, prefix: str) -> None:
    paths = (make_service(url_prefix=prefix).root("/openapi.json").json or {})["paths"]

    assert set(paths) == {p.replace("/api/stripe", prefix, 1) for _, p in WHO}


def test_the_routes_are_those_of_the_document_and_of_the_contract(service: Service) -> None:
    routes = {
        (method, rule.rule)
        for rule in service.app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if not rule.arguments and rule.rule != "/api/stripe/"  # the catch-all
    }
    assert routes == contract_document.operations() == set(WHO)


@pytest.mark.parametrize("method, path", list(WHO))
def test_an_operation_says_who_may_call_and_what_it_answers(method: str, path: str) -> None:
    described = operation(method, path)

    schemes = {name for choice in described["security"] for name in choice}
    assert schemes - {"metricsToken"} == SCHEMES.get(WHO[method, path], set())
    assert described["summary"] and described["operationId"] and described["tags"]
    assert "200" in described["responses"]
    for scheme in schemes:
        assert DOCUMENT["components"]["securitySchemes"][scheme]["description"]


@pytest.mark.parametrize("method, path", list(WHO))
def test_every_route_asks_for_whom_the_contract_names(
    service: Service, method: str, path: str
) -> None:
    answer = service.root(path, method)

    if WHO[method, path] is CLERK:
        refused(answer, "unauthorized")
    elif WHO[method, path] in (STRIPE, CLERK_ITSELF):
        refused(answer, "invalid_signature")
    else:
        assert answer.status_code == 200


def test_every_part_of_the_document_is_used() -> None:
    used = set(_references(DOCUMENT["paths"]))
    for _ in range(5):
        for reference in list(used):
            kind, name = reference.split("/")[2:]
            used |= set(_references(DOCUMENT["components"][kind][name]))
    listed = {
        f"#/components/{kind}/{name}"
        for kind in ("responses", "schemas", "headers")
        for name in DOCUMENT["components"][kind]
    }
    # These two are for what has no operation.
    special = {f"#/components/responses/{name}" for name in ("NotFound", "MethodNotAllowed")}
    assert listed - used - special == {"#/components/headers/Allow"}


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        found = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return found + [r for inner in value.values() for r in _references(inner)]
    if isinstance(value, list):
        return [r for inner in value for r in _references(inner)]
    return []


def test_a_status_object_has_exactly_the_documented_fields(world: World, service: Service) -> None:
    schema = DOCUMENT["components"]["schemas"]["Subscription"]
    put_row(world)

    assert set(service.shown()) == set(schema["properties"]) == set(schema["required"])


@pytest.mark.parametrize(
    "path, body",
    [
        ("portal", {"flow": "nonsense"}),
        ("portal", {"customer": "cus_1"}),
        ("portal", {"return_path": 7}),
        ("checkout", {"quantity": 0}),
        ("checkout", {"quantity": 1.5}),
        ("checkout", {"plan": "pro", "price": "price_pro"}),
        ("checkout", {"plan": ["pro"]}),
        ("refresh", {"checkout_session_id": "sub_1"}),
        ("refresh", {"checkout_session_id": 7}),
        ("refresh", []),
    ],
)
def test_what_the_document_forbids_is_refused(service: Service, path: str, body: Any) -> None:
    documented = {"refresh": "subscription/refresh"}.get(path, path)

    with pytest.raises(AssertionError):
        contract_document.check_request(f"/api/stripe/{documented}", body)
    refused(getattr(service, path)(body=body), "invalid_request")


RIGHT_HEADERS = {"X-Request-ID": "abcd1234", "Cache-Control": "no-store"}


@pytest.mark.parametrize(
    "wrong, headers, status",
    [
        ({}, {"X-Request-ID": ""}, 200),
        ({}, {"Cache-Control": "public"}, 200),
        ({}, {"Retry-After": "5"}, 200),
        ({}, {}, 201),
        ({"subscribed": None}, {}, 200),
        ({"plan": 7}, {}, 200),
        ({"current_period_end": "2026-12-25T10:00:00+00:00"}, {}, 200),
        ({"quantity": "1"}, {}, 200),
        ({"livemode": None}, {}, 200),
    ],
)
def test_the_judge_of_the_other_tests_sees_a_wrong_answer(
    service: Service, wrong: Json, headers: dict[str, str], status: int
) -> None:
    right = service.shown()

    def answered(changes: Json, more: dict[str, str], status: int) -> None:
        app = Flask("somebody")
        app.test_client_class = ContractClient
        answer = (right | changes, status, RIGHT_HEADERS | more)
        app.add_url_rule("/api/stripe/subscription", "status", lambda: answer)
        app.test_client().get("/api/stripe/subscription")

    answered({}, {}, 200)
    answered({"a_field_of_tomorrow": 1}, {}, 200)
    with pytest.raises(AssertionError):
        answered(wrong, headers, status)
