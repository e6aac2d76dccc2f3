"""Ordinary bursts: all that Stripe has to say about one subscription at once, and a page after
checkout that cannot wait.
"""

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from frontend import APP_URL, User
from outside import Deliverer, Outside, events_of, outside

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

    def __call__(self, method: str, path: str) -> None:
        is_list = path == "/v1/subscriptions"
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
    assert len(slow_stripe.asked) <= 2 * DELIVERIES
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
