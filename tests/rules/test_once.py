"""What a process does once per thing and period, on a clock that the test moves."""

import threading

import pytest
from alone import Clock

from portal_service import once
from portal_service.once import Once


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(once, "time", clock)
    return clock


def test_a_thing_is_done_once() -> None:
    told = Once()
    assert [told.first("a"), told.first("a"), told.first("b"), told.first("a")] == [
        True, False, True, False,
    ]  # fmt: skip


def test_without_a_period_it_stays_done_for_ever(clock: Clock) -> None:
    told = Once()
    assert told.first("a")
    clock.now += 10 * 365 * 86_400
    assert not told.is_due("a")


@pytest.mark.parametrize(("passed", "due"), [(0, False), (59.9, False), (60.1, True), (9e9, True)])
def test_after_its_period_it_is_due_again(clock: Clock, passed: float, due: bool) -> None:
    asked = Once(60)
    asked.mark("a")
    clock.now += passed
    assert asked.is_due("a") is due
    assert asked.first("a") is due
    assert not asked.is_due("a")


def test_asking_whether_it_is_due_does_not_do_it() -> None:
    asked = Once()
    assert asked.is_due("a")
    assert asked.is_due("a")


def test_each_mark_begins_the_period_anew(clock: Clock) -> None:
    asked = Once(60)
    for _ in range(3):
        asked.mark("a")
        clock.now += 40
    assert not asked.is_due("a")
    clock.now += 30
    assert asked.is_due("a")


def test_the_oldest_things_are_forgotten_when_there_are_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(once, "_MOST", 3)
    told = Once()
    for thing in ("a", "b", "a", "c", "d"):
        told.mark(thing)
    assert len(told._done) == 3
    assert [thing for thing in "abcd" if told.is_due(thing)] == ["b"]  # marked longest ago


def test_a_year_of_things_takes_no_more_room_than_a_day() -> None:
    told = Once()
    for number in range(3 * once._MOST):
        told.mark(number)
    assert len(told._done) == once._MOST
    assert not told.is_due(3 * once._MOST - 1)
    assert told.is_due(0)


def test_many_threads_may_do_it_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(once, "_MOST", 50)
    told, wrong = Once(), []

    def work(offset: int) -> None:
        try:
            for number in range(500):
                told.first((offset + number) % 90)
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(offset,)) for offset in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert wrong == []
    assert len(told._done) <= 50
