"""What a user's refresh asks for, and whose purchase it takes in."""

import threading
from typing import Any

import pytest

from portal_service import refresh as refreshing
from portal_service.errors import ServiceError
from portal_service.single_flight import SingleFlight
from portal_service.stripe_api import CustomerMissing, NotAtStripe, StripeUnavailable
from portal_service.subscription import Account

from .given import account, checkout_session, row

Json = dict[str, Any]
SESSION = {"checkout_session_id": "cs_test_1"}


class FakeServices:
    """An account, Stripe's customers and sessions, and what was asked for."""

    def __init__(self, held: Account) -> None:
        self.database = self.stripe = self.mirror = self
        self.refreshes: SingleFlight[None] = SingleFlight()
        self.held = held
        self.sessions: dict[str, Json] = {}
        self.lost: set[str] = set()
        self.asked: list[str] = []
        self.taken_in: list[str] = []

    def account(self, clerk_user_id: str) -> Account:
        assert clerk_user_id == "user_ada"
        return self.held

    def checkout_session(self, session_id: str) -> Json:
        self.asked.append(session_id)
        if session_id not in self.sessions:
            raise NotAtStripe(None)
        return self.sessions[session_id]

    def apply_checkout(self, session: Json) -> str:
        self.taken_in.append(session["id"])
        return "refreshed"

    def refresh_customer(self, customer: str, rows: Any) -> list[Json]:
        assert rows == self.held.rows
        self.asked.append(customer)
        if customer in self.lost:
            raise CustomerMissing
        return []

    def refresh(self, **fields: Any) -> None:
        refreshing.refresh(self, "user_ada", fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("held", "asked"),
    [
        pytest.param(account(), [], id="nobody's customer"),
        pytest.param(account(linked_customer="cus_1"), ["cus_1"], id="linked"),
        pytest.param(account(row(), row(status="canceled")), ["cus_1"], id="of two rows"),
        pytest.param(
            account(row(stripe_customer_id="cus_2"), row(), linked_customer="cus_1"),
            ["cus_1", "cus_2"],
            id="of both",
        ),
        pytest.param(account(row(stripe_customer_id=None)), [], id="a row without one"),
    ],
)
def test_every_customer_of_the_caller_is_asked_for_once(held: Account, asked: list[str]) -> None:
    services = FakeServices(held)
    services.refresh()
    assert services.asked == asked


def test_a_customer_whom_stripe_lost_does_not_hide_the_others() -> None:
    services = FakeServices(account(row(), linked_customer="cus_lost"))
    services.lost.add("cus_lost")
    services.refresh()
    assert services.asked == ["cus_lost", "cus_1"]


@pytest.mark.parametrize(
    ("session", "held"),
    [
        pytest.param(checkout_session(), account(), id="by our metadata"),
        pytest.param(checkout_session(metadata={}), account(row()), id="by the row's customer"),
        pytest.param(
            checkout_session(metadata={}, customer={"id": "cus_1"}),
            account(linked_customer="cus_1"),
            id="by the linked customer",
        ),
    ],
)
def test_the_callers_own_purchase_is_taken_in(session: Json, held: Account) -> None:
    services = FakeServices(held)
    services.sessions["cs_test_1"] = session
    services.refresh(**SESSION)
    assert services.taken_in == ["cs_test_1"]


@pytest.mark.parametrize(
    "session",
    [
        pytest.param(None, id="unknown"),
        pytest.param(checkout_session(status="open"), id="open"),
        pytest.param(checkout_session(status="expired"), id="expired"),
        pytest.param(
            checkout_session(customer="cus_eve", metadata={"clerk_user_id": "user_eve"}),
            id="foreign",
        ),
        pytest.param(checkout_session(customer="cus_eve", metadata={}), id="by reference alone"),
        pytest.param(checkout_session(customer=None, metadata=None), id="nobody's"),
    ],
)
@pytest.mark.parametrize("held", [account(), account(row())])
def test_another_session_changes_nothing_and_nobody_is_told(
    session: Json | None, held: Account
) -> None:
    services = FakeServices(held)
    if session:
        services.sessions["cs_test_1"] = session
    services.refresh(**SESSION)
    assert services.taken_in == []


def test_a_session_id_of_another_form_is_refused_before_anything_is_asked() -> None:
    services = FakeServices(account(row()))
    with pytest.raises(ServiceError) as refused:
        services.refresh(checkout_session_id="../cs_1")
    assert refused.value.code == "invalid_request"
    assert services.asked == []


def test_a_failure_of_stripes_is_handed_on() -> None:
    services = FakeServices(account(row()))

    def fail(customer: str, rows: Any) -> list[Json]:
        raise StripeUnavailable

    services.refresh_customer = fail  # type: ignore[method-assign]
    with pytest.raises(StripeUnavailable):
        services.refresh()


def test_impatient_clicks_share_the_work() -> None:
    services = FakeServices(account(row()))
    reading, answer, boarded = threading.Event(), threading.Event(), threading.Semaphore(0)
    board = services.refreshes._board

    def watched(*arguments: Any) -> Any:
        found = board(*arguments)
        boarded.release()
        return found

    def slow_account(clerk_user_id: str) -> Account:
        reading.set()
        assert answer.wait(20)
        return services.held

    services.refreshes._board = watched  # type: ignore[method-assign]
    services.account = slow_account  # type: ignore[method-assign]
    clicks = [threading.Thread(target=services.refresh) for _ in range(6)]
    for click in clicks:
        click.start()
    for _ in clicks:
        assert boarded.acquire(timeout=20)
    assert reading.wait(20)
    answer.set()
    for click in clicks:
        click.join(20)
    assert services.asked == ["cus_1"]
