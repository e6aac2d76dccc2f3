"""Test mode and live mode, test data that is deleted, and the key of another account."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from frontend import APP_URL, User

from portal_service import Settings, create_app
from sandbox.stripe import api as stripe_api
from sandbox.stripe.state import StripeState
from sandbox.web import Server
from sandbox.world import World

LIVE_KEY = "sk_live_sandbox"


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """serve(world, account): the address of a service with the live key of this account."""
    with ExitStack() as running:

        def serve(world: World, account: StripeState) -> str:
            api = stripe_api.create_app(account, world.faults, {LIVE_KEY}, "http://pay.example")
            stripe_url = running.enter_context(Server(api)).url
            live = {"STRIPE_SECRET_KEY": LIVE_KEY, "STRIPE_API_BASE": stripe_url}
            settings = Settings.from_environment(world.environment(APP_URL) | live)
            return running.enter_context(Server(create_app(settings))).url

        yield serve


@pytest.fixture
def live_account(world: World) -> StripeState:
    return StripeState(world.webhooks, livemode=True)


@pytest.fixture
def ada(world: World, service_url: str) -> User:
    """She has bought in test mode."""
    world.add_user("ada")
    ada = User(world, service_url, "ada")
    ada.buy()
    assert world.webhooks.wait_until_delivered()
    assert ada.plan == "pro"
    return ada


def test_after_the_keys_are_swapped_the_user_starts_anew(
    world: World, ada: User, live_account: StripeState, serve
) -> None:
    test_rows = world.rows()
    url = serve(world, live_account)
    world.deliver_to(url)
    live = User(world, url, "ada")
    assert (live.plan, live.shown["subscribed"], live.shown["livemode"]) == ("free", False, True)
    assert live.refused("/portal") == "no_subscription"
    assert live.refresh()["plan"] == "free"

    live_account.checkout(live.open_checkout(), "pay")
    assert world.webhooks.wait_until_delivered()
    assert (live.plan, live.shown["livemode"]) == ("pro", True)
    assert live.answer("POST", "/portal")["url"]
    assert live.refused("/checkout") == "already_subscribed"
    assert live.refresh()["plan"] == "pro"
    assert [row for row in world.rows() if not row["livemode"]] == test_rows


def test_what_still_happens_in_test_mode_is_ignored(
    world: World, ada: User, live_account: StripeState, serve
) -> None:
    before, earlier = world.rows(), len(world.webhooks.deliveries())
    world.deliver_to(serve(world, live_account))
    world.stripe.act(before[0]["stripe_subscription_id"], "cancel_now")
    assert world.webhooks.wait_until_delivered()
    assert {d["outcome"] for d in world.webhooks.deliveries()[earlier:]} == {"ignored"}
    assert world.rows() == before


def test_back_in_test_mode_the_old_purchase_counts(
    world: World, ada: User, live_account: StripeState, serve
) -> None:
    live = User(world, serve(world, live_account), "ada")
    world.webhooks.url = None
    live_account.checkout(live.open_checkout(), "pay")
    assert live.refresh()["subscribed"]
    assert (ada.plan, ada.shown["livemode"]) == ("pro", False)
    assert ada.refresh()["plan"] == "pro"
    assert ada.answer("POST", "/portal")["url"]


@pytest.mark.parametrize("button", ["refresh", "checkout", "portal"])
def test_test_data_that_was_deleted_locks_nobody_in(button: str, world: World, ada: User) -> None:
    """Customers, subscriptions and sessions are gone, as by "Delete all test data"."""
    world.webhooks.url = None
    for store in (world.stripe.customers, world.stripe.subscriptions, world.stripe.sessions):
        store.clear()
    if button == "refresh":
        assert ada.refresh()["plan"] == "free"
    elif button == "portal":
        assert ada.refused("/portal") == "customer_not_found"
    else:
        ada.open_checkout()  # the table does not know yet, and is not believed
    assert [row["status"] for row in world.rows()] == ["canceled"]
    assert (ada.plan, ada.shown["subscribed"]) == ("free", False)

    ada.buy()
    assert ada.refresh()["plan"] == "pro"
    assert ada.answer("POST", "/portal")["url"]


def test_with_the_live_key_of_another_account_not_one_row_ends(
    world: World, live_account: StripeState, serve
) -> None:
    world.add_user("ada")
    url = serve(world, live_account)
    world.deliver_to(url)
    ada = User(world, url, "ada")
    live_account.checkout(ada.open_checkout(), "pay")
    assert world.webhooks.wait_until_delivered()
    assert ada.plan == "pro"
    before = world.rows()

    elsewhere = serve(world, StripeState(world.webhooks, livemode=True))
    world.deliver_to(elsewhere)
    lost = User(world, elsewhere, "ada")
    assert lost.plan == "pro"
    assert lost.call("POST", "/subscription/refresh").status_code >= 500
    assert lost.call("POST", "/portal").status_code >= 400
    assert lost.refused("/checkout") == "already_subscribed"
    assert lost.shown["can_manage_billing"]  # nobody was marked as gone
    (made,) = (e for e in live_account.events.values() if e["type"].endswith("n.created"))
    (delivery,) = world.webhooks.resend(made["id"])
    assert delivery.wait_answered(10)
    assert world.webhooks.deliveries()[-1]["status_code"] >= 500
    assert world.rows() == before
