"""Whose portal is opened, with what, and where it leads back to."""

from typing import Any

import pytest

from portal_service import portal
from portal_service.errors import ServiceError
from portal_service.stripe_api import CustomerMissing
from portal_service.subscription import Account

from .given import MONTH_END, account, iso, row, row_of_the_original, settings

Json = dict[str, Any]
URL = "https://billing.stripe.com/p/session/test_x"
CANCELED = row(status="canceled", stripe_customer_id="cus_old", stripe_subscription_id="sub_0")


class FakeServices:
    """An account, and the portal session that was asked for."""

    def __init__(self, held: Account, **changes: Any) -> None:
        self.settings = settings(**changes)
        self.database = self.stripe = self.mirror = self
        self.held = held
        self.customers = {"cus_1", "cus_old", "cus_linked"}
        self.asked: Json | None = None
        self.refreshed: list[str] = []

    def account(self, clerk_user_id: str) -> Account:
        assert clerk_user_id == "user_ada"
        return self.held

    def create_portal_session(self, params: Json) -> str:
        if params["customer"] not in self.customers:
            raise CustomerMissing
        self.asked = params
        return URL

    def refresh(self, subscription_id: str) -> str:
        self.refreshed.append(subscription_id)
        return "refreshed"

    def open(self, **fields: Any) -> Json:
        """What Stripe was asked for."""
        assert portal.session_url(self, "user_ada", fields) == URL  # type: ignore[arg-type]
        assert self.asked is not None
        return self.asked


def refusal(services: FakeServices, **fields: Any) -> str:
    with pytest.raises(ServiceError) as refused:
        services.open(**fields)
    assert services.asked is None
    return refused.value.code


@pytest.mark.parametrize(
    ("held", "customer"),
    [
        pytest.param(account(row()), "cus_1", id="of the row"),
        pytest.param(account(linked_customer="cus_linked"), "cus_linked", id="linked"),
        pytest.param(account(row(), linked_customer="cus_linked"), "cus_1", id="live beats linked"),
        pytest.param(account(CANCELED, linked_customer="cus_linked"), "cus_linked",
                     id="linked beats ended"),
        pytest.param(account(CANCELED), "cus_old", id="ended"),
        pytest.param(account(CANCELED, row()), "cus_1", id="live beats ended"),
        pytest.param(account(CANCELED, row(status="past_due")), "cus_1", id="past due is live"),
        pytest.param(account(row(stripe_customer_id=None), CANCELED), "cus_old",
                     id="the best row has none"),
        pytest.param(account(row_of_the_original(stripe_subscription_id=None)), "cus_1",
                     id="a row without a subscription"),
        pytest.param(account(row(), user_id=None), "cus_1", id="a user whom the app lacks"),
    ],
)  # fmt: skip
def test_the_portal_is_that_of_the_callers_own_customer(held: Account, customer: str) -> None:
    assert FakeServices(held).open()["customer"] == customer


@pytest.mark.parametrize(("user_id", "code"), [(None, "user_not_found"), ("7", "no_subscription")])
@pytest.mark.parametrize("rows", [[], [row(stripe_customer_id=None)]])
def test_without_a_customer_there_is_no_portal(
    rows: list[Json], user_id: str | None, code: str
) -> None:
    assert refusal(FakeServices(account(*rows, user_id=user_id))) == code


def test_no_body_at_all_opens_the_plain_portal() -> None:
    assert FakeServices(account(row())).open() == {
        "customer": "cus_1",
        "return_url": "https://app.example.com/dashboard",
    }


def test_settings_and_wishes_are_handed_on() -> None:
    services = FakeServices(
        account(row()), portal_configuration="bpc_1", portal_return_path="/settings"
    )
    assert services.open(locale="de-AT") == {
        "customer": "cus_1",
        "return_url": "https://app.example.com/settings",
        "locale": "de",
        "configuration": "bpc_1",
    }
    assert services.open(return_path="/x")["return_url"] == "https://app.example.com/x"


def after(url: str) -> Json:
    return {"type": "redirect", "redirect": {"return_url": url}}


@pytest.mark.parametrize("flow", ["subscription_cancel", "subscription_update"])
def test_a_flow_about_a_subscription_is_about_the_best_live_one(flow: str) -> None:
    both = account(CANCELED, row(status="past_due"), row(stripe_subscription_id="sub_2"))
    assert FakeServices(both).open(flow=flow, return_path="/x")["flow_data"] == {
        "type": flow,
        flow: {"subscription": "sub_2"},
        "after_completion": after("https://app.example.com/x"),
    }


def test_a_flow_about_the_card_needs_no_subscription() -> None:
    assert FakeServices(account(CANCELED)).open(flow="payment_method_update")["flow_data"] == {
        "type": "payment_method_update",
        "after_completion": after("https://app.example.com/dashboard"),
    }


@pytest.mark.parametrize("flow", ["subscription_cancel", "subscription_update"])
@pytest.mark.parametrize("held", [account(CANCELED), account(linked_customer="cus_linked")])
def test_a_flow_about_a_subscription_needs_a_live_one(held: Account, flow: str) -> None:
    assert refusal(FakeServices(held), flow=flow) == "no_subscription"


@pytest.mark.parametrize(
    "scheduled", [{"cancel_at": iso(MONTH_END)}, {"cancel_at_period_end": True}]
)
def test_cancelling_what_ends_anyway_opens_the_plain_portal(scheduled: Json) -> None:
    services = FakeServices(account(row(**scheduled)))
    assert "flow_data" not in services.open(flow="subscription_cancel")
    assert "flow_data" in services.open(flow="subscription_update")


@pytest.mark.parametrize(
    "fields", [{"flow": "x"}, {"return_path": "//evil.com"}, {"return_path": 7}]
)
def test_a_bad_wish_is_refused_before_stripe_is_asked(fields: Json) -> None:
    assert refusal(FakeServices(account(row())), **fields) == "invalid_request"


def test_the_rows_of_a_customer_whom_stripe_lost_are_refreshed() -> None:
    rows = [row(), row(stripe_subscription_id="sub_2"), CANCELED,
            row_of_the_original(stripe_subscription_id=None)]  # fmt: skip
    services = FakeServices(account(*rows))
    services.customers.discard("cus_1")
    assert refusal(services) == "customer_not_found"
    assert sorted(services.refreshed) == ["sub_1", "sub_2"]
