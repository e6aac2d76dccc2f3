"""When a snapshot is trusted and when Stripe is asked, and who wins where two write at once. Lives
in every order: test_property.py.
"""

import threading
from collections.abc import Callable, Iterator

import pytest
from deliveries import changed, get, utc
from service_under_test import (
    Clock,
    Json,
    OtherStripe,
    Service,
    calls,
    edit_row,
    execute,
    last_event,
    link,
    put_row,
    rows,
    wait_until_waiting,
)

from sandbox.stripe import shapes
from sandbox.world import World


@pytest.mark.parametrize(
    "seconds, fast", [(60, True), (61, True), (86_400, True), (59, False), (1, False), (0, False)]
)
def test_only_a_snapshot_stamped_a_minute_later_is_trusted(
    world: World, service: Service, subscription: Json, clock: Clock, seconds: int, fast: bool
) -> None:
    clock.advance(seconds)
    event = changed(world, subscription, price="price_team")
    clock.advance(5)

    assert service.outcome(event) == ("applied" if fast else "refreshed")
    assert calls(world.stripe) == ([] if fast else [get(subscription)])
    row = rows(world)[subscription["id"]]
    assert row["plan"] == "team"
    # As of the event, or as of Stripe's answer.
    assert row["as_of"] == utc(clock.now - 5 if fast else clock.now)


def test_the_fast_path_writes_the_snapshot_and_not_what_stripe_has_meanwhile(
    world: World, service: Service, subscription: Json, clock: Clock
) -> None:
    clock.advance(60)
    event = changed(world, subscription, price="price_team")
    world.stripe.act(subscription["id"], "cancel_now")

    assert service.outcome(event) == "applied"
    assert rows(world)[subscription["id"]]["status"] == "active"
    assert service.outcome(last_event(world.stripe)) == "refreshed"
    assert rows(world)[subscription["id"]]["status"] == "canceled"


def test_the_fast_path_needs_no_stripe_and_no_clerk(
    world: World, service: Service, subscription: Json, clock: Clock
) -> None:
    clock.advance(60)
    event = changed(world, subscription)
    world.faults.stripe, world.faults.clerk = "error", "down"

    assert service.outcome(event) == "applied"


def test_an_event_that_comes_twice_asks_stripe_and_finds_nothing_new(
    world: World, service: Service, subscription: Json, clock: Clock
) -> None:
    clock.advance(60)
    event = changed(world, subscription, price="price_team")
    service.outcome(event)
    before = rows(world)[subscription["id"]]
    clock.advance(5)

    assert service.outcome(event) == "unchanged"
    assert calls(world.stripe) == [get(subscription)]
    after = rows(world)[subscription["id"]]
    assert {name for name in before if before[name] != after[name]} == {"as_of", "revision"}
    assert after["revision"] > before["revision"]


def test_a_row_deleted_by_hand_comes_back_with_the_next_event(
    world: World, service: Service, subscription: Json, clock: Clock
) -> None:
    execute(world, "delete from subscriptions")
    clock.advance(3600)

    assert service.outcome(changed(world, subscription)) == "refreshed"
    assert rows(world)[subscription["id"]]["plan"] == "team"


def test_a_row_of_the_original_is_never_taken_the_fast_way(
    world: World, service: Service, clock: Clock
) -> None:
    subscription = world.stripe.create_subscription("user_ada", "price_pro")
    put_row(
        world,
        stripe_subscription_id=subscription["id"],
        stripe_customer_id=subscription["customer"],
        as_of=None,
        livemode=None,
    )
    clock.advance(3600)

    assert service.outcome(changed(world, subscription)) == "refreshed"
    assert rows(world)[subscription["id"]]["livemode"] is False


RELEASES = ["2025-03-31.basil", "2024-06-20", "2026-10-28.endive.preview", "endive", "", None]


@pytest.mark.parametrize("version", [*RELEASES, "left out"])
def test_another_api_release_asks_stripe(
    world: World, service: Service, subscription: Json, clock: Clock, version: str | None
) -> None:
    clock.advance(3600)
    event = changed(world, subscription, price="price_team")
    if version in RELEASES[:2]:
        event = shapes.event_in_version(event, version)
    elif version == "left out":
        del event["api_version"]
    else:
        event = {**event, "api_version": version}

    assert service.outcome(event) == "refreshed"
    assert calls(world.stripe) == [get(subscription)]
    row = rows(world)[subscription["id"]]
    assert row["plan"] == "team"
    assert row["current_period_end"] is not None


def test_another_month_of_our_release_is_trusted(
    world: World, service: Service, subscription: Json, clock: Clock
) -> None:
    clock.advance(3600)
    release = shapes.API_VERSION.partition(".")[2]
    event = changed(world, subscription) | {"api_version": f"2026-09-30.{release}"}

    assert service.outcome(event) == "applied"


def test_a_test_clocks_events_ask_stripe(
    world: World, service: Service, subscription: Json, clock: Clock
) -> None:
    clock.advance(3600)
    world.stripe.subscriptions[subscription["id"]]["test_clock"] = "clock_1"

    assert service.outcome(changed(world, subscription)) == "refreshed"


# Several at once


def test_a_burst_for_one_subscription_is_no_storm(
    world: World, service_at: Callable[..., Service], other_stripe: OtherStripe
) -> None:
    service, stripe = service_at(other_stripe), other_stripe.state
    stripe.create_subscription("user_ada", "price_pro")
    event = last_event(stripe)
    asked, go_on = threading.Event(), threading.Event()

    def hold_the_first(method: str, path: str) -> None:
        if not asked.is_set():
            asked.set()
            assert go_on.wait(10)

    other_stripe.held = hold_the_first
    outcomes: list[str] = []

    def deliver() -> None:
        outcomes.append(service.outcome(event))

    first = threading.Thread(target=deliver)
    first.start()
    assert asked.wait(10)
    others = [threading.Thread(target=deliver) for _ in range(6)]
    for thread in others:
        thread.start()
    wait_until_waiting(others)
    go_on.set()
    for thread in (first, *others):
        thread.join(10)

    assert sorted(outcomes) == ["refreshed"] + ["unchanged"] * 6
    assert len(calls(stripe)) == 2


def test_a_slow_answer_of_stripes_never_overwrites_a_newer_state(
    world: World, service_at: Callable[..., Service], other_stripe: OtherStripe
) -> None:
    # Two services: two worker processes share no memory.
    slow, quick = service_at(other_stripe), service_at(other_stripe)
    stripe = other_stripe.state
    subscription = stripe.create_subscription("user_ada", "price_pro")
    created = last_event(stripe)
    quick.outcome(created)
    asked, go_on = threading.Event(), threading.Event()

    def hold_the_first(method: str, path: str) -> None:
        if not asked.is_set():
            asked.set()
            assert go_on.wait(10)

    other_stripe.held = hold_the_first
    thread = threading.Thread(target=lambda: slow.outcome(created))
    thread.start()
    assert asked.wait(10)
    stripe.act(subscription["id"], "cancel_now")
    assert quick.outcome(last_event(stripe)) == "refreshed"
    go_on.set()
    thread.join(10)

    assert rows(world)[subscription["id"]]["status"] == "canceled"


def test_one_of_a_list_that_somebody_wrote_meanwhile_is_asked_for_by_itself(
    world: World, service_at: Callable[..., Service], other_stripe: OtherStripe
) -> None:
    service, stripe = service_at(other_stripe), other_stripe.state
    subscription = stripe.create_subscription("user_ada", "price_pro")
    link(world, subscription["customer"])
    service.outcome(last_event(stripe))
    stripe.calls.clear()

    def write_once_listed(method: str, path: str) -> None:
        other_stripe.held = lambda method, path: None
        edit_row(world, subscription["id"], revision=10**6, plan="written meanwhile")

    other_stripe.held = write_once_listed
    assert (service.refresh().json or {})["plan"] == "pro"
    assert calls(stripe) == ["GET /v1/subscriptions", get(subscription)]


@pytest.fixture
def clash(world: World, request: pytest.FixtureRequest) -> Iterator[None]:
    """The first write of the table meets another one, as Postgres says it with this code."""
    execute(world, "create sequence clashes")  # which no rollback sets back
    execute(
        world,
        f"""create function clash() returns trigger language plpgsql security definer as $$
        begin
          if nextval('clashes') = 1 then raise exception 'clash' using errcode = '{request.param}';
          end if;
          return new;
        end $$""",
    )
    execute(
        world,
        "create trigger clash before insert or update on subscriptions "
        "for each row execute function clash()",
    )
    yield
    execute(world, "drop trigger clash on subscriptions")
    execute(world, "drop function clash")
    execute(world, "drop sequence clashes")


@pytest.mark.parametrize("clash", ["40P01", "40001"], indirect=True)
def test_a_deadlock_or_a_serialization_failure_is_tried_again(
    world: World, service: Service, clash: None
) -> None:
    subscription = world.stripe.create_subscription("user_ada", "price_pro")
    lost = service.metric("portal_lost_rounds_total", what="row")

    assert service.outcome(last_event(world.stripe)) == "refreshed"
    assert calls(world.stripe) == [get(subscription)] * 2
    assert service.metric("portal_lost_rounds_total", what="row") == lost + 1
    assert rows(world)[subscription["id"]]["status"] == "active"
