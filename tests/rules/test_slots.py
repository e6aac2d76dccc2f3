"""How many threads may wait for which vendor, and when a vendor is left alone."""

import threading
from contextlib import ExitStack

import pytest
from alone import Log
from prometheus_client import REGISTRY
from service_under_test import wait_until_waiting

from portal_service import slots
from portal_service.deadline import OutOfTime
from portal_service.slots import (
    REST_SECONDS,
    TIMEOUTS_IN_A_ROW,
    WAIT_SECONDS,
    NoSlot,
    Slots,
    TimedOut,
)


class Clock:
    now = 5000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(slots, "time", clock)
    return clock


@pytest.fixture(autouse=True)
def nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "WAIT_SECONDS", 0.0)


def places(of: Slots, vendor: str, stack: ExitStack) -> int:
    """How many find a place, all at once."""
    for found in range(1000):
        try:
            stack.enter_context(of.asking(vendor))
        except NoSlot as error:
            assert error.reason == "busy"
            return found
    raise AssertionError("no end of places")


def refusal(of: Slots, vendor: str = "stripe") -> str:
    with pytest.raises(NoSlot) as refused, of.asking(vendor):
        pass
    return refused.value.reason


def ends_in(of: Slots, error: Exception, vendor: str = "stripe") -> None:
    with pytest.raises(type(error)), of.asking(vendor):
        raise error


@pytest.mark.parametrize(
    ("threads", "stripe", "database_beside"),
    [(1, 1, 0), (2, 1, 0), (4, 2, 1), (8, 6, 1), (16, 12, 2), (64, 48, 8)],
)
def test_three_quarters_wait_for_stripe_and_seven_eighths_for_all(
    threads: int, stripe: int, database_beside: int
) -> None:
    of = Slots(threads)
    with ExitStack() as stack:
        assert places(of, "stripe", stack) == stripe
        assert places(of, "supabase", stack) == database_beside
        assert places(of, "clerk", stack) == 0
    assert of.waiting("stripe") == of.waiting("supabase") == 0


def test_one_thread_at_most_fetches_clerks_keys() -> None:
    with ExitStack() as stack:
        assert places(Slots(64), "clerk", stack) == 1


def test_who_waits_for_another_threads_question_takes_a_place() -> None:
    of = Slots(4)
    with of.joining("stripe"), of.asking("stripe"):
        assert refusal(of) == "busy"
        with pytest.raises(NoSlot), of.joining("stripe"):
            pass
    with of.asking("stripe"):
        assert of.waiting("stripe") == 1


def test_a_look_in_the_background_takes_nobodys_place_and_lets_a_vendor_rest(clock: Clock) -> None:
    of = Slots(2)
    with of.asking("stripe"), slots.background(), of.asking("stripe"):
        assert of.waiting("stripe") == 1
    with slots.background(), of.asking("stripe"):
        assert of.waiting("stripe") == 0
    for _ in range(TIMEOUTS_IN_A_ROW):
        ends_in(of, TimedOut())
    with slots.background():
        assert refusal(of) == "resting"


def test_a_vendor_that_times_out_five_times_is_left_alone_for_five_seconds(clock: Clock) -> None:
    of = Slots(8)
    for _ in range(TIMEOUTS_IN_A_ROW):
        ends_in(of, TimedOut())
    assert refusal(of) == "resting"
    with of.asking("supabase"):
        pass  # the others are asked as before
    with of.joining("stripe"):
        pass  # and a question that is on its way may be waited for
    clock.now += REST_SECONDS - 0.1
    assert refusal(of) == "resting"
    clock.now += 0.1
    with of.asking("stripe"):
        assert refusal(of) == "resting"  # one tries for all
    with of.asking("stripe"), of.asking("stripe"):
        pass


def test_who_would_work_for_nothing_is_told_of_a_rest_and_takes_no_place(clock: Clock) -> None:
    of = Slots(8)
    for _ in range(TIMEOUTS_IN_A_ROW):
        of.refuse_while_resting("stripe")
        ends_in(of, TimedOut())
    with pytest.raises(NoSlot, match="resting"):
        of.refuse_while_resting("stripe")
    of.refuse_while_resting("supabase")
    clock.now += REST_SECONDS
    of.refuse_while_resting("stripe")
    of.refuse_while_resting("stripe")  # which is not the one that tries
    with of.asking("stripe"), pytest.raises(NoSlot, match="resting"):
        of.refuse_while_resting("stripe")
    of.refuse_while_resting("stripe")
    assert of.waiting("stripe") == 0


def test_one_that_tries_in_vain_begins_the_rest_again(clock: Clock) -> None:
    of = Slots(8)
    for _ in range(TIMEOUTS_IN_A_ROW):
        ends_in(of, TimedOut())
    clock.now += REST_SECONDS
    ends_in(of, TimedOut())
    assert refusal(of) == "resting"
    clock.now += REST_SECONDS
    ends_in(of, OutOfTime())  # nothing is learned: the next one tries
    with of.asking("stripe"):
        pass
    with of.asking("stripe"):
        pass


def test_a_rest_is_a_gauge_until_the_vendor_answers(clock: Clock) -> None:
    def resting() -> float:
        return REGISTRY.get_sample_value("portal_vendor_resting", {"vendor": "supabase"}) or 0.0

    of, before = Slots(8), resting()
    for _ in range(TIMEOUTS_IN_A_ROW + 1):
        assert resting() == before
        with pytest.raises((TimedOut, NoSlot)), of.asking("supabase"):
            raise TimedOut()
        if of._vendors["supabase"].timeouts >= TIMEOUTS_IN_A_ROW:
            break
    assert resting() == before + 1
    clock.now += REST_SECONDS
    with pytest.raises(TimedOut), of.asking("supabase"):
        raise TimedOut()
    assert resting() == before + 1
    clock.now += REST_SECONDS
    with of.asking("supabase"):
        pass
    assert resting() == before


@pytest.mark.parametrize("between", [None, ConnectionError("refused")])
def test_time_outs_count_in_a_row_alone(clock: Clock, between: Exception | None) -> None:
    of = Slots(8)
    for _ in range(TIMEOUTS_IN_A_ROW - 1):
        ends_in(of, TimedOut())
    if between:
        ends_in(of, between)
    else:
        with of.asking("stripe"):
            pass
    ends_in(of, TimedOut())
    with of.asking("stripe"):
        pass


@pytest.mark.parametrize("error", [TimedOut(counts=False), OutOfTime()])
def test_the_end_of_our_own_budget_says_nothing_of_the_vendor(
    clock: Clock, error: Exception
) -> None:
    of = Slots(8)
    for _ in range(TIMEOUTS_IN_A_ROW - 1):
        ends_in(of, TimedOut())
    for _ in range(9):
        ends_in(of, error)
    ends_in(of, TimedOut())
    assert refusal(of) == "resting"


def test_a_burst_waits_for_its_turn_at_a_vendor_that_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(slots, "WAIT_SECONDS", 30.0)
    of, got = Slots(1), []

    def ask() -> None:
        with of.asking("supabase"):
            got.append("a place")

    late = threading.Thread(target=ask)
    with of.asking("stripe"):
        late.start()
        wait_until_waiting([late])
        assert not got
    late.join(30)
    assert got == ["a place"]


def test_at_a_vendor_that_gives_no_answers_nobody_waits(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots, "WAIT_SECONDS", WAIT_SECONDS)
    of = Slots(2)
    with of.asking("stripe"):
        clock.now += WAIT_SECONDS
        assert refusal(of) == "busy"  # with a clock that stands still a wait would be for ever


def test_a_rest_is_told_once_and_its_end_with_the_number_of_refusals(
    clock: Clock, log: Log
) -> None:
    of = Slots(8)
    for _ in range(TIMEOUTS_IN_A_ROW):
        ends_in(of, TimedOut())
    for _ in range(7):
        refusal(of)
    clock.now += REST_SECONDS
    ends_in(of, TimedOut())  # it tries in vain
    clock.now += REST_SECONDS
    with of.asking("stripe"):
        pass
    assert log.messages == ["a vendor does not answer and is left alone", "a vendor answers again"]
    assert log.fields("a vendor answers again") == {"vendor": "stripe", "refused": 7}


def test_taken_threads_are_told_once_a_minute(clock: Clock, log: Log) -> None:
    of = Slots(2)
    with of.asking("stripe"):
        for _ in range(9):
            refusal(of)
        clock.now += 61
        refusal(of)
    assert [record.fields["refused"] for record in log.records] == [1, 9]  # type: ignore[attr-defined]
