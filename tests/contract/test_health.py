"""GET /healthz and /readyz."""

from collections.abc import Iterator

import pytest
from service_under_test import Json, MakeService, OtherStripe, Service, calls, execute
from werkzeug.test import TestResponse

from portal_service.readiness import Readiness
from sandbox.world import World

ALL_UP = {"database": "up", "schema": "up", "stripe": "up", "clerk": "up"}


def everything_down(world: World) -> None:
    world.faults.update({"stripe": "error", "database": "down", "clerk": "down"})


def checks(answer: TestResponse) -> Json:
    found: Json = (answer.json or {})["checks"]
    return found


def test_alive_touches_nothing(world: World, service: Service) -> None:
    everything_down(world)
    before = world.clerk.jwks_requests

    answer = service.root("/healthz")
    assert (answer.status_code, answer.json) == (200, {"status": "ok"})
    assert (calls(world.stripe), world.clerk.jwks_requests) == ([], before)


def test_ready_when_all_is_up(service: Service) -> None:
    answer = service.root("/readyz")
    assert (answer.status_code, answer.json) == (200, {"status": "ready", "checks": ALL_UP})


@pytest.mark.parametrize(
    "switch, value, name",
    [
        ("stripe", "error", "stripe"),
        ("stripe", "rate_limited", "stripe"),
        ("clerk", "down", "clerk"),
    ],
)
def test_a_vendor_in_trouble_is_degraded_and_the_service_still_ready(
    world: World, service: Service, switch: str, value: str, name: str
) -> None:
    world.faults.update({switch: value})

    answer = service.root("/readyz")
    assert answer.status_code == 200
    assert checks(answer) == ALL_UP | {name: "degraded"}


def test_a_key_that_stripe_does_not_accept_is_degraded(make_service: MakeService) -> None:
    answer = make_service(stripe_secret_key="sk_test_revoked").root("/readyz")
    assert (answer.status_code, checks(answer)["stripe"]) == (200, "degraded")


def test_with_a_pem_key_clerk_is_not_asked(world: World, make_service: MakeService) -> None:
    world.faults.clerk = "down"
    answer = make_service(clerk_jwt_key=world.clerk.public_key_pem).root("/readyz")
    assert checks(answer)["clerk"] == "up"


def test_without_a_database_nothing_can_be_served(world: World, service: Service) -> None:
    world.faults.database = "down"

    answer = service.root("/readyz")
    assert (answer.status_code, (answer.json or {})["status"]) == (503, "unavailable")
    assert checks(answer)["database"] == "degraded"


@pytest.mark.parametrize("key", ["anon", "nonsense"])
def test_without_the_right_database_key_nothing_can_be_served(
    world: World, make_service: MakeService, key: str
) -> None:
    key = world.anon_key if key == "anon" else "sb_secret_nonsense"
    assert make_service(supabase_key=key).root("/readyz").status_code == 503


@pytest.fixture
def broken_schema(world: World, request: pytest.FixtureRequest) -> Iterator[None]:
    """Something that the migrations made has another name for a while."""
    kind, old = request.param
    there, back = {
        "column": (
            "alter table subscriptions rename column {} to away",
            "alter table subscriptions rename column away to {}",
        ),
        "table": ("alter table {} rename to away", "alter table away rename to {}"),
        "function": (
            "alter function {}(text, boolean) rename to away",
            "alter function away(text, boolean) rename to {}",
        ),
    }[kind]
    execute(world, there.format(old))
    yield
    execute(world, back.format(old))


@pytest.mark.parametrize(
    "broken_schema, missing",
    [
        (("column", "revision"), "subscriptions.revision"),
        (("column", "paused_reason"), "subscriptions.paused_reason"),
        (("column", "user_id"), "subscriptions.user_id"),
        (("table", "subscriptions"), "subscriptions"),
        (("table", "billing_customers"), "billing_customers"),
        (("function", "billing_account"), "billing_account"),
    ],
    indirect=["broken_schema"],
)
def test_a_missing_part_of_the_schema_is_named(
    world: World, broken_schema: None, make_service: MakeService, missing: str
) -> None:
    answer = make_service().root("/readyz")

    assert answer.status_code == 503
    assert (answer.json or {})["missing"] == [missing]
    assert checks(answer)["schema"] == "degraded"


def test_a_probe_asks_nobody_and_reads_what_the_last_look_found(
    world: World, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Readiness, "_begin", lambda self: None)  # no look beside this test's own
    readiness = Readiness(service.app.extensions["portal_service"])
    none_yet = dict.fromkeys(ALL_UP, "degraded")
    assert readiness.answer() == ({"status": "starting", "checks": none_yet}, 503)
    assert calls(world.stripe) == []

    readiness.look()
    asked = calls(world.stripe)
    everything_down(world)
    assert readiness.answer() == ({"status": "ready", "checks": ALL_UP}, 200)
    assert calls(world.stripe) == asked

    readiness.look()
    body, status = readiness.answer()
    assert (status, set(body["checks"].values())) == (503, {"degraded"})


def test_no_error_text_and_no_address_is_told(
    world: World, make_service: MakeService, other_stripe: OtherStripe
) -> None:
    everything_down(world)
    service = make_service(stripe_api_base=other_stripe.url)

    text = service.root("/readyz").text
    for told in ("http", "127.0.0.1", "sandbox", "Error", "PGRST", service.settings.supabase_key):
        assert told not in text


def test_anyone_may_ask(service: Service) -> None:
    for path in ("/healthz", "/readyz", "/openapi.json"):
        assert service.root(path, headers={"Authorization": "Bearer nonsense"}).status_code == 200
