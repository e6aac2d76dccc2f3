"""The service as two processes: ordinary bursts, a page after checkout that cannot wait, workers
that are killed in the middle, a restart under load.
"""

import os
import random
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from frontend import APP_URL, User
from outside import Deliverer, Outside, assert_right, events_of, outside
from table import PlainDatabase

from sandbox.service import Service
from sandbox.world import World

DELIVERIES = 8
PROCESSES = 2


@dataclass
class Running:
    service: Service
    out: Outside


@pytest.fixture(scope="module")
def started(shared_world: World, tmp_path_factory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("service")
    with outside(shared_world, APP_URL, REFRESH_RATE_LIMIT="1000/minute") as out:
        environment = out.environment | {"WEB_CONCURRENCY": str(PROCESSES)}
        with Service(environment, folder) as service:
            yield Running(service, out)
            service.kill()  # nothing is under way: there is nothing to wait for


class SlowStripe:
    """Takes 150 to 400 ms for each question, and answers what was true in the beginning."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.lists = 0  # under way
        self.most_lists = 0
        self._lock = threading.Lock()

    def __call__(self, method: str, path: str, query: str) -> None:
        is_list = path == "/v1/subscriptions"
        if is_list and "customer=" not in query:
            return  # no question about a user: a process looks whether Stripe is there
        with self._lock:
            self.asked.append(path)
            self.lists += is_list
            self.most_lists = max(self.lists, self.most_lists)
        threading.Event().wait(random.uniform(0.15, 0.4))
        with self._lock:
            self.lists -= is_list


@pytest.fixture
def slow_stripe(started: Running, world: World) -> Iterator[SlowStripe]:
    started.out.stripe.answered = slow = SlowStripe()
    yield slow
    started.out.heal()


def subscriber(started: Running, world: World, name: str) -> User:
    user = User(world, started.service.url, name)
    bought = world.stripe.create_subscription(user.clerk_id, "price_pro")
    with Deliverer([started.service.url], world.database_url, workers=1) as stripe:
        stripe.send(events_of(world, bought["id"])[0])
        assert stripe.wait(20)
    return user


def test_a_burst_of_deliveries(started: Running, slow_stripe: SlowStripe, world: World) -> None:
    """Eight within 0.3 s: not one 503, and no storm of questions."""
    subscription = world.stripe.create_subscription("user_ada", "price_pro")["id"]
    for quantity in range(2, DELIVERIES + 1):
        world.stripe.act(subscription, "change_plan", quantity=quantity)
    with Deliverer([started.service.url], world.database_url, workers=DELIVERIES) as stripe:
        for event in events_of(world, subscription):
            stripe.send(event, after=random.uniform(0, 0.3))
        assert stripe.wait(20)
        assert stripe.answers == {200: DELIVERIES}
        assert not stripe.without_row
    questions = [path for path in slow_stripe.asked if path.endswith(subscription)]
    assert len(questions) <= 2 * DELIVERIES
    (row,) = world.rows()
    assert row["quantity"] == DELIVERIES


def test_a_page_that_cannot_wait(started: Running, slow_stripe: SlowStripe, world: World) -> None:
    """In each process at most one question about a user is under way, and it is shared."""
    ada = subscriber(started, world, "ada")
    slow_stripe.asked.clear()
    with ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(lambda _: ada.refresh(), range(24)))
    assert all(answer["subscribed"] for answer in answers)
    assert slow_stripe.most_lists <= PROCESSES
    assert slow_stripe.asked.count("/v1/subscriptions") <= 12


def test_users_do_not_wait_for_each_other(
    started: Running, slow_stripe: SlowStripe, world: World
) -> None:
    users = [subscriber(started, world, f"u{n}") for n in range(4)]
    slow_stripe.asked.clear()
    with ThreadPoolExecutor(len(users)) as pool:
        assert all(pool.map(lambda user: user.refresh()["subscribed"], users))
    assert slow_stripe.asked.count("/v1/subscriptions") == len(users)


# Workers and their end


def workers_of(service: Service) -> list[int]:
    """The process ids of Gunicorn's workers."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it has just ended
        if parent == service.pid:
            found.append(int(stat.parent.name))
    return found


def test_workers_are_killed_while_they_ask_stripe_and_before_they_write(
    started: Running, world: World, rows: PlainDatabase
) -> None:
    out, service = started.out, started.service
    asking, writing = (
        world.stripe.create_subscription(user, "price_pro")["id"] for user in ("user_a", "user_b")
    )
    at_stripe, at_the_table = threading.Event(), threading.Event()

    def hang_at_stripe(method: str, path: str) -> str | None:
        if not path.endswith(asking):
            return None
        at_stripe.set()
        return "hanging"

    def hang_at_the_table(method: str, path: str) -> str | None:
        if path != "/rest/v1/subscriptions" or not at_stripe.is_set():
            return None
        at_the_table.set()
        return "hanging"

    out.stripe.fault, out.database.fault = hang_at_stripe, hang_at_the_table
    with Deliverer([service.url], world.database_url) as stripe_:
        stripe_.send(events_of(world, asking)[0])
        assert at_stripe.wait(10)
        stripe_.send(events_of(world, writing)[0])
        assert at_the_table.wait(10)
        out.heal()
        for worker in workers_of(service):
            os.kill(worker, signal.SIGKILL)
        assert stripe_.wait(20)
        assert stripe_.answers[200] == 2
        assert stripe_.redelivered >= 2
        assert not stripe_.without_row
    for subscription in (asking, writing):
        assert_right(out, rows, subscription)


def test_the_service_is_restarted_under_load(
    started: Running, world: World, rows: PlainDatabase
) -> None:
    out, service = started.out, started.service
    account = out.world.stripe
    ids = [account.create_subscription(f"user_{n}", "price_pro")["id"] for n in range(5)]
    with Deliverer([service.url], out.world.database_url) as stripe_:
        for quantity in range(2, 8):
            for subscription in ids:
                account.act(subscription, "change_plan", quantity=quantity)
            if quantity == 4:
                service.restart()
            for subscription in ids:
                for event in events_of(out.world, subscription)[-2:]:
                    stripe_.send(event)
        assert stripe_.wait(30)
        assert stripe_.answers[200] == stripe_.sent
        assert not stripe_.without_row
    for subscription in ids:
        assert_right(out, rows, subscription)
