"""Vendors that answer late or never: a call ends with its own timeout, or with the budget of the
request, whichever is sooner, and whoever waits for another's question waits no longer either.

With a clock that stands still: tests/rules/test_deadline.py, tests/vendors/test_stripe_api.py. Here
a vendor that is waited for too long gives a good answer in the end, which turns a test red.
"""

import threading
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from prometheus_client import REGISTRY
from service_under_test import MakeService, OtherStripe, Service, last_event, link, refused, rows
from werkzeug.test import TestResponse

from portal_service import deadline
from sandbox.world import World

BUDGET = 2.5  # seconds, in which also a busy machine asks the database


def test_a_database_that_is_slow_is_unavailable_after_its_timeout(
    world: World, make_service: MakeService, ada: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.faults.SLOW_SECONDS", 0.5)
    world.faults.database = "slow"
    refused(make_service(database_timeout=0.1).status(), "database_unavailable")


@pytest.fixture
def stuck_stripe(other_stripe: OtherStripe) -> Iterator[OtherStripe]:
    """A Stripe that does what it is told and does not answer before the test is over."""
    over = threading.Event()
    other_stripe.faults.stripe = "slow"
    other_stripe.slowly = lambda seconds: over.wait(20) and None
    yield other_stripe
    over.set()


@pytest.fixture
def patient(service_at: Callable[..., Service], stuck_stripe: OtherStripe) -> Service:
    """A service that would wait longer for one call to Stripe than the stuck one takes."""
    return service_at(stuck_stripe, stripe_timeout=30.0)


def test_a_stripe_that_is_slow_is_unavailable_after_its_timeout_and_one_retry(
    world: World, service_at: Callable[..., Service], stuck_stripe: OtherStripe
) -> None:
    link(world, stuck_stripe.state.create_customer()["id"])

    refused(service_at(stuck_stripe, stripe_timeout=0.5).portal(), "stripe_unavailable")
    assert 1 <= len(stuck_stripe.state.portal_sessions) <= 2


@pytest.mark.parametrize("path", ["portal", "checkout"])
def test_while_stripe_is_left_alone_the_database_is_not_asked_for_nothing(
    world: World,
    service_at: Callable[..., Service],
    stuck_stripe: OtherStripe,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
) -> None:
    monkeypatch.setattr("portal_service.transport._TELLING_SECONDS", 0.1)
    monkeypatch.setattr("portal_service.slots.TIMEOUTS_IN_A_ROW", 1)
    monkeypatch.setattr("portal_service.slots.REST_SECONDS", 300.0)
    link(world, stuck_stripe.state.create_customer()["id"])
    service = service_at(stuck_stripe, stripe_timeout=0.3)
    ask = getattr(service, path)
    refused(ask(), "stripe_unavailable")

    world.faults.database = "down"
    before = refusals()
    refused(ask(), "stripe_unavailable")
    assert refusals() == before + 1
    refused(service.status(), "database_unavailable")


def refusals() -> float:
    labels = {"vendor": "stripe", "call": "any", "reason": "resting"}
    return REGISTRY.get_sample_value("portal_vendor_refused_total", labels) or 0.0


@pytest.mark.parametrize("path", ["portal", "checkout", "webhook"])
def test_an_attempt_gets_no_more_than_what_is_left_of_the_budget(
    world: World,
    patient: Service,
    stuck_stripe: OtherStripe,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
) -> None:
    monkeypatch.setattr(deadline, "begin", partial(deadline.begin, BUDGET))
    monkeypatch.setattr(deadline, "CHECKOUT_SECONDS", BUDGET)
    link(world, stuck_stripe.state.create_customer()["id"])
    if path == "webhook":
        stuck_stripe.state.create_subscription("user_ada", "price_pro")
        answer = patient.deliver(last_event(stuck_stripe.state))
    else:
        answer = getattr(patient, path)()

    refused(answer, "stripe_unavailable")
    assert rows(world) == {}


def test_checkout_has_a_longer_budget_than_the_other_calls(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.shown()  # Clerk's keys are there
    monkeypatch.setattr(deadline, "begin", partial(deadline.begin, 0.0))

    assert service.portal().status_code == 503
    assert service.refresh().status_code == 503
    assert service.checkout().status_code == 200


def test_who_waits_for_anothers_question_to_stripe_waits_within_the_own_budget(
    world: World, patient: Service, stuck_stripe: OtherStripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadline, "begin", partial(deadline.begin, BUDGET))
    patient.shown()  # Clerk's keys are there
    link(world, stuck_stripe.state.create_customer()["id"])
    answers: list[TestResponse] = []
    threads = [threading.Thread(target=lambda: answers.append(patient.refresh())) for _ in range(4)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Who leads anew with the last of its time may spend it at the database: that is a 503 too.
    assert [answer.status_code for answer in answers] == [503] * 4
