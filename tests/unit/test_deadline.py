"""The budget of a request, on a clock that the test moves."""

import contextvars
from types import SimpleNamespace

import pytest

from portal_service import deadline


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(deadline, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


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
