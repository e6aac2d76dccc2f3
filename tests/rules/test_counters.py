"""The counters of rate limits, by a clock that the test moves."""

import limits
import pytest
from limits.strategies import FixedWindowRateLimiter

from portal_service import counters
from portal_service.counters import Counters

TWO = limits.parse("2/minute")


class Clock:
    now = 1_800_000_000.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(counters, "time", clock)
    return clock


@pytest.fixture
def limiter(clock: Clock) -> FixedWindowRateLimiter:
    return FixedWindowRateLimiter(Counters())


def test_a_window_begins_with_its_first_call_and_ends(
    limiter: FixedWindowRateLimiter, clock: Clock
) -> None:
    assert [limiter.hit(TWO, "ada") for _ in range(3)] == [True, True, False]
    assert limiter.get_window_stats(TWO, "ada").reset_time == clock.now + 60
    clock.now += 59.9
    assert not limiter.hit(TWO, "ada")
    clock.now += 0.2
    assert limiter.get_window_stats(TWO, "ada").remaining == 2
    assert [limiter.hit(TWO, "ada") for _ in range(3)] == [True, True, False]


def test_each_key_has_a_window_of_its_own(limiter: FixedWindowRateLimiter) -> None:
    assert [limiter.hit(TWO, who) for who in ("ada", "ada", "eve", "ada")] == [1, 1, 1, 0]


def test_windows_that_have_ended_are_forgotten(
    limiter: FixedWindowRateLimiter, clock: Clock
) -> None:
    for number in range(100):
        limiter.hit(TWO, f"user {number}")
    clock.now += 61
    limiter.hit(TWO, "ada")
    assert len(limiter.storage._counts) == 1  # type: ignore[attr-defined]


def test_all_or_one_can_be_forgotten(limiter: FixedWindowRateLimiter) -> None:
    for who in ("ada", "ada", "eve"):
        limiter.hit(TWO, who)
    limiter.clear(TWO, "ada")
    assert limiter.hit(TWO, "ada")
    assert limiter.storage.reset() == 2
    assert limiter.get_window_stats(TWO, "eve").remaining == 2
    assert limiter.storage.check()
