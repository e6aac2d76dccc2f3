"""The budget of a request, on a clock that the test moves."""

import contextvars
from collections.abc import Iterator

import pytest
from alone import Clock

from portal_service import deadline


def test_without_a_request_there_is_no_budget() -> None:
    assert deadline.remaining() is None
    assert deadline.attempt(60) == 60


def test_a_request_has_ten_seconds_and_checkout_fifteen(clock: Clock) -> None:
    deadline.begin()
    assert deadline.remaining() == 10
    deadline.allow(deadline.CHECKOUT_SECONDS)
    assert deadline.remaining() == 15


def test_more_time_does_not_move_the_start(clock: Clock) -> None:
    deadline.begin()
    clock.now += 4
    deadline.allow(15)
    assert deadline.remaining() == 11


@pytest.mark.parametrize(
    ("spent", "timeout", "granted"),
    [(0, 5, 5), (4, 5, 5), (5, 5, 5), (6, 5, 4), (9.5, 5, 0.5), (9.5, 0.25, 0.25)],
)
def test_an_attempt_gets_the_smaller_of_its_timeout_and_what_is_left(
    clock: Clock, spent: float, timeout: float, granted: float
) -> None:
    deadline.begin()
    clock.now += spent
    assert deadline.attempt(timeout) == granted


@pytest.mark.parametrize("spent", [9.99, 10, 10.01, 3600])
def test_no_attempt_begins_without_time_left(clock: Clock, spent: float) -> None:
    deadline.begin()
    clock.now += spent
    with pytest.raises(deadline.OutOfTime):
        deadline.attempt(5)


def test_the_next_request_starts_with_a_full_budget(clock: Clock) -> None:
    deadline.begin(15)
    clock.now += 15
    deadline.end()
    deadline.begin()
    assert deadline.remaining() == 10


def test_two_requests_at_once_each_have_their_own_budget(clock: Clock) -> None:
    one, other = contextvars.copy_context(), contextvars.copy_context()
    one.run(deadline.begin)
    clock.now += 3
    other.run(deadline.begin, 15)
    clock.now += 1
    assert one.run(deadline.remaining) == 6
    assert other.run(deadline.remaining) == 14
    assert deadline.remaining() is None


# A part of it


@pytest.mark.parametrize(("spent", "granted"), [(0, 2), (8, 2), (9, 1), (9.75, 0.25)])
def test_a_block_may_take_a_part_of_what_is_left(
    clock: Clock, spent: float, granted: float
) -> None:
    deadline.begin()
    clock.now += spent
    with deadline.within(2):
        assert deadline.remaining() == granted
        clock.now += 0.25
        assert deadline.remaining() == granted - 0.25
    assert deadline.remaining() == 10 - spent - 0.25


def test_a_block_inside_a_block_never_gets_more_time(clock: Clock) -> None:
    deadline.begin()
    with deadline.within(3):
        clock.now += 2
        with deadline.within(5):
            assert deadline.remaining() == 1
            with deadline.within(0.5):
                assert deadline.remaining() == 0.5
            clock.now += 0.25
            assert deadline.remaining() == 0.75
        assert deadline.remaining() == 0.75
    assert deadline.remaining() == 7.75


def test_a_block_is_over_with_its_error_too(clock: Clock) -> None:
    deadline.begin()
    with pytest.raises(ZeroDivisionError), deadline.within(2):
        clock.now += 3
        raise ZeroDivisionError
    assert deadline.remaining() == 7


def test_a_spent_block_is_not_a_spent_request(clock: Clock) -> None:
    deadline.begin()
    with deadline.within(2):
        clock.now += 2
        assert deadline.is_spent()
        with pytest.raises(deadline.OutOfTime):
            deadline.attempt(1)
    assert not deadline.is_spent()


def test_a_block_of_a_command_has_a_budget_and_the_command_none(clock: Clock) -> None:
    with deadline.within(2):
        clock.now += 1
        assert deadline.remaining() == 1
    assert deadline.remaining() is None
    assert not deadline.is_spent()


@pytest.mark.parametrize(
    ("spent", "is_spent"), [(9.9, False), (9.96, True), (10, True), (11, True)]
)
def test_a_budget_is_spent_when_no_attempt_fits(clock: Clock, spent: float, is_spent: bool) -> None:
    deadline.begin()
    clock.now += spent
    assert deadline.is_spent() is is_spent


# Again and again


@pytest.fixture
def pauses(clock: Clock) -> list[float]:
    """What was slept; the clock moves by it, and by the second that a round takes."""
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock.now += 1

    clock.sleep = sleep  # type: ignore[attr-defined]
    return slept


def rounds_of(tries: Iterator[int]) -> list[int]:
    seen = []
    with pytest.raises(deadline.OutOfTime):
        for number in tries:
            seen.append(number)
    return seen


def test_rounds_are_counted_until_the_budget_ends(clock: Clock, pauses: list[float]) -> None:
    deadline.begin(5)
    assert rounds_of(deadline.rounds()) == [0, 1, 2, 3, 4, 5]
    assert len(pauses) == 5
    assert all(0 <= pause <= 0.1 for pause in pauses)


def test_the_first_round_begins_at_once_even_without_time(pauses: list[float]) -> None:
    deadline.begin(0)
    assert rounds_of(deadline.rounds()) == [0]
    assert pauses == []


def test_a_pause_is_never_longer_than_what_is_left(clock: Clock, pauses: list[float]) -> None:
    deadline.begin(10)
    clock.now += 9.94
    assert rounds_of(deadline.rounds()) == [0, 1]
    assert pauses[0] <= 0.06


def test_a_command_goes_on_as_long_as_it_takes(pauses: list[float]) -> None:
    for number in deadline.rounds():
        if number == 100:
            break
    assert len(pauses) == 100
    assert len(set(pauses)) > 50  # each its own, lest two that collided collide again
