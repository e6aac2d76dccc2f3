"""`flask portal sync` makes the table equal to Stripe, whatever happened to it."""

import importlib
import os
import pty
import re
import threading
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
from at_the_terminal import Terminal
from flask.cli import ScriptInfo
from outside import Outside, events_of

from portal_service import stripe_client
from sandbox.stripe import api as stripe_api
from sandbox.stripe.state import StripeState
from sandbox.web import Server
from sandbox.world import World

Json = dict[str, Any]
LIVE_KEY = "sk_live_sandbox"
CONTENT_TO_RUIN = "update subscriptions set status = 'unpaid', plan = null, revision = revision + 1"


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> int:
    """How many Stripe is asked for at once, so that a few make several pages."""
    monkeypatch.setattr(stripe_client, "PAGE", 3)
    return 3


def subscribe(world: World, *users: str, **more: Any) -> list[str]:
    return [
        world.stripe.create_subscription(user and f"user_{user}", "price_pro", **more)["id"]
        for user in users
    ]


def test_an_empty_account_and_an_empty_table(terminal: Terminal) -> None:
    result = terminal.run("sync")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.count("\n") == 1


def test_it_reads_every_page_and_writes_every_row(
    small_pages: int, world: World, terminal: Terminal
) -> None:
    subscribe(world, *(f"u{n}" for n in range(2 * small_pages + 3)))
    result = terminal.run("sync")
    assert result.exit_code == 0, result.output
    assert len(terminal.rows) == 2 * small_pages + 3
    assert not terminal.wrong_rows()
    assert f"{2 * small_pages + 3} subscriptions at Stripe" in result.stdout


def test_ended_subscriptions_too(world: World, terminal: Terminal) -> None:
    (ended,) = subscribe(world, "ada")
    world.stripe.act(ended, "cancel_now")
    terminal.run("sync")
    assert terminal.rows[ended]["status"] == "canceled"


def test_what_is_right_is_left_alone(world: World, terminal: Terminal) -> None:
    world.add_user("ada")
    subscribe(world, "ada")
    terminal.run("sync")
    before = terminal.rows
    result = terminal.run("sync")
    assert result.exit_code == 0
    assert terminal.rows == before


def test_a_ruined_table_is_mended(world: World, terminal: Terminal) -> None:
    subscribe(world, "ada", "grace")
    terminal.run("sync")
    terminal.execute(CONTENT_TO_RUIN)
    assert len(terminal.wrong_rows()) == 2
    assert terminal.run("sync").exit_code == 0
    assert not terminal.wrong_rows()


def test_of_one_customer_alone(world: World, terminal: Terminal) -> None:
    ada, grace = subscribe(world, "ada", "grace")
    result = terminal.run("sync", "--customer", world.stripe.subscriptions[ada]["customer"])
    assert result.exit_code == 0, result.output
    assert set(terminal.rows) == {ada}


def test_a_customer_whom_stripe_does_not_know(world: World, terminal: Terminal) -> None:
    (ada,) = subscribe(world, "ada")
    terminal.run("sync")
    terminal.execute("update subscriptions set stripe_customer_id = 'cus_gone'")
    result = terminal.run("sync", "--customer", "cus_gone")
    assert result.exit_code == 0, result.output
    assert not terminal.wrong_rows()


def test_since_a_moment(world: World, terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime(2026, 11, 1, tzinfo=UTC).timestamp()
    monkeypatch.setattr(world.stripe, "clock", lambda: now)
    (before,) = subscribe(world, "ada")
    now += 86_400
    (after,) = subscribe(world, "grace")
    result = terminal.run("sync", "--since", "2026-11-01T12:00:00")
    assert result.exit_code == 0, result.output
    assert set(terminal.rows) == {after}

    now += 86_400
    world.stripe.act(before, "cancel_now")
    terminal.run("sync", "--since", "2026-11-03")
    assert set(terminal.rows) == {before, after}
    assert not terminal.wrong_rows()


def test_going_on_after_a_subscription(world: World, terminal: Terminal) -> None:
    old, middle, _new = subscribe(world, "ada", "grace", "alan")
    result = terminal.run("sync", "--starting-after", middle)
    assert result.exit_code == 0, result.output
    assert set(terminal.rows) == {old}


def test_a_dry_run_shows_the_drift_and_touches_nothing(world: World, terminal: Terminal) -> None:
    ada, grace = subscribe(world, "ada", "grace")
    terminal.run("sync")
    terminal.execute("delete from subscriptions where stripe_subscription_id = %s", grace)
    terminal.execute("update subscriptions set status = 'unpaid', quantity = 7")
    before = terminal.rows

    result = terminal.run("sync", "--dry-run")
    assert result.exit_code == 1
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[0] == ["row", "column", "here", "Stripe"]
    assert [ada, "status", "unpaid", "active"] in lines
    assert [ada, "quantity", "7", "1"] in lines
    assert [grace, "status", "-", "active"] in lines
    assert terminal.rows == before


def test_a_dry_run_without_drift_is_well(world: World, terminal: Terminal) -> None:
    world.add_user("ada")
    subscribe(world, "ada")
    terminal.run("sync")
    result = terminal.run("sync", "--dry-run")
    assert (result.exit_code, result.stderr) == (0, "")


def test_json_is_one_object(world: World, terminal: Terminal) -> None:
    (ada,) = subscribe(world, "ada")
    result = terminal.json("sync", "--dry-run")
    assert result["dry_run"] is True
    assert result["differences"] == [
        {"row": ada, "column": "status", "here": None, "stripe": "active"}
    ]
    result = terminal.json("sync")
    assert (result["seen"], result["repaired"], result["failed"]) == (1, 1, {})


def test_test_data_that_was_deleted_ends(world: World, terminal: Terminal) -> None:
    (ada,) = subscribe(world, "ada")
    terminal.run("sync")
    del world.stripe.subscriptions[ada]
    assert terminal.run("sync", "--dry-run").exit_code == 1
    assert terminal.run("sync").exit_code == 0
    assert terminal.rows[ada]["status"] == "canceled"
    assert terminal.run("sync", "--dry-run").exit_code == 0


def test_a_strangers_subscription_is_nobodys_business(world: World, terminal: Terminal) -> None:
    world.stripe.create_subscription("user_ada", "price_other")
    assert terminal.run("sync").exit_code == 0
    assert terminal.rows == {}


# Whose


def test_a_link_is_never_lost(world: World, terminal: Terminal) -> None:
    ada = world.add_user("ada")
    (subscription,) = subscribe(world, "ada")
    terminal.run("sync")
    terminal.execute("delete from users")
    terminal.execute("delete from billing_customers")
    world.stripe.subscriptions[subscription]["metadata"] = {}
    terminal.execute(CONTENT_TO_RUIN)

    terminal.run("sync")
    assert not terminal.wrong_rows()
    assert terminal.rows[subscription]["user_id"] == ada


def test_rows_without_a_user_are_linked(world: World, terminal: Terminal) -> None:
    (subscription,) = subscribe(world, "ada")
    terminal.run("sync")
    assert terminal.rows[subscription]["user_id"] is None
    assert terminal.json("sync", "--dry-run")["unclaimed"] == []  # it has its owner

    ada = world.add_user("ada")
    terminal.run("sync")
    assert terminal.rows[subscription]["user_id"] == ada


def test_what_belongs_to_nobody_is_named_from_the_first_run(
    world: World, terminal: Terminal
) -> None:
    mine, nobodys, ended = subscribe(world, "ada", None, None)
    world.stripe.act(ended, "cancel_now")
    customer = world.stripe.subscriptions[nobodys]["customer"]

    assert terminal.json("sync", "--dry-run")["unclaimed"] == [nobodys]
    assert not terminal.rows
    for _ in range(2):
        found = terminal.run("sync").stdout
        assert (
            f"{nobodys} belongs to nobody. Claim it: "
            f"flask portal link <Clerk's id of whoever pays> {customer}" in found
        )
        assert mine not in found and ended not in found
        assert "1 belong to nobody yet" in found


def test_two_running_subscriptions_are_reported(world: World, terminal: Terminal) -> None:
    first, second = subscribe(world, "ada", "ada")
    subscribe(world, "grace")
    (ended,) = subscribe(world, "grace")
    world.stripe.act(ended, "cancel_now")
    customer = world.stripe.subscriptions[first]["customer"]

    assert f"{customer} has 2 running subscriptions" in terminal.run("sync").stdout
    found = terminal.json("sync", "--dry-run")["customers_with_two_running"]
    assert {customer: {first, second}} == {one: set(subs) for one, subs in found.items()}


# Beside everything else


def test_beside_live_webhooks(world: World, out: Outside, terminal: Terminal) -> None:
    """Webhooks overtake the command's question: what they wrote stays."""
    (subscription,) = subscribe(world, "ada")
    overtaken, webhooks_own = [], threading.Event()

    def overtake(method: str, path: str, query: str) -> None:
        if path.endswith(subscription) and len(overtaken) < 3 and not webhooks_own.is_set():
            overtaken.append(path)
            world.stripe.act(subscription, "change_plan", quantity=len(overtaken) + 1)
            webhooks_own.set()
            terminal.deliver(events_of(world, subscription)[-1])
            webhooks_own.clear()

    out.stripe.answered = overtake
    assert terminal.run("sync").exit_code == 0
    assert len(overtaken) == 3
    assert terminal.rows[subscription]["quantity"] == 4
    assert not terminal.wrong_rows()


def test_stripe_is_asked_politely(world: World, terminal: Terminal) -> None:
    subscribe(world, *(f"u{n}" for n in range(5)))
    terminal.run("sync")
    assert len(terminal.slept) >= 5
    assert sum(terminal.slept) >= 5 * 1 / 25


@pytest.mark.parametrize("options", [[], ["--since", "2020-01-01"], ["--customer"]])
def test_too_many_requests_are_survived(
    options: list[str], small_pages: int, world: World, out: Outside, terminal: Terminal
) -> None:
    """Every question is refused twice before it is answered, that for the next page too."""
    subscribe(world, *("ada" for _ in range(2 * small_pages + 3)))
    if options == ["--customer"]:
        options = [*options, next(iter(world.stripe.customers))]
    seen: dict[str, int] = {}

    def busy(method: str, path: str) -> int | None:
        seen[path] = seen.get(path, 0) + 1
        return 429 if seen[path] % 3 else None

    out.stripe.fault = busy
    result = terminal.run("sync", *options)
    assert result.exit_code == 0, result.output
    assert len(terminal.rows) == 2 * small_pages + 3
    assert not terminal.wrong_rows()


def test_when_stripe_stays_away_it_says_so(world: World, out: Outside, terminal: Terminal) -> None:
    subscribe(world, "ada")
    out.stripe.fault = lambda method, path: 500
    result = terminal.run("sync")
    assert result.exit_code == os.EX_TEMPFAIL
    assert "stripe_unavailable" in result.stderr
    assert "Traceback" not in result.output


def told_to_go_on(result: Any) -> list[str]:
    """The options with which the command wants to be run again."""
    told = re.search(r"--starting-after sub_\w+", result.stderr)
    return told[0].split() if told else []


def test_stopped_half_way_it_says_how_to_go_on(
    small_pages: int, world: World, out: Outside, terminal: Terminal, monkeypatch
) -> None:
    sync = importlib.import_module("portal_service.commands.sync")
    monkeypatch.setattr(sync, "_BATCH", small_pages)
    subscribe(world, *(f"u{n}" for n in range(2 * small_pages + 3)))
    pages = []

    def away_at_the_third_page(method: str, path: str) -> int | None:
        pages.extend([path] if path == "/v1/subscriptions" else [])
        return 500 if len(pages) > 2 else None

    out.stripe.fault = away_at_the_third_page
    stopped = terminal.run("sync")
    assert stopped.exit_code == os.EX_TEMPFAIL
    assert len(terminal.rows) == 2 * small_pages
    assert told_to_go_on(stopped)

    out.heal()
    assert terminal.run("sync", *told_to_go_on(stopped)).exit_code == 0
    assert not terminal.wrong_rows()


def test_stopped_at_a_row_that_stripe_did_not_list(
    world: World, out: Outside, terminal: Terminal
) -> None:
    """Whoever does as told has done all of it."""
    gone, _still_there = subscribe(world, "ada", "grace")
    terminal.run("sync")
    del world.stripe.subscriptions[gone]
    out.stripe.fault = lambda method, path: 500 if path.endswith(gone) else None
    stopped = terminal.run("sync")
    assert stopped.exit_code == os.EX_TEMPFAIL

    out.heal()
    assert terminal.run("sync", *told_to_go_on(stopped)).exit_code == 0
    assert terminal.rows[gone]["status"] == "canceled"


def test_one_that_fails_does_not_keep_the_others(world: World, out: Outside, terminal) -> None:
    ada, grace = subscribe(world, "ada", "grace")
    out.stripe.fault = lambda method, path: 500 if path.endswith(ada) else None
    result = terminal.run("sync")
    assert result.exit_code == 1
    assert set(terminal.rows) == {grace}
    assert ada in result.output


def test_the_database_is_away(world: World, out: Outside, terminal: Terminal) -> None:
    subscribe(world, "ada")
    out.database.fault = lambda method, path: 503
    result = terminal.run("sync")
    assert result.exit_code == os.EX_TEMPFAIL
    assert "database_unavailable" in result.stderr


# The key of another account


@pytest.fixture
def live(out: Outside) -> Iterator[StripeState]:
    """The account is live, and so is our key."""
    account = out.world.stripe
    account.livemode = True
    account.reset()
    with Server(stripe_api.create_app(account, out.world.faults, {LIVE_KEY})) as server:
        out.environment |= {"STRIPE_SECRET_KEY": LIVE_KEY, "STRIPE_API_BASE": server.url}
        yield account
    account.livemode = False
    account.reset()


@pytest.fixture
def live_terminal(live: StripeState, out: Outside, monkeypatch) -> Terminal:
    return Terminal(out, monkeypatch)


@pytest.mark.parametrize("options", [[], ["--dry-run"], ["--json"], ["--customer"], ["--since"]])
def test_the_key_of_another_account_touches_nothing(
    options: list[str], live: StripeState, out: Outside, live_terminal: Terminal, monkeypatch
) -> None:
    more = {"--customer": ["cus_any"], "--since": ["2020-01-01"]}
    subscribe(out.world, "ada", "grace")
    live_terminal.run("sync")
    before = live_terminal.rows
    assert all(row["status"] == "active" for row in before.values())

    other = StripeState(live.webhooks, livemode=True)
    other.create_subscription("user_alan", "price_pro")
    with Server(stripe_api.create_app(other, out.world.faults, {LIVE_KEY})) as server:
        stranger = Terminal(out, monkeypatch, STRIPE_API_BASE=server.url)
        result = stranger.run("sync", *options, *more.get((options or [""])[0], []))
    assert result.exit_code == 2
    assert "another account" in result.stderr
    assert live_terminal.rows == before


def test_live_rows_after_many_test_rows_are_found_too(
    live: StripeState, out: Outside, live_terminal: Terminal, monkeypatch
) -> None:
    """Test rows of an earlier day come first in the table's order, more than one page of them."""
    (ada,) = subscribe(out.world, "ada")
    live_terminal.run("sync")
    live_terminal.execute(
        "insert into subscriptions (stripe_subscription_id, status, livemode)"
        " select 'sub_0' || n, 'active', false from generate_series(1, 501) n"
    )
    other = StripeState(live.webhooks, livemode=True)
    with Server(stripe_api.create_app(other, out.world.faults, {LIVE_KEY})) as server:
        result = Terminal(out, monkeypatch, STRIPE_API_BASE=server.url).run("sync")
    assert result.exit_code == 2, result.output
    assert live_terminal.rows[ada]["status"] == "active"


def test_live_and_right(live: StripeState, out: Outside, live_terminal: Terminal) -> None:
    subscribe(out.world, "ada")
    assert live_terminal.run("sync").exit_code == 0
    assert not live_terminal.wrong_rows()
    assert live_terminal.run("sync", "--dry-run").exit_code == 0


# On a terminal


def test_progress_is_shown_on_a_terminal_alone(world: World, terminal: Terminal) -> None:
    subscribe(world, "ada", "grace")
    assert "Comparing with Stripe" not in terminal.run("sync").output
    mine, theirs = pty.openpty()
    with (
        os.fdopen(mine, "rb", buffering=0) as shown,
        redirect_stdout(StringIO()) as said,
        os.fdopen(theirs, "w") as tty,
        redirect_stderr(tty),
    ):
        told = ScriptInfo(create_app=lambda: terminal.app)
        terminal.app.cli.main(["portal", "sync"], obj=told, standalone_mode=False)
        tty.flush()
        assert b"Comparing with Stripe" in shown.read(4096)
    assert "2 subscriptions" in said.getvalue()


def gone_customers(terminal: Terminal) -> set[str]:
    rows = terminal.select("select * from gone_customers")
    return {row["stripe_customer_id"] for row in rows}


def test_a_customer_that_is_there_again_is_not_gone_any_more(
    world: World, terminal: Terminal
) -> None:
    subscription = world.stripe.create_subscription("user_ada", "price_pro")
    customer = subscription["customer"]
    gone = "insert into gone_customers (stripe_customer_id, livemode) values (%s, false)"
    for name in (customer, "cus_deleted"):
        terminal.execute(gone, name)

    terminal.run("sync", "--dry-run")
    assert gone_customers(terminal) == {customer, "cus_deleted"}
    terminal.run("sync")
    assert gone_customers(terminal) == {"cus_deleted"}
