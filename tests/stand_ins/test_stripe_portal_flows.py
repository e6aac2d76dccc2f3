"""The flows of the stand-in's billing portal: what they demand, what they show and what they do."""

import re

import httpx
import pytest
import stripe
from test_stripe_portal import AFTER, RETURN, flow, portal, press

CONFIRM = "flow_data[subscription_update_confirm]"


def confirm(subscription: dict, **item) -> dict:
    items = [{"id": subscription["items"]["data"][0]["id"], **item}]
    return {
        "type": "subscription_update_confirm",
        "after_completion": AFTER,
        "subscription_update_confirm": {"subscription": subscription["id"], "items": items},
    }


def refused(account, data: dict, customer: str) -> stripe.InvalidRequestError:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        portal(account, customer, flow_data=data)
    assert caught.value.http_status == 400
    assert not account.state.portal_sessions
    return caught.value


@pytest.fixture
def subscription(account) -> dict:
    """One that exists already, so that only what comes after is delivered."""
    made = account.state.create_subscription("user_ada", "price_pro")
    account.webhooks.reset()
    return made


ABOUT = ("subscription_cancel", "subscription_pause", "subscription_update")
FEATURES = {
    "customer_update": "customer update",
    "payment_method_update": "payment method update",
    "subscription_cancel": "subscription cancel",
    "subscription_pause": "subscription pause",
    "subscription_update": "subscription update",
}


@pytest.mark.parametrize(
    ("kind", "buttons", "action"),
    [
        ("customer_update", {"update_details"}, "update_details"),
        ("payment_method_update", {"update_card"}, "update_card"),
        ("subscription_cancel", {"cancel_at_period_end", "cancel_now"}, "cancel_at_period_end"),
        ("subscription_pause", {"pause"}, "pause"),
        ("subscription_update", {"change_plan"}, "change_plan"),
    ],
)
def test_a_flow_shows_its_page_alone_and_leads_back(account, subscription, kind, buttons, action):
    account.state.create_subscription("user_ada", "price_team")
    about = subscription["id"] if kind in ABOUT else None
    session = portal(account, subscription["customer"], flow_data=flow(kind, about))

    shown = re.findall(r'action="[^"]*/(\w+)"', httpx.get(session.url).text)
    answer = press(session, action, subscription=subscription["id"])

    assert set(shown) == buttons
    assert answer.headers["Location"] == "https://app.test/after"


def test_a_flow_is_part_of_its_session(account, subscription):
    shown = {}
    for data in (
        flow("customer_update"),
        *(flow(kind, subscription["id"]) for kind in ABOUT),
        confirm(subscription, price="price_team"),
    ):
        session = portal(account, subscription["customer"], flow_data=data)
        shown[data["type"]] = session.flow.to_dict()

    known = set(stripe.billing_portal.Session.Flow.__annotations__) - {"_inner_class_types"}
    for kind, made in shown.items():
        assert set(made) == known
        assert {name for name in (*ABOUT, "subscription_update_confirm") if made[name]} <= {kind}
    assert shown["customer_update"]["customer_update"] == {}
    assert shown["subscription_pause"]["subscription_pause"] == {"subscription": subscription["id"]}
    item = subscription["items"]["data"][0]["id"]
    assert shown["subscription_update_confirm"]["subscription_update_confirm"] == {
        "subscription": subscription["id"],
        "items": [{"id": item, "price": "price_team"}],
        "discounts": None,
    }


@pytest.mark.parametrize("kind", [*FEATURES, "subscription_update_confirm"])
def test_a_flow_needs_its_feature(account, subscription, kind):
    feature = kind.removesuffix("_confirm")
    (settings,) = account.state.configurations.values()
    settings["features"][feature]["enabled"] = False
    data = flow(kind, subscription["id"] if kind in ABOUT else None)
    if kind.endswith("confirm"):
        data = confirm(subscription, price="price_team")

    error = refused(account, data, subscription["customer"])

    message = f"the {FEATURES[feature]} feature in the portal configuration is disabled."
    assert message in error.user_message
    assert error.param.startswith("flow_data")


def test_the_page_shows_what_a_change_costs_and_makes_it(account, subscription):
    account.listen()
    data = confirm(subscription, price="price_team_year", quantity=3)
    session = portal(account, subscription["customer"], flow_data=data)

    page = httpx.get(session.url).text
    shown = re.findall(r'action="[^"]*/(\w+)"', page)
    assert (shown, "Confirm the change" in page) == (["confirm_change"], True)
    assert "$19.00 a month" in page
    assert "Team yearly × 3" in page
    assert "$1,470.00 a year" in page
    answer = press(session, "confirm_change", subscription=subscription["id"])

    assert answer.headers["Location"] == "https://app.test/after"
    (item,) = account.state.subscriptions[subscription["id"]]["items"]["data"]
    assert (item["price"]["id"], item["quantity"]) == ("price_team_year", 3)
    assert account.webhooks.wait_until_delivered()
    assert [record["type"] for record in account.webhooks.deliveries()] == [
        "customer.subscription.updated"
    ]
    again = press(session, "confirm_change", subscription=subscription["id"])
    assert (again.status_code, "made already" in again.text) == (409, True)


def test_seats_alone_are_confirmed_at_the_present_price(account, subscription):
    data = confirm(subscription, quantity=4)
    session = portal(account, subscription["customer"], flow_data=data)
    press(session, "confirm_change", subscription=subscription["id"])

    (item,) = account.state.subscriptions[subscription["id"]]["items"]["data"]
    assert (item["price"]["id"], item["quantity"]) == ("price_pro", 4)


def test_nothing_is_confirmed_outside_its_flow(account, subscription):
    session = portal(account, subscription["customer"])

    assert press(session, "confirm_change", subscription=subscription["id"]).status_code == 404


def test_pausing_in_its_flow_says_so(account, subscription):
    account.listen()
    data = flow("subscription_pause", subscription["id"])
    press(
        portal(account, subscription["customer"], flow_data=data),
        "pause",
        subscription=subscription["id"],
    )

    assert account.webhooks.wait_until_delivered()
    (record,) = account.webhooks.deliveries()
    assert record["type"] == "customer.subscription.paused"
    assert account.state.subscriptions[subscription["id"]]["status"] == "paused"


def test_a_customer_changes_what_they_may(account, subscription):
    session = portal(account, subscription["customer"], flow_data=flow("customer_update"))
    page = httpx.get(session.url).text
    press(session, "update_details", name="Ada", email="ada@b.test", phone="1")

    customer = account.state.customers[subscription["customer"]]
    assert (customer["name"], customer["email"], customer["phone"]) == ("Ada", "ada@b.test", None)
    assert re.findall(r'<input id="(\w+)"', page) == ["email", "name"]
    assert account.event_types()[-1] == "customer.updated"


@pytest.mark.parametrize(
    ("item", "code", "param", "message"),
    [
        ({"id": "si_x"}, "resource_missing", "[items][0][id]", "No such subscription_item"),
        ({"price": "price_x"}, "resource_missing", "[items][0][price]", "No such price: 'price_x'"),
        ({"price": "price_old"}, None, "[items][0][price]", "The price specified is inactive."),
        (
            {"price": "price_live"},
            "resource_missing",
            "[items][0][price]",
            "a similar object exists in live mode",
        ),
        (
            {"price": "price_other"},
            None,
            "[items][0][price]",
            "does not include the price in its `features[subscription_update][products]`.",
        ),
        ({}, None, "[items][0]", "because there are no changes to confirm. Provide a different"),
        ({"price": "price_pro", "quantity": 1}, None, "[items][0]", "no changes to confirm"),
        ({"quantity": 0}, "parameter_invalid_integer", "[items][0][quantity]", "greater than"),
        ({"id": None}, "parameter_missing", "[items][0][id]", "Missing required param"),
    ],
)
def test_a_change_that_cannot_be_is_refused(account, subscription, item, code, param, message):
    account.state.add_price("price_old", "prod_pro", 5, active=False)
    account.state.add_price("price_live", "prod_pro", 5, livemode=True)
    data = confirm(subscription, **item)
    (sent,) = data["subscription_update_confirm"]["items"]
    if sent["id"] is None:
        sent |= {"price": "price_team"}
        del sent["id"]

    error = refused(account, data, subscription["customer"])

    assert (error.code, error.param) == (code, CONFIRM + param)
    assert message in error.user_message


def test_a_flow_is_of_one_item(account, subscription):
    data = confirm(subscription, price="price_team")
    data["subscription_update_confirm"]["items"] *= 2

    assert refused(account, data, subscription["customer"]).param == f"{CONFIRM}[items]"


def test_what_may_be_changed_is_for_the_configuration_to_say(account, subscription):
    (settings,) = account.state.configurations.values()
    update = settings["features"]["subscription_update"]
    update["default_allowed_updates"] = ["price"]

    error = refused(account, confirm(subscription, quantity=2), subscription["customer"])
    assert error.param == f"{CONFIRM}[items][0][quantity]"
    account.state.archive("prod_team")
    error = refused(account, confirm(subscription, price="price_team"), subscription["customer"])
    assert error.param == f"{CONFIRM}[items][0][price]"


@pytest.mark.parametrize("kind", ["subscription_update", "subscription_update_confirm"])
@pytest.mark.parametrize("trouble", ["items", "schedule", "invoice", "metered", "canceled"])
def test_what_the_portal_cannot_update_is_refused(account, subscription, kind, trouble):
    state, id = account.state, subscription["id"]
    if trouble == "items":
        with state.lock:
            lines = [("price_pro", 1), ("price_other", 1)]
            id = state.subscribe(subscription["customer"], lines, metadata={})["id"]
    elif trouble == "metered":
        state.act(id, "change_plan", price="price_metered")
    elif trouble == "canceled":
        state.act(id, "cancel_now")
    else:
        changed = {"schedule": "sub_sched_1"}
        if trouble == "invoice":
            changed = {"collection_method": "send_invoice"}
        state.subscriptions[id] |= changed
    data = confirm(state.subscriptions[id], price="price_team")
    if kind == "subscription_update":
        data = flow(kind, id)

    error = refused(account, data, subscription["customer"])

    assert error.param == f"flow_data[{kind}][subscription]"
    assert "This subscription cannot be updated because" in error.user_message


@pytest.mark.parametrize(
    ("trouble", "message"),
    [
        ("past_due", "its status is `past_due`"),
        ("ending", "it is set to be canceled"),
        ("schedule", "it is managed by a subscription schedule"),
        ("classic", "its billing mode is not `flexible`"),
    ],
)
def test_what_cannot_be_paused_is_refused(account, trouble, message):
    state = account.state
    state.billing_mode = "classic" if trouble == "classic" else "flexible"
    subscription = state.create_subscription("user_ada", "price_pro")
    if trouble == "past_due":
        state.act(subscription["id"], "fail_payment")
    if trouble == "ending":
        state.act(subscription["id"], "cancel_at_period_end")
    if trouble == "schedule":
        state.subscriptions[subscription["id"]]["schedule"] = "sub_sched_1"

    data = flow("subscription_pause", subscription["id"])
    error = refused(account, data, subscription["customer"])

    assert error.user_message == f"This subscription cannot be paused because {message}."


@pytest.mark.parametrize("kind", ["subscription_cancel", "subscription_pause"])
def test_nobody_elses_subscription_is_in_a_flow(account, subscription, kind):
    stranger = account.customer("user_bob")

    error = refused(account, flow(kind, subscription["id"]), stranger)

    assert (error.code, error.param) == ("resource_missing", f"flow_data[{kind}][subscription]")


def test_a_flow_has_the_parameters_of_its_type(account, subscription):
    data = flow("subscription_cancel", subscription["id"])
    data["subscription_pause"] = {"subscription": subscription["id"]}

    assert refused(account, data, subscription["customer"]).param == "flow_data[subscription_pause]"


def test_products_of_a_configuration_are_shown_when_asked(account):
    configurations = account.client.v1.billing_portal.configurations
    (plain,) = configurations.list().data
    path = "features.subscription_update.products"
    (whole,) = configurations.list({"expand": [f"data.{path}"]}).data
    one = configurations.retrieve(plain.id, {"expand": [path]})

    assert "products" not in plain.features.subscription_update
    for shown in (whole, one):
        products = shown.features.subscription_update.products
        assert [each.prices for each in products] == [
            ["price_pro", "price_pro_year"],
            ["price_team", "price_team_year"],
        ]


def test_a_configuration_of_the_other_mode_is_missing(account, subscription):
    (settings,) = account.state.configurations.values()
    account.state.configurations["bpc_live"] = {**settings, "id": "bpc_live", "livemode": True}

    with pytest.raises(stripe.InvalidRequestError, match="exists in live mode") as caught:
        portal(account, subscription["customer"], configuration="bpc_live", return_url=RETURN)
    assert (caught.value.code, caught.value.param) == ("resource_missing", "configuration")
    assert len(account.client.v1.billing_portal.configurations.list().data) == 1
