"""`flask portal forget` shows what is held of an owner; with --yes nobody is named any more, what
runs ends, and later deliveries don't bring the name back.
"""

import json
import time

import pytest
from at_the_terminal import Terminal
from outside import Outside, events_of, signed

from sandbox.clerk_webhooks import headers
from sandbox.world import CLERK_WEBHOOK_PATH, CLERK_WEBHOOK_SECRET, WEBHOOK_PATH, World


def bought(world: World, terminal: Terminal, price: str = "price_pro") -> tuple[str, str]:
    """ada's subscription with its row, and her customer."""
    world.add_user("ada")
    subscription = world.stripe.create_subscription("user_ada", price)
    deliver_all(world, terminal, subscription["id"])
    return subscription["id"], subscription["customer"]


def deliver_all(world: World, terminal: Terminal, subscription: str) -> None:
    for event in events_of(world, subscription):
        body, sent = signed(event)
        assert terminal.service.post(WEBHOOK_PATH, data=body, headers=sent).status_code == 200


def everything(terminal: Terminal) -> str:
    """All that our tables hold, as text."""
    tables = ("subscriptions", "billing_customers", "gone_customers")
    found = [terminal.select(f"select to_jsonb(t) as it from {table} t") for table in tables]
    return json.dumps(found, default=str)


def test_it_shows_what_is_held_and_changes_nothing(world: World, terminal: Terminal) -> None:
    subscription, customer = bought(world, terminal)
    other = world.stripe.create_subscription(None, "price_other", customer=customer, metadata={})
    world.stripe.update_customer(customer, email="ada@example.com", name="Ada")
    before = everything(terminal), len(world.stripe.events)

    shown = terminal.run("forget", "user_ada")
    assert shown.exit_code == 0
    for line in (
        "user_ada (test mode)",
        f"  the app's user: {world.user_id('ada')}",
        f"  the linked customer: {customer}",
        f"  the row of {subscription}: active, {customer}",
        f"  {customer}: ada@example.com, Ada",
        f"    {subscription}: active, ends with its period, or at once where it has none",
        f"    {other['id']}: active, none of ours, is left alone",
        "Nothing was changed. Run it with --yes to do this.",
    ):
        assert line in shown.stdout.splitlines()
    assert (everything(terminal), len(world.stripe.events)) == before


@pytest.mark.parametrize("how", ["cancel_at_period_end", "cancel_now"])
def test_with_yes_nobody_is_named_any_more(
    world: World, out: Outside, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    terminal = Terminal(out, monkeypatch, ON_OWNER_DELETED=how)
    subscription, customer = bought(world, terminal)
    app_user = str(world.user_id("ada"))
    tell(terminal, {"email_addresses": [], "primary_email_address_id": None, "first_name": "Ada"})

    done = terminal.run("forget", "user_ada", "--yes")
    assert done.exit_code == 0, done.output
    held = everything(terminal)
    assert "user_ada" not in held
    assert app_user not in held
    row = terminal.rows[subscription]
    assert row["status"] == ("canceled" if how == "cancel_now" else "active")
    assert row["cancel_at_period_end"] is (how == "cancel_at_period_end")
    assert "Here 1 rows and 1 links name nobody any more." in done.stdout
    assert f"At Stripe remain, since books have to be kept: {customer}" in done.stdout
    assert "user_ada" not in json.dumps(world.stripe.customers[customer])
    assert "user_ada" not in json.dumps(world.stripe.subscriptions[subscription])
    assert set(world.stripe.customers[customer]["metadata"]) == {"clerk_deleted_at"}


def tell(terminal: Terminal, changes: dict[str, object]) -> None:
    data = {"id": "user_ada", "updated_at": 5} | changes
    body = json.dumps({"type": "user.updated", "data": data}).encode()
    sent = headers(CLERK_WEBHOOK_SECRET, "msg_1", int(time.time()), body)
    answer = terminal.service.post(CLERK_WEBHOOK_PATH, data=body, headers=sent)
    assert answer.json["outcome"] == "updated"


def test_later_deliveries_and_sync_don_t_bring_the_name_back(
    world: World, terminal: Terminal
) -> None:
    subscription, _ = bought(world, terminal)
    terminal.run("forget", "user_ada", "--yes")

    deliver_all(world, terminal, subscription)  # those of before too, which name her
    world.stripe.act(subscription, "advance_period")
    deliver_all(world, terminal, subscription)
    assert terminal.run("sync").exit_code == 0
    assert "user_ada" not in everything(terminal)
    assert str(world.user_id("ada")) not in everything(terminal)
    assert terminal.rows[subscription]["status"] == "canceled"


def test_it_refuses_while_something_runs_and_keep_is_set(
    world: World, out: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal(out, monkeypatch, ON_OWNER_DELETED="keep")
    subscription, _ = bought(world, terminal)
    before = everything(terminal), len(world.stripe.events)

    refused = terminal.run("forget", "user_ada", "--yes")
    assert refused.exit_code == 1
    assert "ON_OWNER_DELETED is keep" in refused.stderr
    assert f"    {subscription}: active, goes on" in refused.stdout.splitlines()
    assert (everything(terminal), len(world.stripe.events)) == before

    world.stripe.act(subscription, "cancel_now")
    assert terminal.run("forget", "user_ada", "--yes").exit_code == 0
    assert "user_ada" not in everything(terminal)


def test_what_another_owner_has_stays_theirs(world: World, terminal: Terminal) -> None:
    subscription, customer = bought(world, terminal)
    terminal.execute("update subscriptions set clerk_owner_id = 'user_grace'")
    terminal.execute("delete from billing_customers")

    done = terminal.run("forget", "user_ada", "--yes")
    assert "At Stripe: nothing" in done.stdout
    assert terminal.rows[subscription]["clerk_owner_id"] == "user_grace"
    assert not world.stripe.subscriptions[subscription]["cancel_at_period_end"]


def test_what_is_none_of_ours_at_stripe_is_not_touched(world: World, terminal: Terminal) -> None:
    _, customer = bought(world, terminal)
    named = {"clerk_user_id": "user_eve"}
    other = world.stripe.create_subscription(None, "price_other", customer=customer, metadata=named)

    ended = world.stripe.create_subscription(
        None, "price_pro", "canceled", customer=customer, metadata=named
    )
    own = world.stripe.create_subscription("user_ada", "price_pro", "canceled", customer=customer)

    assert terminal.run("forget", "user_ada", "--yes").exit_code == 0
    for one in (other, ended):
        assert world.stripe.subscriptions[one["id"]] == one
    assert world.stripe.subscriptions[own["id"]]["metadata"] == {}


def test_an_organization_that_is_unknown_is_nothing_to_do(terminal: Terminal) -> None:
    done = terminal.run("forget", "org_acme", "--yes")
    assert done.exit_code == 0
    assert "Here 0 rows and 0 links name nobody any more." in done.stdout


def test_rows_of_the_other_mode_are_told(world: World, terminal: Terminal) -> None:
    bought(world, terminal)
    terminal.execute("insert into billing_customers values ('user_ada', true, 'cus_live')")

    done = terminal.run("forget", "user_ada", "--yes")
    assert "1 more are of the other mode" in done.stdout


@pytest.mark.parametrize("words", [("ada",), ("cus_1",), ("user_ada;x",), ("forgotten_1",)])
def test_ids_of_another_form_are_refused(terminal: Terminal, words: tuple[str]) -> None:
    result = terminal.run("forget", *words)
    assert result.exit_code == 2
    assert "is neither of the form" in result.stderr


@pytest.mark.parametrize("vendor", ["database", "stripe"])
def test_while_a_vendor_is_away_it_says_so_and_again_ends_right(
    world: World, out: Outside, terminal: Terminal, vendor: str
) -> None:
    """At whatever call it goes away."""
    for n in range(40):
        terminal.execute("truncate subscriptions, billing_customers")
        world.stripe.reset()
        bought(world, terminal)
        left = iter(range(n))
        getattr(out, vendor).fault = lambda method, path, left=left: (
            500 if next(left, None) is None else None
        )
        done = terminal.run("forget", "user_ada", "--yes")
        out.heal()
        if done.exit_code == 0:
            assert n > 2
            break
        assert "Stopped: " in done.stderr.splitlines()[-1]
        assert terminal.run("forget", "user_ada", "--yes").exit_code == 0
        assert "user_ada" not in everything(terminal)
        assert "user_ada" not in json.dumps([*world.stripe.subscriptions.values()])
