"""GET /metrics, in this process and of two real worker processes together."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from service_under_test import (
    APP_URL,
    MakeService,
    Service,
    execute,
    last_event,
    put_row,
    refused,
    signature,
)

from sandbox.service import Service as Gunicorn
from sandbox.world import World


def requests(service: Service, route: str, method: str, status: int) -> float:
    return service.metric("portal_requests_total", method=method, route=route, status=str(status))


def test_requests_are_counted_by_route_method_and_status(service: Service) -> None:
    wanted = [
        ("/api/stripe/subscription", "GET", 200),
        ("/api/stripe/subscription", "GET", 401),
        ("/api/stripe/portal", "POST", 404),
    ]
    before = [requests(service, *one) for one in wanted]
    service.status()
    service.status()
    service.call("GET", "/subscription")
    service.portal()

    counted = [requests(service, *one) - had for one, had in zip(wanted, before, strict=True)]
    assert counted == [2, 1, 1]


def test_unknown_paths_make_no_new_series(service: Service) -> None:
    for path in ("/api/stripe/nowhere", "/nowhere", "/metrics"):  # these have theirs
        service.root(path)
    before = service.root("/metrics").text.count("\nportal_")
    for number in range(5):
        service.call("GET", f"/{number}")
        service.root(f"/{number}/wp-login.php")
        service.call("GET", f"/portal/{number}")
    assert service.root("/metrics").text.count("\nportal_") == before


def test_the_time_of_answers_is_measured(service: Service) -> None:
    name, route = "portal_request_seconds_count", "/api/stripe/subscription"
    before = service.metric(name, route=route)
    service.status()
    assert service.metric(name, route=route) == before + 1


def test_failed_calls_are_counted_by_vendor(world: World, service: Service) -> None:
    name = "portal_vendor_errors_total"
    before = service.metric(name, error="rate_limit", vendor="stripe")
    world.faults.stripe = "rate_limited"
    service.checkout()
    assert service.metric(name, error="rate_limit", vendor="stripe") == before + 1


def test_with_a_token_only_its_bearer_may_read(make_service: MakeService) -> None:
    service = make_service(metrics_token="s3cret")

    for authorization in (None, "", "Bearer", "Bearer ", "Bearer wrong", "s3cret", "Basic s3cret",
                          "Bearer s3cret2", "Bearer s3cre", "Bearer \xe9"):  # fmt: skip
        headers = {} if authorization is None else {"Authorization": authorization}
        refused(service.root("/metrics", headers=headers), "unauthorized")
    answer = service.root("/metrics", headers={"Authorization": "Bearer s3cret"})
    assert answer.status_code == 200
    assert "portal_requests_total" in answer.text


def test_without_a_token_anyone_may_read(service: Service) -> None:
    answer = service.root("/metrics", headers={"Authorization": "Bearer nonsense"})
    assert (answer.status_code, answer.mimetype) == (200, "text/plain")


def test_no_label_holds_a_user_or_an_id_of_stripe(world: World, service: Service) -> None:
    world.stripe.create_subscription("user_ada", "price_pro")
    service.outcome(last_event(world.stripe))
    put_row(world, price_id="price_secret", product_id="prod_secret")
    service.status()
    service.portal()

    text = service.root("/metrics").text
    for told in ("user_ada", "cus_", "sub_", "price_secret", "@"):
        assert told not in text


# The real server: Gunicorn with its configuration and two worker processes


@pytest.fixture(scope="module")
def gunicorn(shared_world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gunicorn]:
    environment = shared_world.environment(APP_URL)
    environment |= {"WEB_CONCURRENCY": "2", "THREADS": "16", "RATE_LIMIT": "1000/minute"}
    with Gunicorn(environment, tmp_path_factory.mktemp("gunicorn")) as service:
        yield service


@pytest.fixture
def http(gunicorn: Gunicorn) -> Iterator[httpx.Client]:
    """Each request on a connection of its own, so that both workers get some."""
    limits = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(base_url=gunicorn.url, limits=limits, trust_env=False, timeout=20) as client:
        yield client


def counted(http: httpx.Client, name: str, **labels: Any) -> float:
    wanted = {f'{label}="{value}"' for label, value in labels.items()}
    return sum(
        float(line.rpartition(" ")[2])
        for line in http.get("/metrics").text.splitlines()
        if line.startswith(name + ("{" if wanted else " ")) and all(w in line for w in wanted)
    )


def test_the_counts_of_two_workers_are_one_sum_whoever_answers(
    world: World, http: httpx.Client
) -> None:
    world.add_user("ada")
    headers = {"Authorization": f"Bearer {world.clerk.session_token('user_ada')}"}
    route = {"route": "/api/stripe/subscription", "method": "GET", "status": 200}
    before = counted(http, "portal_requests_total", **route)

    with ThreadPoolExecutor(8) as pool:
        got = list(
            pool.map(lambda _: http.get("/api/stripe/subscription", headers=headers), range(40))
        )
    assert {answer.status_code for answer in got} == {200}
    seen = {counted(http, "portal_requests_total", **route) - before for _ in range(6)}
    assert seen == {40}


def test_webhooks_and_unknown_prices_of_two_workers_are_one_sum(
    world: World, http: httpx.Client
) -> None:
    customer = world.stripe.create_customer()["id"]
    put_row(world, user_id=None, stripe_customer_id=customer, status="canceled")
    world.stripe.create_subscription(None, "price_other", customer=customer)
    event = last_event(world.stripe)
    kind = {"type": "customer.subscription.created"}
    webhooks, unknown = "portal_webhook_outcomes_total", "portal_unknown_prices_total"
    before = counted(http, webhooks, **kind), counted(http, unknown)

    body = json.dumps(event).encode()
    outcomes = []
    for _ in range(10):
        answer = http.post(
            "/api/stripe/webhook", content=body, headers={"Stripe-Signature": signature(body)}
        )
        outcomes.append(answer.json()["outcome"])

    assert outcomes == ["refreshed"] + ["unchanged"] * 9
    assert counted(http, webhooks, **kind) == before[0] + 10
    assert counted(http, webhooks, outcome="unchanged", **kind) >= 9
    # Told once per row and process, and there are two of these.
    assert before[1] < counted(http, unknown) <= before[1] + 2


def test_the_last_delivery_and_the_oldest_keys_of_all_workers_are_shown(
    world: World, http: httpx.Client
) -> None:
    began = time.time()
    world.stripe.create_subscription(None, "price_other")
    body = json.dumps(last_event(world.stripe)).encode()
    lags = counted(http, "portal_webhook_lag_seconds_count")
    for _ in range(6):
        http.post(
            "/api/stripe/webhook", content=body, headers={"Stripe-Signature": signature(body)}
        )

    shown = {
        (
            counted(http, "portal_webhook_last_timestamp_seconds") >= began,
            counted(http, "portal_webhook_lag_seconds_count") - lags,
            0 < counted(http, "portal_keys_fetched_timestamp_seconds", vendor="clerk") <= began,
        )
        for _ in range(4)
    }
    assert shown == {(True, 6, True)}  # by whichever worker
    assert "pid=" not in http.get("/metrics").text


def test_what_sync_found_is_the_same_whichever_worker_answers(world: World, tmp_path: Path) -> None:
    execute(
        world,
        "insert into billing_private.syncs values (false, 'all', now(), null, 4, 2),"
        " (true, 'all', null, now(), 9, 9)",  # of the other mode
    )
    environment = world.environment(APP_URL) | {"WEB_CONCURRENCY": "2"}
    limits = httpx.Limits(max_keepalive_connections=0)
    names = ("portal_sync_differing_rows", "portal_sync_unclaimed_subscriptions")
    with (
        Gunicorn(environment, tmp_path) as service,
        httpx.Client(base_url=service.url, limits=limits, trust_env=False, timeout=20) as client,
    ):
        last_chance = time.monotonic() + 20
        while counted(client, names[0], scope="all") != 4:
            assert time.monotonic() < last_chance
        for _ in range(6):
            assert [counted(client, name, scope="all") for name in names] == [4, 2]
        last = "portal_sync_last_timestamp_seconds"
        assert counted(client, last, scope="all", outcome="done") > 0
        assert counted(client, last, outcome="failed") == 0


@pytest.mark.parametrize(
    "path, limit", [("/api/stripe/webhook", 1024 * 1024), ("/api/stripe/portal", 16 * 1024)]
)
def test_a_chunked_body_over_the_limit_is_too_large_and_not_cut(
    world: World, http: httpx.Client, path: str, limit: int
) -> None:
    world.add_user("ada")
    token = world.clerk.session_token("user_ada")
    body = b"{" + b" " * (limit - 2) + b"}"

    def post(content: bytes) -> httpx.Response:
        chunks = (content[i : i + 8192] for i in range(0, len(content), 8192))
        return http.post(
            path,
            content=chunks,
            headers={
                "Authorization": f"Bearer {token}",
                "Content-Type": "application/json",
                "Stripe-Signature": signature(content),
            },
        )

    answer = post(body + b" ")
    assert (answer.status_code, answer.json()["code"]) == (413, "invalid_request")
    answer = post(body)
    assert answer.json()["code"] in ("invalid_payload", "no_subscription")
