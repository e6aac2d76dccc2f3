"""The ordering rule as a model of our own, explored exhaustively: the rule holds in every end that
can be reached, and with any one part left out there is an end with a wrong row. docs/ordering.md
says what each part is for.

A subscription lives through `life`: contents, each change of which makes one event, stamped with
the whole second of the change or up to `late` seconds later. Each event is delivered `copies`
times, at any moment after its change, in any order. A delivery takes steps that all others can come
between:

    arrived --fast path--> done
    arrived -> asks -> read (the revision) -> answered (by Stripe) -> dated -> done, or asks again

Between any two steps the clock may move on, Stripe may change, and somebody may delete the row.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import pytest


@dataclass(frozen=True)
class Rule:
    margin: int = 2
    fast_path_needs_a_row: bool = True
    compare_and_swap: bool = True
    always_writes: bool = True
    no_insert_over_a_revision: bool = True
    revisions_never_repeat: bool = True


@dataclass(frozen=True)
class World:
    life: tuple[str, ...] = ("active", "canceling", "active")
    seconds: int = 3
    late: int = 0
    copies: int = 1
    row_at_first: bool = True
    deletions: int = 0


class Row(NamedTuple):
    as_of: int
    revision: int
    content: str


class Delivery(NamedTuple):
    event: int  # the change that it tells of: the first one is 1
    step: str = "arrived"
    revision: int = 0  # 0: there was no row
    content: str = ""
    date: int = 0


class State(NamedTuple):
    clock: int
    stamps: tuple[int, ...]  # of the changes so far
    row: Row | None
    last_revision: int
    deletions_left: int
    deliveries: tuple[Delivery, ...]


def start(world: World) -> State:
    deliveries = [Delivery(n) for n in range(1, len(world.life)) for _ in range(world.copies)]
    row = Row(0, 1, world.life[0]) if world.row_at_first else None
    return State(0, (), row, 1, world.deletions, tuple(deliveries))


def next_states(rule: Rule, world: World, now: State) -> Iterator[State]:
    if now.clock < world.seconds:
        yield now._replace(clock=now.clock + 1)
    if len(now.stamps) < len(world.life) - 1:
        for late in range(world.late + 1):
            yield now._replace(stamps=(*now.stamps, now.clock + late))
    if now.row and now.deletions_left:
        yield now._replace(row=None, deletions_left=now.deletions_left - 1)
    for place, delivery in enumerate(now.deliveries):
        if delivery.step != "done" and delivery.event <= len(now.stamps):
            row, after = advance(rule, world, now, delivery)
            rest = [*now.deliveries]
            rest[place] = after
            written = row is not now.row and row is not None
            yield now._replace(
                row=row,
                last_revision=row.revision if row and written else now.last_revision,
                # Which of several deliveries took which step never matters.
                deliveries=tuple(sorted(rest)),
            )


def advance(
    rule: Rule, world: World, now: State, delivery: Delivery
) -> tuple[Row | None, Delivery]:
    """One step of one delivery: the row and the delivery after it."""
    row, done = now.row, Delivery(delivery.event, "done")
    match delivery.step:
        case "arrived":
            stamp = now.stamps[delivery.event - 1]
            if row is None:
                trusted = not rule.fast_path_needs_a_row
            else:
                trusted = row.as_of + rule.margin <= stamp
            if trusted:
                return written(rule, now, stamp, world.life[delivery.event]), done
            return row, delivery._replace(step="asks")
        case "asks":
            return row, delivery._replace(step="read", revision=row.revision if row else 0)
        case "read":
            return row, delivery._replace(step="answered", content=world.life[len(now.stamps)])
        case "answered":
            return row, delivery._replace(step="dated", date=now.clock)
    if row is None:
        lost = delivery.revision > 0 and rule.no_insert_over_a_revision
    else:
        lost = delivery.revision != row.revision and rule.compare_and_swap
    if lost:
        return row, Delivery(delivery.event, "asks")
    if row and row.content == delivery.content and not rule.always_writes:
        return row, done
    return written(rule, now, delivery.date, delivery.content), done


def written(rule: Rule, now: State, as_of: int, content: str) -> Row:
    from_the_row = (now.row.revision if now.row else 0) + 1
    return Row(
        as_of, now.last_revision + 1 if rule.revisions_never_repeat else from_the_row, content
    )


def wrong_ends(rule: Rule, world: World) -> Iterator[State]:
    """Every end that can be reached in which the row is not what Stripe has."""
    todo = [start(world)]
    seen = set(todo)
    while todo:
        now = todo.pop()
        is_over = len(now.stamps) == len(world.life) - 1 and all(
            delivery.step == "done" for delivery in now.deliveries
        )
        if is_over:
            if now.row and now.row.content != world.life[-1]:
                yield now
            continue
        for state in next_states(rule, world, now):
            if state not in seen:
                seen.add(state)
                todo.append(state)


CHANGES = ("active", "past_due", "unpaid")
BACK_AND_FORTH = ("active", "canceling", "active")

HOLDS = {
    "changes": World(life=CHANGES, seconds=3),
    "stamps up to a second late": World(life=CHANGES, seconds=3, late=1),
    "cancel and resume": World(life=BACK_AND_FORTH, seconds=3, late=1),
    "three changes": World(life=("active", "past_due", "unpaid", "active"), seconds=1),
    "repeated": World(life=BACK_AND_FORTH, seconds=1, copies=2),
    "no row at first": World(life=BACK_AND_FORTH, seconds=2, late=1, row_at_first=False),
    "no row at first, repeated": World(
        life=BACK_AND_FORTH, seconds=1, copies=2, row_at_first=False
    ),
    "deleted by hand": World(life=BACK_AND_FORTH, seconds=3, late=1, deletions=1),
}


@pytest.mark.parametrize("world", HOLDS.values(), ids=HOLDS)
def test_the_rule_ends_in_stripes_state_whatever_comes_between(world: World) -> None:
    assert next(wrong_ends(Rule(), world), None) is None


LEFT_OUT = {
    "the guard on the fast path": (Rule(margin=-99), World(life=CHANGES)),
    "clearly later: 'not older' instead": (Rule(margin=0), World(life=CHANGES)),
    "clearly later: 'later' instead": (Rule(margin=1), World(life=CHANGES, late=1)),
    "clearly later: by the lateness of stamps instead": (
        Rule(margin=2),
        World(life=CHANGES, seconds=4, late=2),
    ),
    "the slow path's compare-and-swap": (Rule(compare_and_swap=False), World(life=BACK_AND_FORTH)),
    "a refresh always writes": (Rule(always_writes=False), World(life=BACK_AND_FORTH)),
    "a new row asks Stripe": (
        Rule(fast_path_needs_a_row=False),
        World(life=BACK_AND_FORTH, deletions=1),
    ),
    "a write over a revision never inserts": (
        Rule(no_insert_over_a_revision=False),
        World(life=BACK_AND_FORTH, seconds=0, copies=2, deletions=1),
    ),
    "revisions come from one sequence": (
        Rule(revisions_never_repeat=False),
        World(life=CHANGES, seconds=0, copies=2, deletions=1),
    ),
}


@pytest.mark.parametrize(("rule", "world"), LEFT_OUT.values(), ids=LEFT_OUT)
def test_each_part_left_out_goes_wrong(rule: Rule, world: World) -> None:
    assert next(wrong_ends(rule, world), None) is not None


@pytest.mark.parametrize(("rule", "world"), LEFT_OUT.values(), ids=LEFT_OUT)
def test_where_a_part_left_out_goes_wrong_the_whole_rule_does_not(rule: Rule, world: World) -> None:
    whole = Rule(margin=max(Rule.margin, world.late + 1))
    assert next(wrong_ends(whole, world), None) is None


def test_the_accepted_exception_is_the_one_that_is_written_down() -> None:
    """Two deliveries saw no row, one inserted, somebody deleted that row by hand, and the slower
    one inserts the older state. It lasts until the next event, refresh or sync.
    """
    world = World(life=BACK_AND_FORTH, seconds=1, row_at_first=False, deletions=1)
    wrong = next(wrong_ends(Rule(), world))
    assert wrong.deletions_left == 0
    assert next(wrong_ends(Rule(), replace(world, deletions=0)), None) is None
    assert next(wrong_ends(Rule(), replace(world, row_at_first=True)), None) is None
