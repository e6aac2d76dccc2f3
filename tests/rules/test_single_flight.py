"""Who shares whose run of the work. Threads meet at events; nobody sleeps."""

import itertools
import sys
import threading
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from portal_service import deadline
from portal_service.errors import ServiceError
from portal_service.single_flight import Flight, SingleFlight

PATIENCE = 20  # seconds after which a test is stuck


class Watched(SingleFlight[Any]):
    """Tells when a call has found its flight."""

    def __init__(self) -> None:
        super().__init__()
        self.boarded = threading.Semaphore(0)

    def _board(self, key: Hashable, hint: str | None) -> tuple[Flight[Any], bool]:
        found = super()._board(key, hint)
        self.boarded.release()
        return found

    def wait_for(self, calls: int) -> None:
        for _ in range(calls):
            assert self.boarded.acquire(timeout=PATIENCE)


class Work:
    """Work that stands still before and after it departs, until it is told to go on."""

    def __init__(self, result: Any = None) -> None:
        self.result = result
        self.began, self.may_depart = threading.Event(), threading.Event()
        self.departed, self.may_end = threading.Event(), threading.Event()
        self.runs = 0
        self.hints: list[str] = []

    def __call__(self, flight: Flight[Any]) -> Any:
        self.runs += 1
        self.began.set()
        assert self.may_depart.wait(PATIENCE)
        flight.depart()
        self.departed.set()
        assert self.may_end.wait(PATIENCE)
        self.hints = list(flight.hints)
        if isinstance(self.result, Exception):
            raise self.result
        return self.result

    def go_on(self) -> None:
        self.may_depart.set()
        self.may_end.set()


@pytest.fixture
def flights() -> Watched:
    return Watched()


@pytest.fixture
def call() -> Any:
    """Make a call in a thread of its own."""
    with ThreadPoolExecutor(16) as pool:
        yield pool.submit


def outcome(future: "Future[Any]") -> Any:
    return future.result(PATIENCE)


def unused(_: Flight[Any]) -> Any:
    raise AssertionError("this call should have joined")


def at_once(result: Any) -> Callable[[Flight[Any]], Any]:
    def work(flight: Flight[Any]) -> Any:
        flight.depart()
        return result

    return work


def test_a_call_alone_does_the_work_and_has_its_result(flights: Watched) -> None:
    assert flights.run("a", at_once(1)) == 1
    assert flights.run("a", at_once(2)) == 2


def test_calls_before_the_departure_share_one_run(flights: Watched, call: Any) -> None:
    work = Work(result := object())
    first = call(flights.run, "a", work)
    work.began.wait(PATIENCE)
    others = [call(flights.run, "a", unused) for _ in range(5)]
    flights.wait_for(6)
    work.go_on()
    assert all(outcome(each) is result for each in (first, *others))
    assert work.runs == 1


def test_a_call_after_the_departure_waits_and_does_the_work_again(
    flights: Watched, call: Any
) -> None:
    first_work, second_work = Work("old"), Work("new")
    first = call(flights.run, "a", first_work)
    first_work.may_depart.set()
    assert first_work.departed.wait(PATIENCE)
    second = call(flights.run, "a", second_work)
    flights.wait_for(2)
    assert not second_work.began.is_set()  # at most one looks at the outside world
    second_work.go_on()
    first_work.may_end.set()
    assert (outcome(first), outcome(second)) == ("old", "new")


def test_calls_after_the_departure_share_the_next_run(flights: Watched, call: Any) -> None:
    first_work, second_work = Work("old"), Work("new")
    first = call(flights.run, "a", first_work)
    first_work.may_depart.set()
    assert first_work.departed.wait(PATIENCE)
    second = call(flights.run, "a", second_work)
    flights.wait_for(2)
    others = [call(flights.run, "a", unused) for _ in range(4)]
    flights.wait_for(4)
    first_work.may_end.set()
    second_work.go_on()
    assert outcome(first) == "old"
    assert [outcome(each) for each in (second, *others)] == ["new"] * 5
    assert (first_work.runs, second_work.runs) == (1, 1)


def test_a_second_departure_of_the_same_run_changes_nothing(flights: Watched, call: Any) -> None:
    """A refresh that lost its write asks again, within the same run."""
    again = threading.Event()
    next_work = Work("new")

    def work(flight: Flight[Any]) -> str:
        flight.depart()
        assert again.wait(PATIENCE)
        flight.depart()
        return "old"

    first = call(flights.run, "a", work)
    flights.wait_for(1)
    second = call(flights.run, "a", next_work)
    flights.wait_for(1)
    again.set()
    next_work.may_depart.set()
    assert outcome(first) == "old"
    assert next_work.departed.wait(PATIENCE)
    third = call(flights.run, "a", at_once("newest"))
    flights.wait_for(1)
    next_work.may_end.set()
    assert (outcome(second), outcome(third)) == ("new", "newest")


def test_different_keys_do_not_wait_for_each_other(flights: Watched, call: Any) -> None:
    work = Work("a")
    first = call(flights.run, "a", work)
    assert work.began.wait(PATIENCE)
    assert flights.run("b", at_once("b")) == "b"
    work.may_depart.set()
    assert work.departed.wait(PATIENCE)
    assert flights.run("b", at_once("b")) == "b"
    work.go_on()
    assert outcome(first) == "a"


def test_an_error_is_shared_and_then_forgotten(flights: Watched, call: Any) -> None:
    work = Work(error := ValueError("no"))
    calls = [call(flights.run, "a", work)]
    assert work.began.wait(PATIENCE)
    calls += [call(flights.run, "a", unused) for _ in range(3)]
    flights.wait_for(4)
    work.go_on()
    for each in calls:
        assert each.exception(PATIENCE) is error
    assert flights.run("a", at_once("good")) == "good"


def test_an_error_of_the_run_before_is_not_that_of_the_next(flights: Watched, call: Any) -> None:
    work = Work(ValueError("no"))
    first = call(flights.run, "a", work)
    work.may_depart.set()
    assert work.departed.wait(PATIENCE)
    second = call(flights.run, "a", at_once("good"))
    flights.wait_for(2)
    work.may_end.set()
    assert outcome(second) == "good"
    assert isinstance(first.exception(PATIENCE), ValueError)


@pytest.mark.parametrize("departs", [True, False])
@pytest.mark.parametrize("fails", [True, False])
def test_the_key_is_free_after_every_kind_of_end(
    flights: Watched, departs: bool, fails: bool
) -> None:
    def work(flight: Flight[Any]) -> str:
        if departs:
            flight.depart()
        if fails:
            raise ValueError
        return "done"

    for _ in range(3):
        if fails:
            with pytest.raises(ValueError):
                flights.run("a", work)
        else:
            assert flights.run("a", work) == "done"
    assert (flights._boarding, flights._flying) == ({}, {})


def test_hints_reach_the_one_run_in_their_order_and_no_other(flights: Watched, call: Any) -> None:
    first_work, second_work = Work(), Work()
    calls = [call(flights.run, "a", first_work, "one")]
    flights.wait_for(1)
    for hint in ("two", None, "three"):
        calls.append(call(flights.run, "a", unused, hint))
        flights.wait_for(1)
    first_work.may_depart.set()
    assert first_work.departed.wait(PATIENCE)
    calls.append(call(flights.run, "a", second_work, "four"))
    flights.wait_for(1)
    first_work.may_end.set()
    second_work.go_on()
    for each in calls:
        outcome(each)
    assert (first_work.hints, second_work.hints) == (["one", "two", "three"], ["four"])


# Time


def test_one_of_those_with_time_left_leads_when_the_leader_runs_out_of_it(
    flights: Watched, call: Any
) -> None:
    hopeless, again = Work(deadline.OutOfTime()), itertools.count(1)

    def work(flight: Flight[Any]) -> int:
        flight.depart()
        return next(again)

    leader = call(flights.run, "a", hopeless)
    assert hopeless.began.wait(PATIENCE)
    others = [call(flights.run, "a", work, f"hint {i}") for i in range(3)]
    flights.wait_for(4)
    hopeless.go_on()
    assert isinstance(leader.exception(PATIENCE), deadline.OutOfTime)
    assert all(outcome(each) in (1, 2, 3) for each in others)


@pytest.mark.parametrize("budget", [0, None], ids=["spent", "none"])
def test_whatever_the_leader_failed_with_when_its_time_was_over_is_its_own(
    flights: Watched, call: Any, budget: float | None
) -> None:
    """A call that runs out of time often fails with what it was doing then."""
    failed = Work(ServiceError("stripe_unavailable"))
    leader = call(with_budget, budget, lambda: flights.run("a", failed))
    assert failed.began.wait(PATIENCE)
    others = [call(flights.run, "a", at_once("done")) for _ in range(3)]
    flights.wait_for(4)
    failed.go_on()
    assert isinstance(leader.exception(PATIENCE), ServiceError)
    if budget is None:  # a failure that was not for want of time is everybody's
        assert all(isinstance(each.exception(PATIENCE), ServiceError) for each in others)
    else:
        assert [outcome(each) for each in others] == ["done"] * 3


def test_what_a_leader_found_with_its_last_moment_is_everybodys(
    flights: Watched, call: Any
) -> None:
    work = Work("found")
    leader = call(with_budget, 0, lambda: flights.run("a", work))
    assert work.began.wait(PATIENCE)
    other = call(flights.run, "a", at_once("asked again"))
    flights.wait_for(2)
    work.go_on()
    assert outcome(leader) == "found"
    assert outcome(other) in ("found", "asked again")


def with_budget(seconds: float | None, run: Callable[[], Any]) -> Any:
    if seconds is not None:
        deadline.begin(seconds)
    try:
        return run()
    finally:
        deadline.end()


def test_whoever_has_no_time_left_does_not_wait(flights: Watched, call: Any) -> None:
    work = Work("done")
    leader = call(flights.run, "a", work)
    assert work.began.wait(PATIENCE)
    with pytest.raises(deadline.OutOfTime):
        with_budget(0, lambda: flights.run("a", unused))
    work.may_depart.set()
    assert work.departed.wait(PATIENCE)
    with pytest.raises(deadline.OutOfTime):  # nor for the run before its own
        with_budget(0, lambda: flights.run("a", unused))
    work.may_end.set()
    assert outcome(leader) == "done"
    assert flights.run("a", at_once("next")) == "next"


def test_whoever_joined_a_hopeless_run_without_time_left_is_out_of_time_too(
    flights: Watched, call: Any
) -> None:
    hopeless = Work(deadline.OutOfTime())
    leader = call(flights.run, "a", hopeless)
    assert hopeless.began.wait(PATIENCE)
    joined = call(with_budget, 0.04, lambda: flights.run("a", unused))
    flights.wait_for(2)
    hopeless.go_on()
    assert isinstance(joined.exception(PATIENCE), deadline.OutOfTime)
    assert isinstance(leader.exception(PATIENCE), deadline.OutOfTime)


# All together


@pytest.fixture
def restless_threads() -> Iterator[None]:
    """Threads that give way after almost every step."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("restless_threads")
def test_in_any_crowd_one_flies_and_all_that_is_seen_is_newer_than_the_question() -> None:
    flights: SingleFlight[int] = SingleFlight()
    world = itertools.count()  # each look at the outside world, and each question, has its number
    in_the_air = {"a": 0, "b": 0}
    wrong: list[str] = []
    barrier = threading.Barrier(8)

    def caller(number: int) -> None:
        key = "ab"[number % 2]

        def work(flight: Flight[int]) -> int:
            flight.depart()
            in_the_air[key] += 1
            if in_the_air[key] != 1:
                wrong.append("two in the air")
            seen = next(world)
            in_the_air[key] -= 1
            if seen % 7 == 0:
                raise ValueError(seen)
            return seen

        barrier.wait(PATIENCE)
        for _ in range(100):
            asked = next(world)
            try:
                seen = flights.run(key, work)
            except ValueError as error:
                seen = error.args[0]
            if seen <= asked:
                wrong.append(f"asked {asked}, saw {seen}")

    threads = [threading.Thread(target=caller, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert wrong == []
    assert (flights._boarding, flights._flying) == ({}, {})
