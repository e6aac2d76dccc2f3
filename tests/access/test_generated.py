"""Attacks that nobody wrote down: made from the served OpenAPI document, and mixed at random. The
same ones in every run.
"""

import json
import re
import time
from typing import Any

import contract_document
import pytest
import schemathesis
from hypothesis import HealthCheck, assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core import NOT_SET
from service_under_test import (
    APP_URL,
    Json,
    MakeService,
    Service,
    calls,
    link,
    refused,
    rows,
    signature,
)
from under_attack import forged, part, read

from sandbox.world import World

POSSIBLE = hypothesis_settings(
    derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
load_all_checks()
OPERATIONS = sorted(contract_document.operations())


@pytest.fixture
def service(make_service: MakeService, world: World, ada: str) -> Service:
    """Without limits of rate, with a customer of ada's."""
    link(world, world.stripe.create_customer()["id"])
    return make_service(rate_limit="1000000/second", refresh_rate_limit="1000000/second")


@pytest.fixture
def schema(service: Service) -> Any:
    """The document as it is served."""
    return schemathesis.openapi.from_wsgi("/openapi.json", service.app)


@pytest.fixture
def bearers(world: World, service: Service) -> list[Json]:
    """Who calls: ada, somebody unknown to the app, an admin as ada, and strangers."""
    good = service.token()
    return [
        {"Authorization": f"Bearer {good}"},
        {"Authorization": f"Bearer {good}"},
        service.bearer("nobody"),
        service.bearer(act={"sub": "user_admin"}),
        {"Authorization": "Bearer garbage"},
        {"Cookie": f"__session={good}"},
        {"Cookie": f"__session={good}", "Origin": APP_URL},
        {},
    ]


# What these ask for is not so: a body may fit the schema and be refused all the same (a price that
# is not sold), and our calls of strangers are no accident.
EXCLUDED = ["positive_data_acceptance", "ignored_auth", "missing_required_header"]
# An event of a type that we do not use is ignored, whatever is in it; and 413, which schemathesis
# does not count as a refusal, is one.
EXCLUDED_OF_WEBHOOKS = [*EXCLUDED, "negative_data_rejection"]


ATTACKS = [
    (method, path, mode)
    for method, path in OPERATIONS
    for mode in GenerationMode
    if mode.is_positive
    or "requestBody" in contract_document.DOCUMENT["paths"][path][method.lower()]
]  # what takes nothing can't be sent anything wrong


@pytest.mark.parametrize("method, path, mode", ATTACKS)
def test_every_call_answers_as_documented_whatever_is_sent(
    service: Service, schema: Any, bearers: list[Json], method: str, path: str, mode: GenerationMode
) -> None:
    operation = schema[path][method]
    cases = operation.as_strategy(generation_mode=mode)

    @given(cases, st.sampled_from(bearers))
    @hypothesis_settings(POSSIBLE, max_examples=30 if operation.body else 6)
    def attack(case: Any, caller: Json) -> None:
        assume(not has_strange_locale(case.body))
        case.headers = caller
        case.cookies = {}
        webhook = path.endswith("/webhook")
        answer = signed(service, path, case.body) if webhook else case.call()
        refused = webhook or answer.status_code == 413
        names = EXCLUDED_OF_WEBHOOKS if refused else EXCLUDED
        case.validate_response(answer, excluded_checks=[CHECKS.get_one(name) for name in names])

    attack()


def has_strange_locale(body: Any) -> bool:
    """The document says text, for those who make clients; the service takes anything and never
    refuses it: tests/access/test_bodies.py.
    """
    return isinstance(body, dict) and not isinstance(body.get("locale", ""), str | None)


def signed(service: Service, path: str, body: Any) -> Any:
    """A generated event as if Stripe, or Clerk, had sent it, so that it gets further than its
    signature.
    """
    raw = b"" if body is NOT_SET else body
    raw = raw if isinstance(raw, bytes) else json.dumps(raw).encode()
    if path.endswith("/clerk/webhook"):
        return service.deliver_clerk(raw)
    return service.call(
        "POST", "/webhook", data=raw, headers={"Stripe-Signature": signature(raw)},
        content_type="application/json",
    )  # fmt: skip


@pytest.mark.parametrize("method, path", OPERATIONS)
def test_methods_paths_and_queries_of_no_document_are_refused_as_documented(
    service: Service, method: str, path: str
) -> None:
    """The client of these tests fails where an answer is none of the document's."""

    @given(
        st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]),
        st.text(st.characters(codec="utf-8", exclude_characters="?#\r\n"), max_size=20),
        st.binary(max_size=60),
    )
    @hypothesis_settings(POSSIBLE, max_examples=12)
    def attack(verb: str, more: str, body: bytes) -> None:
        for where in (f"{path}/{more}", path):
            answer = service.root(where, verb, data=body, query_string={"q": more})
            assert answer.status_code < 500 or path == "/readyz"

    attack()


# The webhook's verifier


def corrupted(data: st.DataObject, text: str) -> str:
    """The text with a piece of it left out, replaced or added."""
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 8)))
    latin = st.characters(max_codepoint=255, exclude_characters="\r\n")  # no header has line ends
    return text[:start] + data.draw(st.text(latin, max_size=8)) + text[end:]


EVENT = json.dumps({"object": "event", "type": "x", "data": {"object": {}}, "livemode": False})


@given(st.data(), st.binary(max_size=200) | st.just(EVENT.encode()))
@hypothesis_settings(POSSIBLE, max_examples=200)
def test_no_corrupted_signature_is_accepted(
    world: World, service: Service, data: st.DataObject, body: bytes
) -> None:
    good = signature(body, at=int(time.time()))
    header = corrupted(data, good)
    answer = service.call("POST", "/webhook", data=body, headers={"Stripe-Signature": header})
    if answer.status_code == 200 or answer.json["code"] == "invalid_payload":
        stamp, mac = good.split(",")  # both are still there as they were, beside something else
        assert stamp in header.split(",") and mac in header.split(",")
    else:
        refused(answer, "invalid_signature")
    assert rows(world) == {}


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "object", "data", "price", "x"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)


@given(
    st.sampled_from(["type", "object", "data", "created", "livemode", "related_object", "id",
                     "account", "context", "api_version"]),
    anything,
    # Not the thin twin of a checkout: Stripe has no such session, which is 5xx on purpose.
    st.sampled_from(["customer.subscription.updated", "checkout.session.completed", "invoice.paid",
                     "v1.customer.subscription.updated"]),
)  # fmt: skip
@hypothesis_settings(POSSIBLE, max_examples=150)
def test_a_signed_event_with_anything_in_one_place_is_no_fault(
    world: World, service: Service, field: str, value: Any, kind: str
) -> None:
    thin = kind.startswith("v1.")
    event = {
        "object": "v2.core.event" if thin else "event",
        "id": "evt_1",
        "type": kind,
        "created": int(time.time()),
        "livemode": False,
        "data": {"object": {"id": "sub_unknown", "status": "active", "customer": "cus_unknown"}},
        "related_object": {"id": "sub_unknown"},
    }
    answer = service.deliver(event | {field: value})
    assert answer.status_code in (200, 400), answer.text


# The tokens' verifier

header_values = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just("RS256")


@given(st.data(), st.sampled_from(["text", "header", "claims", "signature"]))
@hypothesis_settings(POSSIBLE, max_examples=200)
def test_no_corrupted_token_is_accepted(
    world: World, service: Service, data: st.DataObject, what: str
) -> None:
    good = world.clerk.session_token("user_ada")
    header, claims, mac = good.split(".")
    if what == "text":
        token = corrupted(data, good)
    elif what == "header":
        changes = data.draw(
            st.dictionaries(
                st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk", "x5c", "zip", "cty"]),
                anything | header_values, min_size=1, max_size=3,
            )
        )  # fmt: skip
        token = f"{part(read(header) | changes)}.{claims}.{mac}"
    elif what == "claims":
        name = data.draw(st.sampled_from(sorted(read(claims))))
        token = f"{header}.{part(read(claims) | {name: data.draw(anything)})}.{mac}"
    else:
        token = f"{header}.{claims}.{part(data.draw(st.binary(max_size=300)))}"
    answer = service.call("GET", "/subscription", headers={"Authorization": f"Bearer {token}"})
    if answer.status_code == 200:  # the same bytes: base64 can be written in several ways
        signed_part, _, written = token.strip().rpartition(".")
        assert signed_part == f"{header}.{claims}"
        assert re.sub(r"[^\w-]", "", written, flags=re.ASCII)[:341] == mac[:341]
    else:
        refused(answer, "unauthorized")


@given(
    st.dictionaries(
        st.sampled_from(
            ["exp", "nbf", "iat", "iss", "sid", "sub", "sts", "azp", "jti", "act", "v"]
        ),
        anything, min_size=1, max_size=3,
    ),
)  # fmt: skip
@hypothesis_settings(POSSIBLE, max_examples=150)
def test_signed_claims_of_anything_are_answered(
    world: World, service: Service, changes: Json
) -> None:
    """As from a template in Clerk's dashboard that a team has got wrong."""
    header = read(world.clerk.session_token("user_ada").partition(".")[0])
    token = forged(header, world.clerk.claims("user_ada") | changes, world.clerk._key)
    answer = service.call("GET", "/subscription", headers={"Authorization": f"Bearer {token}"})
    if answer.status_code == 401:
        refused(answer, "unauthorized")
    elif answer.status_code == 403:
        refused(answer, "origin_not_allowed")
    else:
        assert answer.status_code == 200, answer.text
        assert changes.get("sub", "user_ada") == "user_ada"
    assert calls(world.stripe) == []
