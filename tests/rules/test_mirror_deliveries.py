"""Deliveries at once, and a whole life delivered in any order: the row ends in Stripe's state."""

import itertools
import threading
from datetime import UTC, datetime
from typing import Any

from given import NOON, iso, row, snapshot_event, subscription, thin_event
from hypothesis import given as for_all
from hypothesis import settings as with_settings
from hypothesis import strategies as st
from mirror_world import World

Json = dict[str, Any]
UPDATED = "customer.subscription.updated"
PAST_DUE = subscription(status="past_due")


def test_a_burst_of_deliveries_asks_stripe_twice_at_most() -> None:
    world = World()
    world.database.holds(row())
    world.stripe.has(PAST_DUE)
    asked, answer, boarded = threading.Event(), threading.Event(), threading.Semaphore(0)
    board = world.mirror._flights._board

    def watched(*arguments: Any) -> Any:
        found = board(*arguments)
        boarded.release()
        return found

    def hold() -> None:
        asked.set()
        assert answer.wait(20)

    world.mirror._flights._board = watched  # type: ignore[method-assign]
    world.stripe.before_answer = hold
    event = thin_event(UPDATED, "sub_1")
    outcomes: list[str] = []
    burst = [
        threading.Thread(target=lambda: outcomes.append(world.mirror.apply(event)))
        for _ in range(12)
    ]
    burst[0].start()
    assert asked.wait(20)
    for thread in burst[1:]:
        thread.start()
    for _ in burst:
        assert boarded.acquire(timeout=20)
    answer.set()
    for thread in burst:
        thread.join(20)
    assert world.stripe.asked == ["sub_1", "sub_1"]
    assert sorted(outcomes) == ["refreshed"] + ["unchanged"] * 11
    assert world.stored["status"] == "past_due"


# A whole life, delivered in any order

LIFE = [
    ("customer.subscription.created", {"status": "incomplete"}),
    (UPDATED, {"status": "active"}),
    (UPDATED, {"status": "active", "cancel_at": NOON + 10**6}),
    (UPDATED, {"status": "active"}),
    (UPDATED, {"status": "past_due"}),
    ("customer.subscription.deleted", {"status": "canceled", "ended_at": NOON + 10**5}),
]


@st.composite
def deliveries_of_a_life(draw: st.DrawFn) -> list[tuple[int, Json, int]]:
    """Pairs of an event and how many changes Stripe had seen when it arrived."""
    length = draw(st.integers(1, len(LIFE)))
    stamps = itertools.accumulate(draw(st.sampled_from([0, 1, 59, 61, 86_400])) for _ in LIFE)
    events = [
        snapshot_event(kind, subscription(**changes), created=NOON + stamp)
        for (kind, changes), stamp in zip(LIFE[:length], stamps, strict=False)
    ]
    wanted = [*range(length), *draw(st.lists(st.integers(0, length - 1), max_size=4))]
    order = draw(st.permutations(wanted))
    seen, arrivals = 0, []
    for number in order:
        seen = max(seen, number, draw(st.integers(seen, length - 1)))
        arrivals.append((number, events[number], seen))
    return arrivals


@for_all(deliveries_of_a_life())
@with_settings(max_examples=200)
def test_whatever_the_order_and_repetition_the_row_ends_in_stripes_state(
    arrivals: list[tuple[int, Json, int]],
) -> None:
    world = World()
    last = max(seen for _, _, seen in arrivals)
    created = {number: event["created"] for number, event, _ in arrivals}
    for _, event, seen in arrivals:
        world.stripe.has(subscription(**LIFE[seen][1]))
        world.stripe.date = datetime.fromtimestamp(created[seen], UTC)
        world.mirror.apply(event)
    status, cancel_at = (LIFE[last][1].get(name) for name in ("status", "cancel_at"))
    assert world.stored["status"] == status
    assert world.stored["cancel_at"] == (cancel_at and iso(cancel_at))  # type: ignore[arg-type]
