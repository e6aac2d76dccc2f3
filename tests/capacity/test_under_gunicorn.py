"""The real server when Stripe hangs, and when its workers are replaced again and again."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from service_under_test import APP_URL, last_event, rows, signature
from started import wait_for

from sandbox.service import Service as Gunicorn
from sandbox.world import World

THREADS = 8
WEBHOOK = "/api/stripe/webhook"
Start = Callable[..., Gunicorn]


@pytest.fixture
def start(world: World, tmp_path: Path) -> Iterator[Start]:
    """start(**environment): the service under Gunicorn, with one worker."""
    with ExitStack() as stack:

        def start(**changes: str) -> Gunicorn:
            environment = world.environment(APP_URL) | {"WEB_CONCURRENCY": "1"} | changes
            return stack.enter_context(Gunicorn(environment, tmp_path))

        yield start
        world.faults.reset()  # what hangs is let go, or the service would wait for it


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    limits = httpx.Limits(max_connections=200)
    with httpx.Client(trust_env=False, timeout=60, limits=limits) as client:
        yield client


def webhook(http: httpx.Client, url: str, body: bytes) -> httpx.Response:
    return http.post(url + WEBHOOK, content=body, headers={"Stripe-Signature": signature(body)})


def looked_at(ready: httpx.Response) -> httpx.Response | None:
    """The answer, once Stripe's trouble was found by a whole look."""
    found = ready.json()
    is_found = found["status"] != "starting" and found["checks"]["stripe"] == "degraded"
    return ready if is_found else None


def metric(http: httpx.Client, url: str, start_of_line: str) -> float:
    lines = http.get(url + "/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(start_of_line))


def test_a_stripe_that_hangs_takes_no_thread_from_health_and_status(
    world: World, start: Start, http: httpx.Client
) -> None:
    gunicorn = start(THREADS=str(THREADS), STRIPE_TIMEOUT_SECONDS="30")
    world.add_user("ada")
    token = world.clerk.session_token("user_ada")
    created = []
    for _ in range(3 * THREADS):  # each of a customer of its own: none waits for another's refresh
        world.stripe.create_subscription("user_ada", "price_pro")
        created.append(last_event(world.stripe, "customer.subscription.created"))
    assert http.get(gunicorn.url + "/readyz").status_code in (200, 503)  # it begins to look
    world.faults.stripe = "hang"

    with ThreadPoolExecutor(len(created)) as pool:
        bodies = [httpx.Request("POST", "http://x", json=event).content for event in created]
        sent: list[Future[httpx.Response]] = [
            pool.submit(webhook, http, gunicorn.url, body) for body in bodies
        ]
        # Three quarters of the threads wait for Stripe; whoever else comes is sent away at once.
        wait_for(lambda: sum(one.done() for one in sent) >= len(sent) - THREADS * 3 // 4)
        early = [one.result() for one in sent if one.done()]
        assert {answer.status_code for answer in early} == {503}
        assert all(answer.headers["Retry-After"] for answer in early)

        for path in ("/healthz", "/metrics", "/openapi.json"):
            assert http.get(gunicorn.url + path).status_code == 200
        status = http.get(
            f"{gunicorn.url}/api/stripe/subscription", headers={"Authorization": f"Bearer {token}"}
        )
        assert (status.status_code, status.json()["plan"]) == (200, "free")
        ready = wait_for(lambda: looked_at(http.get(gunicorn.url + "/readyz")))
        assert (ready.status_code, ready.json()["checks"]["database"]) == (200, "up")
        assert not all(one.done() for one in sent)  # all this while they hang
        world.faults.stripe = "up"
        assert {one.result().status_code for one in sent} <= {200, 503}

    for body in bodies:
        wait_for(lambda body=body: webhook(http, gunicorn.url, body).status_code == 200)
    assert {row["status"] for row in rows(world).values()} == {"active"}
    assert len(rows(world)) == len(created)


def test_fifty_recycled_workers_leave_nothing_and_lose_no_count(
    world: World, start: Start, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    gunicorn = start(THREADS="4", GUNICORN_CMD_ARGS="--max-requests 1 --max-requests-jitter 0")
    line = 'portal_requests_total{method="GET",route="/openapi.json"'

    def served() -> bool:
        try:
            return http.get(gunicorn.url + "/openapi.json", timeout=10).status_code == 200
        except httpx.TransportError:
            return False  # the worker was just leaving

    asked = answered = 0
    while answered < 50:
        asked += 1
        assert asked < 500, gunicorn.last_words()
        answered += served()
    (folder,) = metrics_folders(gunicorn)
    files = sorted(os.listdir(folder))
    # An answer that got lost with its worker may be counted all the same.
    counted = wait_for(lambda: max(_counted(http, gunicorn, line), 0))
    assert answered <= counted <= asked
    assert len(files) == 1 + 3 * 6  # a lock; six kinds of files of master and two places
    gunicorn.stop()
    assert not folder.exists()


def _counted(http: httpx.Client, gunicorn: Gunicorn, line: str) -> float:
    try:
        return metric(http, gunicorn.url, line)
    except httpx.TransportError:
        return -1


def metrics_folders(gunicorn: Gunicorn) -> list[Path]:
    """Those whose lock the master holds."""
    opened = [Path(os.path.realpath(fd)) for fd in Path(f"/proc/{gunicorn.pid}/fd").iterdir()]
    return [
        path.parent
        for path in opened
        if path.name == "lock" and path.parent.name.startswith("portal-metrics-")
    ]


def test_the_time_in_front_of_a_thread_is_counted(
    world: World, start: Start, http: httpx.Client
) -> None:
    gunicorn = start(THREADS="1")
    http.get(gunicorn.url + "/healthz")
    assert metric(http, gunicorn.url, "portal_queue_seconds_count") >= 1
