"""`flask portal replay` takes in the events that Stripe could not deliver."""

import time
from typing import Any

from at_the_terminal import Terminal
from outside import Outside, events_of

from portal_service import stripe_client
from sandbox.web import Server
from sandbox.world import World

Json = dict[str, Any]
DAY = 86_400


def subscribe(world: World, user: str = "ada") -> str:
    return world.stripe.create_subscription(f"user_{user}", "price_pro")["id"]


def test_there_is_nothing_to_replay(terminal: Terminal) -> None:
    result = terminal.run("replay")
    assert (result.exit_code, result.stdout) == (0, "no events\n")


def test_it_takes_in_what_was_not_delivered(world: World, terminal: Terminal) -> None:
    ada, grace = subscribe(world), subscribe(world, "grace")
    world.stripe.act(ada, "cancel_at_period_end")
    world.stripe.act(grace, "cancel_now")

    result = terminal.run("replay")
    assert result.exit_code == 0, result.output
    assert not terminal.wrong_rows()
    lines = [line for line in result.stdout.splitlines() if line.startswith("evt_")]
    created = [world.stripe.events[line.split()[0]]["created"] for line in lines]
    assert len(lines) == 4
    assert created == sorted(created)
    assert result.stdout.splitlines()[-1] == "2 refreshed, 2 unchanged"


def test_what_was_delivered_is_not_replayed(world: World, terminal: Terminal) -> None:
    with Server(terminal.app) as server:
        world.deliver_to(server.url)
        delivered = subscribe(world)
        assert world.webhooks.wait_until_delivered()
    world.webhooks.url = None
    lost = subscribe(world, "grace")
    terminal.execute("delete from subscriptions")

    terminal.run("replay")
    assert set(terminal.rows) == {lost}
    assert delivered not in terminal.rows


def test_more_than_a_page(world: World, terminal: Terminal, monkeypatch) -> None:
    monkeypatch.setattr(stripe_client, "PAGE", 3)
    subscription = subscribe(world)
    for quantity in range(2, 9):
        world.stripe.act(subscription, "change_plan", quantity=quantity)
    result = terminal.run("replay")
    assert result.exit_code == 0, result.output
    assert len(result.stdout.splitlines()) == 9
    assert not terminal.wrong_rows()


def test_only_the_last_thirty_days(world: World, terminal: Terminal, monkeypatch) -> None:
    monkeypatch.setattr(world.stripe, "clock", lambda: time.time() - 31 * DAY)
    subscribe(world)
    result = terminal.run("replay")
    assert (result.exit_code, result.stdout) == (0, "no events\n")


def test_it_goes_on_past_a_bad_one(world: World, out: Outside, terminal: Terminal) -> None:
    bad, good = subscribe(world), subscribe(world, "grace")
    out.stripe.fault = lambda method, path: 500 if path.endswith(bad) else None
    result = terminal.run("replay")
    assert result.exit_code == 1
    assert "1 failed" in result.stdout and "1 refreshed" in result.stdout
    assert events_of(world, bad)[0]["id"] in result.stderr
    assert set(terminal.rows) == {good}


def test_it_goes_on_past_a_malformed_one(world: World, terminal: Terminal) -> None:
    bad, good = subscribe(world), subscribe(world, "grace")
    (event,) = events_of(world, bad)
    event["data"]["object"] = {"id": bad, "object": "subscription", "livemode": False}
    result = terminal.run("replay")
    assert "Traceback" not in result.output
    assert good in terminal.rows


def test_chosen_events_delivered_or_not(world: World, terminal: Terminal) -> None:
    ada, _grace = subscribe(world), subscribe(world, "grace")
    (event,) = events_of(world, ada)
    result = terminal.run("replay", "--ids", f" {event['id']}, ")
    assert result.exit_code == 0, result.output
    assert set(terminal.rows) == {ada}
    assert terminal.run("replay", "--ids", event["id"]).stdout.endswith("1 unchanged\n")


def test_an_unknown_id_fails_and_the_others_do_not(world: World, terminal: Terminal) -> None:
    ada = subscribe(world)
    (event,) = events_of(world, ada)
    result = terminal.run("replay", "--ids", f"evt_unknown,{event['id']}")
    assert result.exit_code == 1
    assert result.stdout.endswith("1 failed, 1 refreshed\n")
    assert "evt_unknown" in result.stderr
    assert set(terminal.rows) == {ada}


def test_one_type_of_events(world: World, terminal: Terminal) -> None:
    ada, grace = subscribe(world), subscribe(world, "grace")
    world.stripe.act(grace, "cancel_now")
    result = terminal.run("replay", "--type", "customer.subscription.deleted")
    assert (result.exit_code, set(terminal.rows)) == (0, {grace})

    ids = ",".join(event["id"] for event in events_of(world, ada))
    result = terminal.run("replay", "--ids", ids, "--type", "customer.subscription.deleted")
    assert (result.exit_code, set(terminal.rows)) == (0, {grace})
    assert terminal.run("replay", "--type", "invoice.paid").exit_code == 2


def test_a_busy_stripe_is_waited_for(world: World, out: Outside, terminal: Terminal) -> None:
    subscribe(world)
    seen: dict[str, int] = {}

    def busy(method: str, path: str) -> int | None:
        seen[path] = seen.get(path, 0) + 1
        return 429 if seen[path] <= 3 else None

    out.stripe.fault = busy
    result = terminal.run("replay")
    assert result.exit_code == 0, result.output
    assert not terminal.wrong_rows()
    assert terminal.slept


def test_stripe_is_away(world: World, out: Outside, terminal: Terminal) -> None:
    subscribe(world)
    out.stripe.fault = lambda method, path: 500
    result = terminal.run("replay")
    assert result.exit_code == 1
    assert "Traceback" not in result.output
