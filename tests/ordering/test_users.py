"""Whose subscription it is: nobody is ever linked to a stranger's customer."""

from collections.abc import Callable
from typing import Any

import pytest
from frontend import User
from table import connect

from sandbox.world import World

Json = dict[str, Any]


@pytest.fixture
def user(world: World, service_url: str) -> Callable[[str], User]:
    return lambda name: User(world, service_url, name)


@pytest.fixture
def ada(user) -> User:
    return user("ada")


@pytest.fixture
def grace(user) -> User:
    return user("grace")


@pytest.fixture(autouse=True)
def nothing_failed(world: World, service_url: str) -> Any:
    yield
    delivered(world)
    assert {d["status_code"] for d in world.webhooks.deliveries()} <= {200}


def delivered(world: World) -> None:
    assert world.webhooks.wait_until_delivered()


def subscribe(world: World, user: str | None = "user_ada", **more: Any) -> Json:
    made = world.stripe.create_subscription(user, "price_pro", **more)
    delivered(world)
    return made


def change(world: World, subscription: Json, **more: Any) -> None:
    world.stripe.act(subscription["id"], "change_plan", price="price_team", **more)
    delivered(world)


def execute(world: World, query: str, *values: Any) -> None:
    with connect(world.database_url) as connection:
        connection.execute(query, values or None)


def owner(world: World, subscription: Json) -> str | None:
    (row,) = (r for r in world.rows() if r["stripe_subscription_id"] == subscription["id"])
    return row["user_id"]


def links(world: World) -> dict[str, str]:
    """Customer -> Clerk's id of its owner."""
    with connect(world.database_url) as connection:
        found = connection.execute(
            "select jsonb_object_agg(stripe_customer_id, clerk_owner_id) from billing_customers"
        ).fetchone()
    return found or {}


def test_a_row_that_is_older_than_its_user(world: World, ada: User) -> None:
    subscription = subscribe(world)
    assert owner(world, subscription) is None
    assert ada.shown["subscribed"]  # Clerk knows her, and so does the customer

    ada_id = world.add_user("ada")
    change(world, subscription)
    assert owner(world, subscription) == ada_id


def test_the_next_write_claims_all_rows_of_the_customer(world: World) -> None:
    first = subscribe(world)
    second = subscribe(world, customer=first["customer"])
    ada_id = world.add_user("ada")
    change(world, second)
    assert (owner(world, first), owner(world, second)) == (ada_id, ada_id)


def test_the_user_comes_between_the_purchase_and_the_page(world: World, ada: User) -> None:
    subscription = subscribe(world)
    ada_id = world.add_user("ada")
    ada.refresh()
    assert owner(world, subscription) == ada_id


def test_two_users_share_an_address(world: World, ada: User, grace: User) -> None:
    for name in ("ada", "grace"):
        world.add_user(name)
    execute(world, "update users set email = 'both@example.com'")
    bought = ada.buy()
    delivered(world)
    assert (ada.plan, grace.plan) == ("pro", "free")

    gift = world.stripe.create_customer(email="both@example.com")["id"]
    stranger = subscribe(world, None, customer=gift)
    assert owner(world, stranger) is None
    assert grace.refresh()["plan"] == "free"
    assert not grace.shown["can_manage_billing"]

    grace.buy()
    assert grace.plan == "pro"
    assert links(world)[bought["customer"]] == "user_ada"
    assert len(set(links(world).values())) == len(links(world)) == 2


def test_what_a_payment_links_address_says(world: World, grace: User, service_url: str) -> None:
    """client_reference_id is written by whoever follows the link."""
    world.add_user("grace")
    subscription = subscribe(world, None)
    session = {
        "id": "cs_test_link",
        "object": "checkout.session",
        "status": "complete",
        "payment_status": "paid",
        "mode": "subscription",
        "customer": subscription["customer"],
        "subscription": subscription["id"],
        "client_reference_id": "user_grace",
        "customer_details": {"email": "grace@example.com"},
        "metadata": {},
        "livemode": False,
    }
    with world.stripe.lock:
        world.stripe.sessions[session["id"]] = session
        world.stripe.emit("checkout.session.completed", session)
    delivered(world)
    assert owner(world, subscription) is None
    assert links(world) == {}
    assert grace.refresh(checkout_session_id="cs_test_link")["plan"] == "free"
    assert not grace.shown["can_manage_billing"]


def test_metadata_of_nobody(world: World, ada: User) -> None:
    world.add_user("ada")
    subscription = subscribe(world, None, metadata={"clerk_user_id": "user_nobody"})
    assert owner(world, subscription) is None
    assert (ada.plan, ada.shown["can_manage_billing"]) == ("free", False)


@pytest.mark.parametrize("linked_by", ["purchase", "row"])
def test_metadata_of_another_user_on_a_known_customer(
    linked_by: str, world: World, ada: User, grace: User
) -> None:
    ada_id, _grace_id = world.add_user("ada"), world.add_user("grace")
    customer = ada.buy()["customer"]
    delivered(world)
    if linked_by == "row":  # as in a table of the tutorial: nothing but the row knows
        execute(world, "delete from billing_customers")
    other = subscribe(world, None, customer=customer, metadata={"clerk_user_id": "user_grace"})
    assert owner(world, other) == ada_id
    assert (grace.plan, grace.shown["can_manage_billing"]) == ("free", False)
    assert links(world).get(customer) in ("user_ada", None)


def test_metadata_that_changes_moves_nothing(world: World, ada: User, grace: User) -> None:
    ada_id, _ = world.add_user("ada"), world.add_user("grace")
    subscription = subscribe(world)
    for metadata in ({"clerk_user_id": "user_grace"}, {}):
        world.stripe.subscriptions[subscription["id"]]["metadata"] = metadata
        change(world, subscription, quantity=2)
        assert owner(world, subscription) == ada_id
    assert (ada.plan, grace.plan) == ("team", "free")


def test_a_user_is_deleted_while_subscribed(world: World, ada: User) -> None:
    ada_id = world.add_user("ada")
    subscription = subscribe(world)
    execute(world, "delete from users where clerk_id = 'user_ada'")
    assert owner(world, subscription) == ada_id

    change(world, subscription)
    world.stripe.act(subscription["id"], "cancel_now")
    delivered(world)
    assert owner(world, subscription) == ada_id
    assert ada.plan == "free"


def test_a_clerk_account_made_anew_for_the_same_user(world: World, user) -> None:
    ada_id = world.add_user("ada")
    subscription = subscribe(world)
    execute(world, "update users set clerk_id = 'user_ada2' where clerk_id = 'user_ada'")
    anew = user("ada2")
    assert anew.plan == "pro"
    assert anew.refused("/checkout") == "already_subscribed"
    assert anew.answer("POST", "/portal")["url"]

    change(world, subscription)
    assert owner(world, subscription) == ada_id
    assert anew.plan == "team"
    assert anew.refresh()["plan"] == "team"


def test_each_buyer_has_their_own(world: World, user) -> None:
    """Five users buy, change and leave at once."""
    names = [f"u{n}" for n in range(5)]
    ids = {name: world.add_user(name) for name in names}
    bought = {name: user(name).buy()["subscription"] for name in names}
    for name in names[::2]:
        world.stripe.act(bought[name], "change_plan", price="price_team")
    delivered(world)
    assert {r["stripe_subscription_id"]: r["user_id"] for r in world.rows()} == {
        bought[name]: ids[name] for name in names
    }
    assert [user(name).plan for name in names] == ["team", "pro", "team", "pro", "team"]
