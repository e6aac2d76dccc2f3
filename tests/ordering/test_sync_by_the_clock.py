"""`portal sync` as a clock runs it: beside another run, through outages, killed, and scraped."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from at_the_terminal import Terminal
from outside import Outside

from portal_service import sync_runs
from portal_service.commands import lease as lease_module
from portal_service.errors import ServiceError
from sandbox.world import World

LEASE = "select * from billing_private.sync_leases"
LAST = "portal_sync_last_timestamp_seconds"
BEGIN_WHERE_DUE = sync_runs.LastSync.begin_where_due  # which the suite turns off
BEGAN = [0.0]  # when the present test did, by the database's clock


def subscribe(world: World, count: int) -> list[str]:
    return [world.stripe.create_subscription(f"user_u{n}", "price_pro")["id"] for n in range(count)]


class Process:
    """`portal-service sync` as cron starts it."""

    def __init__(self, out: Outside, *options: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "portal_service", "sync", *options],
            env={"PATH": os.defpath} | out.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # What a shell starts in the background ignores Ctrl-C, and hands that on.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def ended(self) -> tuple[int, str]:
        """Its exit code, and what it said."""
        said, complained = self.process.communicate(timeout=60)
        return self.process.returncode, said + complained


@pytest.fixture
def at_work(out: Outside, world: World) -> Iterator[Process]:
    """A run that has its lease, and waits for Stripe's first page until `heal`."""
    asked, go_on = threading.Event(), threading.Event()

    def hold(method: str, path: str) -> None:
        if path == "/v1/subscriptions" and not asked.is_set():
            asked.set()
            go_on.wait(60)

    out.stripe.fault = hold
    run = Process(out)
    try:
        assert asked.wait(60)
        run.go_on = go_on.set
        yield run
    finally:
        go_on.set()
        run.process.kill()
        run.process.communicate()


# Vendors that are away


@pytest.mark.parametrize("kind", [503, "refused", "cut", "garbage"])
def test_it_goes_on_where_supabase_was_away_for_a_while(
    kind: Any, world: World, out: Outside, terminal: Terminal
) -> None:
    subscribe(world, 4)
    calls = []

    def away_in_the_middle(method: str, path: str) -> Any:
        calls.append(path)
        return kind if 6 <= len(calls) < 12 else None

    out.database.fault = away_in_the_middle
    result = terminal.run("sync")
    assert result.exit_code == 0, result.output
    assert len(calls) > 12
    assert len(terminal.rows) == 4 and not terminal.wrong_rows()


def test_what_lasts_is_told_in_one_line(world: World, out: Outside, terminal: Terminal) -> None:
    subscribe(world, 1)
    calls = []

    def away(method: str, path: str) -> Any:
        calls.append(path)
        return 503 if 4 <= len(calls) < 9 else None

    out.database.fault = away
    result = terminal.run("sync")
    assert result.exit_code == 0
    assert result.stderr.splitlines() == ["Supabase is away: trying again, for two minutes at most"]


def test_away_for_good_it_says_so_and_a_scheduler_may_try_again(
    world: World, out: Outside, terminal: Terminal
) -> None:
    subscribe(world, 3)
    calls = []

    def away_in_the_middle(method: str, path: str) -> Any:
        calls.append(path)
        return 503 if len(calls) > 5 else None

    out.database.fault = away_in_the_middle
    result = terminal.run("sync")
    assert result.exit_code == os.EX_TEMPFAIL
    assert [line for line in result.stderr.splitlines() if "Stopped" in line] == [
        f"Stopped: {ServiceError('database_unavailable').sentence} (database_unavailable)."
        " Run it again."
    ]
    assert sum(terminal.slept) < 300


def test_a_vendor_that_stays_away_is_not_asked_for_each_row(
    world: World, out: Outside, terminal: Terminal
) -> None:
    subscribe(world, 9)
    one = re.compile("/v1/subscriptions/.+")
    out.stripe.fault = lambda method, path: 500 if one.match(path) else None
    result = terminal.run("sync")
    assert result.exit_code == os.EX_TEMPFAIL
    assert result.stderr.count("could not be refreshed") == 3
    assert sum(terminal.slept) < 300


def test_a_fault_that_no_waiting_mends_is_no_temporary_one(
    out: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal(out, monkeypatch, SUPABASE_SERVICE_ROLE_KEY="sb_secret_wrong")
    result = terminal.run("sync")
    assert (result.exit_code, terminal.slept) == (1, [])


def test_without_this_releases_migrations_it_names_them(world: World, terminal: Terminal) -> None:
    terminal.execute("alter function billing_hold_sync rename to billing_hold_sync_no_more")
    try:
        result = terminal.run("sync")
    finally:
        terminal.execute("alter function billing_hold_sync_no_more rename to billing_hold_sync")
    assert result.exit_code == 1
    assert "run the migrations" in result.stderr


# One at a time


def test_of_two_at_once_one_runs_and_the_other_says_so(
    world: World, terminal: Terminal, at_work: Any
) -> None:
    subscribe(world, 2)
    second = terminal.run("sync", "--since", "2h")
    assert second.exit_code == os.EX_TEMPFAIL
    assert "Another run of sync is at work" in second.stderr
    assert terminal.rows == {}

    at_work.go_on()
    code, said = at_work.ended()
    assert code == 0, said
    assert not terminal.wrong_rows() and len(terminal.rows) == 2
    assert terminal.select(LEASE) == []
    assert terminal.run("sync").exit_code == 0


@pytest.mark.parametrize("options", [["--dry-run"], ["--customer"]])
def test_what_an_operator_looks_at_by_hand_runs_beside_it(
    options: list[str], world: World, terminal: Terminal, at_work: Any
) -> None:
    (subscription,) = subscribe(world, 1)
    customer = world.stripe.subscriptions[subscription]["customer"]
    result = terminal.run("sync", *options, *([customer] if options == ["--customer"] else []))
    assert result.exit_code == (1 if options == ["--dry-run"] else 0), result.output
    assert "Another run" not in result.output


def test_a_killed_run_keeps_nobody_out_for_long(
    world: World, out: Outside, terminal: Terminal, at_work: Any
) -> None:
    at_work.process.kill()
    at_work.ended()
    out.heal()
    assert terminal.run("sync").exit_code == os.EX_TEMPFAIL
    left = terminal.select(
        "select extract(epoch from ends_at - clock_timestamp()) as seconds"
        " from billing_private.sync_leases"
    )
    assert 0 < left[0]["seconds"] <= lease_module.HELD_SECONDS

    terminal.execute("update billing_private.sync_leases set ends_at = clock_timestamp()")
    subscribe(world, 1)
    assert terminal.run("sync").exit_code == 0
    assert not terminal.wrong_rows()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 1), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"]
)
def test_told_to_end_it_gives_its_turn_back_and_leaves_old_rows_or_new_ones(
    number: int, code: int, world: World, out: Outside, terminal: Terminal
) -> None:
    first, second, third = subscribe(world, 3)
    terminal.run("sync")
    terminal.execute("update subscriptions set status = 'unpaid', revision = revision + 1")
    waits, go_on = threading.Event(), threading.Event()

    writes: list[str] = []

    def hold_the_second_write(method: str, path: str) -> None:
        writes.extend([path] if path.endswith("upsert_subscription") else [])
        if len(writes) == 2 and not waits.is_set():
            waits.set()
            go_on.wait(60)

    out.database.fault = hold_the_second_write
    run = Process(out)
    try:
        assert waits.wait(60)
        run.process.send_signal(number)
        ended, said = run.ended()
    finally:
        go_on.set()
        run.process.kill()
    assert ended == code, said
    assert "Traceback" not in said
    assert {row["status"] for row in terminal.rows.values()} <= {"unpaid", "active"}
    assert terminal.select(LEASE) == []
    out.heal()
    assert terminal.run("sync").exit_code == 0
    assert not terminal.wrong_rows()


def test_a_run_that_lost_its_turn_ends_and_leaves_it_to_the_other(
    world: World, out: Outside, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a machine does that slept in between."""
    monkeypatch.setattr(lease_module, "_RENEWED_AFTER_SECONDS", 0.0)
    subscribe(world, 3)

    def lose(method: str, path: str, query: str) -> None:
        if path.startswith("/v1/subscriptions/"):
            terminal.execute(
                "update billing_private.sync_leases"
                " set holder = 'other', ends_at = clock_timestamp() + interval '1 minute'"
            )

    out.stripe.answered = lose
    result = terminal.run("sync")
    assert result.exit_code == os.EX_TEMPFAIL
    assert len(terminal.rows) == 1
    assert [found["holder"] for found in terminal.select(LEASE)] == ["other"]


# What a scrape finds


def value(text: str, name: str, **labels: str) -> float:
    """Of one series; 0 where it is not there."""
    wanted = [f'{label}="{said}"' for label, said in labels.items()]
    for line in text.splitlines():
        if line.startswith(name + "{") and all(label in line for label in wanted):
            return float(line.rpartition(" ")[2])
    return 0.0


def scraped(terminal: Terminal, **run: str) -> str:
    """What /metrics says once it knows of such a run of this test: a scrape begins a look, and a
    later one shows it.
    """
    last_chance = time.monotonic() + 20
    while True:
        text = terminal.service.get("/metrics").text
        if value(text, LAST, **run) > BEGAN[0]:
            return text
        assert time.monotonic() < last_chance, text
        threading.Event().wait(0.01)


@pytest.fixture
def looks_at_once(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync_runs.LastSync, "begin_where_due", BEGIN_WHERE_DUE)
    monkeypatch.setattr(sync_runs, "LOOK_EVERY_SECONDS", 0.0)
    (now,) = terminal.select("select extract(epoch from clock_timestamp())::float as seconds")
    BEGAN[0] = now["seconds"]


@pytest.mark.usefixtures("looks_at_once")
def test_a_scrape_finds_what_the_last_run_found(world: World, terminal: Terminal) -> None:
    subscribe(world, 2)
    world.stripe.create_subscription(None, "price_pro")
    assert terminal.run("sync").exit_code == 0
    text = scraped(terminal, scope="all", outcome="done")
    assert value(text, LAST, scope="all", outcome="failed") < BEGAN[0]
    assert value(text, "portal_sync_differing_rows", scope="all") == 3
    assert value(text, "portal_sync_unclaimed_subscriptions", scope="all") == 1

    terminal.run("sync", "--since", "2h")
    text = scraped(terminal, scope="since", outcome="done")
    assert value(text, "portal_sync_differing_rows", scope="since") == 0
    assert value(text, "portal_sync_differing_rows", scope="all") == 3  # it stays


@pytest.mark.usefixtures("looks_at_once")
def test_a_scrape_finds_that_the_last_run_failed(
    world: World, out: Outside, terminal: Terminal
) -> None:
    subscribe(world, 2)
    out.stripe.fault = lambda method, path: 500 if path == "/v1/subscriptions" else None
    assert terminal.run("sync").exit_code == os.EX_TEMPFAIL
    text = scraped(terminal, scope="all", outcome="failed")
    assert value(text, LAST, scope="all", outcome="done") < BEGAN[0]


@pytest.mark.usefixtures("looks_at_once")
def test_neither_a_dry_run_nor_part_of_one_counts_as_a_run(
    world: World, terminal: Terminal
) -> None:
    (old, *_) = subscribe(world, 2)
    terminal.run("sync", "--dry-run")
    terminal.run("sync", "--customer", world.stripe.subscriptions[old]["customer"])
    terminal.run("sync", "--starting-after", old)
    assert terminal.select("select * from billing_private.syncs") == []


@pytest.mark.parametrize("text", ["2x", "0h", "h", "yesterday", "2026-11-31"])
def test_a_time_that_is_none_is_refused(text: str, terminal: Terminal) -> None:
    result = terminal.run("sync", "--since", text)
    assert result.exit_code == 2
    assert "2h" in result.stderr
