"""`flask portal link` claims what a customer bought, and never takes it from somebody else."""

import importlib

import pytest
from at_the_terminal import Terminal
from outside import Outside

from sandbox.world import World


def bought_by_nobody(world: World) -> tuple[str, str]:
    """A subscription whose owner nothing at Stripe names, and its customer."""
    subscription = world.stripe.create_subscription(None, "price_pro")
    return subscription["id"], subscription["customer"]


def tables(terminal: Terminal) -> list[object]:
    return [terminal.rows, terminal.select("select * from billing_customers order by 1")]


def test_it_says_what_it_would_do_and_asks_at_a_terminal(
    world: World, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module("portal_service.commands.link")
    monkeypatch.setattr(module, "_at_a_terminal", lambda: True)
    ada = world.add_user("ada")
    subscription, customer = bought_by_nobody(world)
    terminal.run("sync")
    before = tables(terminal)

    shown = terminal.run("link", "user_ada", customer, typed="n\n")
    assert shown.exit_code == 1
    assert f"{customer} (test mode) will belong to user_ada" in shown.stdout
    assert f"{subscription} active" in shown.stdout
    assert tables(terminal) == before

    assert terminal.run("link", "user_ada", customer, typed="y\n").exit_code == 0
    row = terminal.rows[subscription]
    assert (row["clerk_owner_id"], row["user_id"]) == ("user_ada", ada)
    assert terminal.json("sync", "--dry-run")["unclaimed"] == []


def test_without_a_row_yet_and_without_a_user_of_the_app(world: World, terminal: Terminal) -> None:
    subscription, customer = bought_by_nobody(world)

    assert terminal.run("link", "user_ada", customer, "--yes").exit_code == 0
    assert terminal.rows[subscription]["clerk_owner_id"] == "user_ada"
    assert not terminal.wrong_rows()


def test_again_changes_nothing(world: World, terminal: Terminal) -> None:
    _, customer = bought_by_nobody(world)
    terminal.run("link", "user_ada", customer, "--yes")
    links = tables(terminal)[1]

    assert terminal.run("link", "user_ada", customer, "--yes").exit_code == 0
    assert tables(terminal)[1] == links


def test_the_customer_that_checkout_sells_to_stays(world: World, terminal: Terminal) -> None:
    first, own = bought_by_nobody(world)
    second, other = bought_by_nobody(world)
    terminal.run("link", "user_ada", own, "--yes")

    shown = terminal.run("link", "user_ada", other, "--yes")
    assert f"{own} stays the customer" in shown.stdout
    assert {row["clerk_owner_id"] for row in terminal.rows.values()} == {"user_ada"}
    assert set(terminal.rows) == {first, second}
    (link,) = terminal.select("select * from billing_customers")
    assert link["stripe_customer_id"] == own


def test_what_a_second_customer_can_not_be_claimed_for_is_said(
    world: World, terminal: Terminal
) -> None:
    terminal.run("link", "user_ada", bought_by_nobody(world)[1])
    named, other = bought_by_nobody(world)
    world.stripe.subscriptions[named]["metadata"] = {"clerk_user_id": "user_eve"}
    before = tables(terminal)

    for customer, says in (
        (other, "names user_eve"),
        (world.stripe.create_customer()["id"], "no sub"),
    ):
        result = terminal.run("link", "user_ada", customer)
        assert result.exit_code == 1
        assert says in result.stderr
    assert tables(terminal) == before


def test_a_price_of_no_plan_is_not_claimed_in_silence(world: World, terminal: Terminal) -> None:
    terminal.run("link", "user_ada", bought_by_nobody(world)[1])
    subscription = world.stripe.create_subscription(None, "price_other")

    result = terminal.run("link", "user_ada", subscription["customer"])
    assert result.exit_code == 1
    assert f"{subscription['id']} of" in result.stderr


def linked_to_grace(world: World, terminal: Terminal, customer: str) -> None:
    terminal.run("link", "user_grace", customer, "--yes")


def row_of_grace(world: World, terminal: Terminal, customer: str) -> None:
    """A row of the app's own, from before the upgrade."""
    terminal.run("sync")
    terminal.execute("update subscriptions set user_id = %s", world.add_user("grace"))


def row_that_graces_account_owns(world: World, terminal: Terminal, customer: str) -> None:
    """While nothing in billing_customers says so, and the app does not know her."""
    terminal.run("sync")
    terminal.execute("update subscriptions set clerk_owner_id = 'user_grace'")


def deleted(world: World, terminal: Terminal, customer: str) -> None:
    world.stripe.delete_customer(customer)


def unknown(world: World, terminal: Terminal, customer: str) -> None:
    del world.stripe.customers[customer]


def of_the_other_mode(world: World, terminal: Terminal, customer: str) -> None:
    world.stripe.customers[customer]["livemode"] = True


@pytest.mark.parametrize(
    "spoil, says",
    [
        (linked_to_grace, "user_grace: a link is never moved"),
        (row_of_grace, "a link is never moved"),
        (row_that_graces_account_owns, "user_grace: a link is never moved"),
        (deleted, "was deleted at Stripe"),
        (unknown, "Stripe has no customer"),
        (of_the_other_mode, "is it of the other mode"),
    ],
)
def test_what_can_not_be_this_users_is_refused_in_one_line(
    world: World, terminal: Terminal, spoil, says: str
) -> None:
    _, customer = bought_by_nobody(world)
    spoil(world, terminal, customer)
    before = tables(terminal)

    result = terminal.run("link", "user_ada", customer, "--yes")
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert says in line and customer in line
    assert tables(terminal) == before


@pytest.mark.parametrize(
    "words", [("ada", "cus_1"), ("user_ada", "sub_1"), ("user_ada", "cus_1;x")]
)
def test_ids_of_another_form_are_refused(terminal: Terminal, words: tuple[str, str]) -> None:
    result = terminal.run("link", *words)
    assert result.exit_code == 2
    assert "is not of the form" in result.stderr


def test_where_organizations_pay_a_purchase_is_claimed_for_one(
    world: World, out: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal(out, monkeypatch, BILLING_OWNER="organization")
    subscription, customer = bought_by_nobody(world)

    for other in ("user_ada", "org_", "org_a b"):
        result = terminal.run("link", other, customer, "--yes")
        assert (result.exit_code, "is not of the form org_…" in result.stderr) == (2, True)
    assert terminal.run("link", "org_acme", customer, "--yes").exit_code == 0
    assert terminal.rows[subscription]["clerk_owner_id"] == "org_acme"
    assert terminal.json("sync", "--dry-run")["unclaimed"] == []

    by_user = Terminal(out, monkeypatch)
    assert "org_acme" in by_user.run("link", "user_ada", customer, "--yes").stderr


def test_while_the_database_is_away(world: World, out: Outside, terminal: Terminal) -> None:
    _, customer = bought_by_nobody(world)
    out.database.fault = lambda method, path: 503

    result = terminal.run("link", "user_ada", customer, "--yes")
    assert result.exit_code == 1
    assert "Stopped: " in result.stderr.splitlines()[-1]
