"""Two replicas behind nginx under load, restarted one after the other, killed, and restarted while
a vendor hangs: every delivery is taken in, every row is right, nobody who looks sees an error.
"""

import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from frontend import APP_URL, User
from outside import Deliverer, Outside, assert_right, events_of, outside
from reverse_proxy import reverse_proxy
from table import PlainDatabase

from sandbox.service import Service
from sandbox.world import World

pytestmark = pytest.mark.skipif(
    not (shutil.which("nginx") or shutil.which("/usr/sbin/nginx")), reason="nginx is not installed"
)
SUBSCRIPTIONS = 4
MOST_CHANGES = 400  # of each; the restarts end long before


class Load:
    """Subscriptions change and are delivered, and a user looks, until the block ends."""

    def __init__(self, out: Outside, url: str) -> None:
        self.out = out
        account = out.world.stripe
        self.ids = [
            account.create_subscription(f"user_{n}", "price_pro")["id"]
            for n in range(SUBSCRIPTIONS)
        ]
        self.user = User(out.world, url, "0")
        self.looks: Counter[int] = Counter()
        self._over = threading.Event()
        self.stripe = Deliverer([url], out.world.database_url, workers=6)

    @contextmanager
    def on(self) -> Iterator["Load"]:
        threads = [threading.Thread(target=work) for work in (self._change, self._look)]
        with self.stripe:
            for thread in threads:
                thread.start()
            try:
                yield self
            finally:
                self._over.set()
                for thread in threads:
                    thread.join()
            assert self.stripe.wait(60), self.stripe.answers

    def _change(self) -> None:
        for quantity in range(2, MOST_CHANGES):
            for subscription in self.ids:
                self.out.world.stripe.act(subscription, "change_plan", quantity=quantity)
                self.stripe.send(events_of(self.out.world, subscription)[-1])
            if self._over.wait(0.4):
                return

    def _look(self) -> None:
        while not self._over.wait(0.1):
            self.looks[self.user.call("GET", "/subscription").status_code] += 1


def hanging(method: str, path: str) -> str:
    return "hanging"


def test_two_replicas_are_replaced_one_after_the_other_and_nothing_is_lost(
    shared_world: World, world: World, rows: PlainDatabase, tmp_path: Path
) -> None:
    with outside(shared_world, APP_URL) as out:
        folders = [tmp_path / name for name in ("a", "b")]
        for folder in folders:
            folder.mkdir()
        environment = out.environment | {"WEB_CONCURRENCY": "1"}
        with Service(environment, folders[0]) as a, Service(environment, folders[1]) as b:
            with reverse_proxy([a.url, b.url], tmp_path / "proxy") as (_, url):
                load = Load(out, url)
                with load.on():
                    for replica in (a, b):
                        replica.restart()
                    for replica in (a, b):
                        replica.kill()
                        replica.start()
                    out.stripe.fault = hanging
                    a.restart()
                    out.heal()
                    out.stripe.release.set()
                    b.restart()
            stripe = load.stripe
            assert stripe.answers[200] == stripe.sent > 0
            assert not stripe.without_row
            assert not stripe.broken
            assert set(load.looks) == {200}, load.looks
            for subscription in load.ids:
                assert_right(out, rows, subscription)
