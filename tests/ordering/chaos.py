"""Two replicas of the service behind a reverse proxy, thousands of deliveries, and everything that
may break does. Ends with a table; with 1 where a row is wrong. `make chaos`.
"""

import argparse
import contextlib
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from outside import Deliverer, Outside, events_of, outside
from reverse_proxy import reverse_proxy
from table import connect

from portal_service import Settings
from portal_service.subscription import differences, row_of
from sandbox.service import Service
from sandbox.world import World

Json = dict[str, Any]

BUDGET_SECONDS = 10.0
OVERHEAD_SECONDS = 1.0  # of the way through the proxy and of a machine with much to do
LAST_SECONDS = 120.0  # until all is delivered, once nothing breaks any more
TIMEOUTS = {"STRIPE_TIMEOUT_SECONDS": "1", "DATABASE_TIMEOUT_SECONDS": "0.5"}
OTHER_ACTIONS = [
    ("cancel_at_period_end", {}),
    ("resume", {}),
    ("fail_payment", {}),
    ("pay", {}),
    ("pause", {"behavior": "void"}),
    ("pause", {}),
    ("advance_period", {}),
]


class Account:
    """What happens at Stripe: each change of a subscription makes its quantity larger."""

    def __init__(self, world: World, deliverer: Deliverer, chance: random.Random) -> None:
        self._world = world
        self._deliverer = deliverer
        self._chance = chance
        self._ahead = 0.0
        self._sent: set[str] = set()
        self._quantities: dict[str, int] = {}
        world.stripe.clock = lambda: time.time() + self._ahead

    def begin(self, subscriptions: int) -> None:
        for n in range(subscriptions):
            made = self._world.stripe.create_subscription(f"user_{n}", "price_pro")
            self._quantities[made["id"]] = 1
            self._send(made["id"])

    def change(self) -> None:
        known = list(self._quantities)
        subscription = self._chance.choice(known if self._chance.random() < 0.5 else known[:5])
        if self._chance.random() < 0.05:
            self._ahead += 61  # so that some snapshots are trusted
        self._quantities[subscription] += 1
        self._act(subscription, "change_plan", quantity=self._quantities[subscription])
        if self._chance.random() < 0.4:
            action, more = self._chance.choice(OTHER_ACTIONS)
            self._act(subscription, action, **more)
        self._send(subscription)

    def end(self) -> None:
        """The last words of each come faster than Stripe answers, and each is said once."""
        for subscription in self._quantities:
            self._quantities[subscription] += 1
            last = [("change_plan", {"quantity": self._quantities[subscription]})]
            last += [("cancel_at_period_end", {}), ("resume", {})]
            last += [("cancel_now", {})] if self._chance.random() < 0.3 else []
            for action, more in last:
                self._act(subscription, action, **more)
                self._send(subscription, copies=[1], delays=[0])
                time.sleep(0.04)

    def _act(self, subscription: str, action: str, **more: Any) -> None:
        with contextlib.suppress(ValueError):  # not possible in this state
            self._world.stripe.act(subscription, action, **more)

    def _send(
        self,
        subscription: str,
        copies: Sequence[int] = (1, 1, 2, 3),
        delays: Sequence[float] = (0, 0, 0.1, 0.5),
    ) -> None:
        for event in events_of(self._world, subscription):
            if event["id"] in self._sent:
                continue
            self._sent.add(event["id"])
            for _ in range(self._chance.choice(copies)):
                self._deliverer.send(event, after=self._chance.choice(delays))


class Trouble:
    """What breaks, one after the other; each is a block in which it is broken."""

    def __init__(self, out: Outside, replicas: list[Service], chance: random.Random) -> None:
        self._out = out
        self._replicas = replicas
        self._chance = chance

    def phases(self) -> dict[str, contextlib.AbstractContextManager[None]]:
        return {
            "nothing": contextlib.nullcontext(),
            "Stripe is slow": self.slow_stripe(),
            "a worker is killed": self._worker_killed(),
            "Stripe says 429": self._fault("stripe", self._often(429)),
            "the database refuses": self._fault("database", self._often("refused")),
            "a replica is killed": self._replica_killed(),
            "Stripe says 500": self._fault("stripe", self._often(500)),
            "the database dies after writing": self._fault("database", self._often("cut")),
            "Stripe answers garbage": self._fault("stripe", self._often("garbage")),
            "the database hangs": self._fault("database", self._seldom("hanging")),
            "a replica is restarted": self._replica_restarted(),
            "Stripe hangs": self._fault("stripe", self._seldom("hanging")),
            "all of it is killed": self._all_killed(),
        }

    def _often(self, kind: Any) -> Callable[[str, str], Any]:
        return lambda method, path: kind if self._chance.random() < 0.6 else None

    def _seldom(self, kind: Any) -> Callable[[str, str], Any]:
        return lambda method, path: kind if self._chance.random() < 0.15 else None

    @contextlib.contextmanager
    def slow_stripe(self) -> Iterator[None]:
        """What it answers may be old when it arrives."""
        self._out.stripe.answered = self._slow
        yield
        self._out.heal()

    def _slow(self, method: str, path: str, query: str) -> None:
        time.sleep(self._chance.uniform(0.15, 0.4))

    @contextlib.contextmanager
    def _fault(self, where: str, fault: Callable[[str, str], Any]) -> Iterator[None]:
        switch = getattr(self._out, where)
        switch.release.clear()
        switch.fault = fault
        yield
        self._out.heal()
        switch.release.set()

    @contextlib.contextmanager
    def _worker_killed(self) -> Iterator[None]:
        for replica in self._replicas:
            worker = self._chance.choice(replica.workers())
            os.kill(worker, signal.SIGKILL)
        yield

    @contextlib.contextmanager
    def _replica_killed(self) -> Iterator[None]:
        replica = self._chance.choice(self._replicas)
        replica.kill()
        yield
        replica.start()

    @contextlib.contextmanager
    def _replica_restarted(self) -> Iterator[None]:
        self._chance.choice(self._replicas).restart()
        yield

    @contextlib.contextmanager
    def _all_killed(self) -> Iterator[None]:
        for replica in self._replicas:
            replica.kill()
        yield
        for replica in self._replicas:
            replica.start()


class Replica(Service):
    def workers(self) -> list[int]:
        """The process ids of Gunicorn's workers."""
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):  # it has just ended
                if int(stat.read_text().rpartition(")")[2].split()[1]) == self.pid:
                    found.append(int(stat.parent.name))
        return found


def play(account: Account, trouble: Trouble, changes: int, seconds: float) -> None:
    """Changes go on in a thread of their own while one thing after the other breaks."""
    phases = trouble.phases()
    over = threading.Event()

    def go_on() -> None:
        pause = seconds * len(phases) / changes
        for _ in range(changes):
            account.change()
            over.wait(pause)

    going = threading.Thread(target=go_on)
    going.start()
    for name, broken in phases.items():
        print(f"  {name}", flush=True)
        with broken:
            time.sleep(seconds)
    over.set()
    going.join()


def wrong_rows(world: World, environment: dict[str, str]) -> Json:
    plans = Settings.from_environment(environment).plans
    with connect(world.database_url) as connection:
        rows = connection.execute(
            "select jsonb_object_agg(stripe_subscription_id, to_jsonb(s)) from subscriptions s"
        ).fetchone()
    wrong = {}
    for name, subscription in world.stripe.subscriptions.items():
        expected = row_of(subscription, plans, None)
        found = differences(rows[name], expected) if name in (rows or {}) else "no row"
        if found:
            wrong[name] = found
    return wrong


def run(folder: Path, *, short: bool, seed: int) -> int:
    chance = random.Random(seed)
    changes, subscriptions, seconds = (260, 30, 0.7) if short else (1500, 100, 4.0)
    with contextlib.ExitStack() as stack:
        world = stack.enter_context(World(folder / "world"))
        out = stack.enter_context(outside(world, "http://localhost:8000", **TIMEOUTS))
        replicas = []
        for name in ("one", "two"):
            (folder / name).mkdir()
            replicas.append(stack.enter_context(Replica(out.environment, folder / name)))
        urls = [replica.url for replica in replicas]
        proxy, url = stack.enter_context(reverse_proxy(urls, folder / "proxy"))
        print(f"Two replicas behind {proxy}, seed {seed}. What breaks:", flush=True)
        deliverer = stack.enter_context(Deliverer([url], world.database_url, workers=16))
        account = Account(world, deliverer, chance)
        account.begin(subscriptions)
        trouble = Trouble(out, replicas, chance)
        play(account, trouble, changes, seconds)
        all_delivered = deliverer.wait(LAST_SECONDS)
        print("  Stripe is slow at the end", flush=True)
        with trouble.slow_stripe():
            account.end()
            all_delivered &= deliverer.wait(LAST_SECONDS)
        return report(deliverer, all_delivered, wrong_rows(world, out.environment))


def report(deliverer: Deliverer, all_delivered: bool, wrong: Json) -> int:
    answers = deliverer.answers
    lines: dict[str, Any] = {
        "deliveries sent": sum(answers.values()),
        "answered 2xx": answers[200],
        "redelivered": deliverer.redelivered,
        "answered 5xx": sum(n for what, n in answers.items() if str(what).startswith("5")),
        "connections lost": sum(n for what, n in answers.items() if isinstance(what, str)),
        "still to deliver": 0 if all_delivered else deliverer.sent - answers[200],
        "slowest answer": f"{deliverer.slowest:.1f} s",
        "2xx before the row": len(deliverer.without_row),
        "final rows wrong": len(wrong),
    }
    print()
    for what, how_many in lines.items():
        print(f"{what:20} {how_many:>8}")
    print("\noutcomes:", ", ".join(f"{n} {what}" for what, n in deliverer.outcomes.most_common()))
    for detail in [*list(wrong.items())[:5], *deliverer.without_row[:5], *deliverer.broken]:
        print(detail)
    refused = [what for what in answers if isinstance(what, int) and 300 <= what < 500]
    bad = (
        wrong
        or refused
        or deliverer.without_row
        or deliverer.broken
        or not all_delivered
        or deliverer.slowest > BUDGET_SECONDS + OVERHEAD_SECONDS
    )
    return 1 if bad else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="less of it, for CI")
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return run(Path(folder), short=options.short, seed=options.seed)


if __name__ == "__main__":
    sys.exit(main())
