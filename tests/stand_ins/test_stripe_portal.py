"""The stand-in's billing portal, over its API and on its page."""

import httpx
import pytest
import stripe
from stripe_account import Account

RETURN = "https://app.test/account"
AFTER = {"type": "redirect", "redirect": {"return_url": "https://app.test/after"}}


def portal(account: Account, customer: str, **more) -> stripe.billing_portal.Session:
    params = {"customer": customer, "return_url": RETURN, **more}
    return account.client.v1.billing_portal.sessions.create(params)


def flow(kind: str, subscription: str | None = None) -> dict:
    data = {"type": kind, "after_completion": AFTER}
    return {**data, kind: {"subscription": subscription}} if subscription else data


def press(session: stripe.billing_portal.Session, action: str, **form) -> httpx.Response:
    return httpx.post(f"{session.url}/{action}", data=form)


def test_a_session_has_an_address_of_its_own(account):
    customer = account.customer()
    first, second = portal(account, customer), portal(account, customer, locale="de")

    assert first.id.startswith("bps_")
    assert first.url != second.url
    assert first.id not in first.url
    assert (first.customer, first.return_url, first.flow) == (customer, RETURN, None)
    assert second.locale == "de"


def test_a_flow_is_part_of_the_session(account):
    subscription = account.state.create_subscription("user_ada", "price_pro")
    session = portal(
        account, subscription["customer"], flow_data=flow("subscription_cancel", subscription["id"])
    )

    assert session.flow.type == "subscription_cancel"
    assert session.flow.subscription_cancel.subscription == subscription["id"]
    assert session.flow.after_completion.redirect.return_url == "https://app.test/after"


@pytest.mark.parametrize(
    ("params", "code", "param"),
    [
        ({"customer": None}, "parameter_missing", "customer"),
        ({"customer": "cus_x"}, "resource_missing", "customer"),
        ({"customer_account": "acct_x"}, "parameters_exclusive", "customer"),
        ({"return_url": None}, "parameter_missing", "return_url"),
        ({"return_url": "/account"}, "url_invalid", "return_url"),
        ({"locale": "hi-IN"}, None, "locale"),
        ({"configuration": "bpc_x"}, "resource_missing", "configuration"),
        ({"flow_data": {"type": "cancel"}}, None, "flow_data[type]"),
        (
            {"flow_data": flow("subscription_cancel", "sub_x")},
            "resource_missing",
            "flow_data[subscription_cancel][subscription]",
        ),
    ],
)
def test_what_stripe_refuses_is_refused(account, params, code, param):
    sent = {"customer": account.customer(), "return_url": RETURN, **params}

    with pytest.raises(stripe.InvalidRequestError) as caught:
        account.client.v1.billing_portal.sessions.create({k: v for k, v in sent.items() if v})

    assert (caught.value.http_status, caught.value.code, caught.value.param) == (400, code, param)


def test_without_a_configuration_there_is_no_portal(account):
    account.state.configurations.clear()

    with pytest.raises(stripe.InvalidRequestError) as caught:
        portal(account, account.customer())

    error = caught.value.json_body["error"]
    assert set(error) == {"message", "type"}
    assert error["message"] == (
        "No configuration provided and your test mode default configuration has not been "
        "created. Provide a configuration or create your default by saving your customer portal "
        "settings in test mode at https://dashboard.stripe.com/test/settings/billing/portal."
    )


def test_a_flow_needs_a_subscription_of_the_customer_that_can_be_cancelled(account):
    state = account.state
    subscription = state.create_subscription("user_ada", "price_pro")
    data = flow("subscription_cancel", subscription["id"])

    with pytest.raises(stripe.InvalidRequestError, match="No such subscription"):
        portal(account, account.customer("user_bob"), flow_data=data)
    state.act(subscription["id"], "cancel_at_period_end")
    with pytest.raises(stripe.InvalidRequestError, match="already set to be canceled"):
        portal(account, subscription["customer"], flow_data=data)
    state.act(subscription["id"], "cancel_now")
    with pytest.raises(stripe.InvalidRequestError, match="status is `canceled`"):
        portal(account, subscription["customer"], flow_data=data)


def test_configurations_are_made_changed_and_used(account):
    configurations = account.client.v1.billing_portal.configurations
    (default,) = configurations.list({"is_default": True, "active": True}).data
    assert configurations.retrieve(default.id).id == default.id
    made = configurations.create(
        {"features": {"invoice_history": {"enabled": True}}, "default_return_url": RETURN}
    )
    customer = account.customer()

    assert default.features.subscription_cancel.enabled
    assert not made.is_default
    session = portal(account, customer, configuration=made.id, return_url=RETURN)
    assert session.configuration == made.id
    with pytest.raises(stripe.InvalidRequestError, match="is disabled"):
        portal(account, customer, configuration=made.id, flow_data=flow("payment_method_update"))
    changed = configurations.update(
        made.id, {"features": {"payment_method_update": {"enabled": True}}}
    )
    assert changed.features.payment_method_update.enabled
    assert changed.features.invoice_history.enabled
    assert portal(account, customer, configuration=made.id, flow_data=flow("payment_method_update"))
    configurations.update(made.id, {"active": False})
    with pytest.raises(stripe.InvalidRequestError, match="inactive"):
        portal(account, customer, configuration=made.id)
    assert len(configurations.list({"active": True}).data) == 1


def test_the_page_shows_the_subscription_and_changes_it(account):
    subscription = account.state.create_subscription("user_ada", "price_pro")
    session = portal(account, subscription["customer"])
    id = subscription["id"]

    def status() -> tuple:
        now = account.state.subscriptions[id]
        return now["status"], now["cancel_at"] is not None

    page = httpx.get(session.url)
    assert "Sandbox: no money moves" in page.text
    assert ">active<" in page.text
    assert f'href="{RETURN}"' in page.text
    assert page.headers["Cache-Control"] == "no-store"
    for action, then in (
        ("pause", ("paused", False)),
        ("resume", ("active", False)),
        ("cancel_at_period_end", ("active", True)),
        ("resume", ("active", False)),
        ("fail_payment", ("past_due", False)),
        ("pay", ("active", False)),
        ("cancel_now", ("canceled", False)),
    ):
        assert f"/{action}" in httpx.get(session.url).text
        answer = press(session, action, subscription=id)
        assert (answer.status_code, status()) == (303, then)
        assert httpx.URL(answer.headers["Location"]).path == httpx.URL(session.url).path
    assert press(session, "cancel_now", subscription=id).status_code == 409


def test_the_page_changes_the_plan_and_the_card(account):
    account.state.prices["price_pro"]["nickname"] = None
    subscription = account.state.create_subscription("user_ada", "price_pro")
    session = portal(account, subscription["customer"])

    press(session, "change_plan", subscription=subscription["id"], price="price_team")
    press(session, "update_card")

    (item,) = account.state.subscriptions[subscription["id"]]["items"]["data"]
    assert item["price"]["id"] == "price_team"
    assert account.event_types()[-1] == "customer.updated"


def test_the_page_touches_nobody_else(account):
    mine = account.state.create_subscription("user_ada", "price_pro")
    theirs = account.state.create_subscription("user_bob", "price_pro")
    session = portal(account, mine["customer"])

    assert press(session, "cancel_now", subscription=theirs["id"]).status_code == 404
    assert theirs["id"] not in httpx.get(session.url).text
    assert press(session, "delete_everything").status_code == 404
    assert account.state.subscriptions[theirs["id"]]["status"] == "active"


SWITCHING = {
    "enabled": True,
    "default_allowed_updates": ["price"],
    "products": [{"product": "prod_pro", "prices": ["price_pro"]}],
}


@pytest.mark.parametrize(
    ("card", "change", "message"),
    [
        (True, {}, None),
        (False, {}, "Cannot enable subscription updates while payment method update is disabled."),
        (
            True,
            {"products": None},
            "Missing required param: features[subscription_update][products]",
        ),
        (
            True,
            {"default_allowed_updates": None},
            "Missing required param: features[subscription_update][default_allowed_updates]",
        ),
    ],
)
def test_switching_plans_needs_a_card_and_plans(account, card, change, message):
    switching = {name: value for name, value in {**SWITCHING, **change}.items() if value}
    features = {"payment_method_update": {"enabled": card}, "subscription_update": switching}
    configurations = account.client.v1.billing_portal.configurations

    if message is None:
        id = configurations.create({"features": features}).id
        off = {"features": {"payment_method_update": {"enabled": False}}}
        with pytest.raises(stripe.InvalidRequestError, match="Cannot enable subscription updates"):
            configurations.update(id, off)
        return
    with pytest.raises(stripe.InvalidRequestError) as caught:
        configurations.create({"features": features})
    assert message in caught.value.user_message
