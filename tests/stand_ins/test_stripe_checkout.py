"""Checkout sessions of the stand-in, over its API and on its page."""

import time

import httpx
import pytest
import stripe

MINE = {"metadata": {"clerk_user_id": "user_ada"}}


def test_a_session_is_open_and_has_a_page(account):
    customer = account.customer()
    session = account.session(customer, client_reference_id="user_ada", **MINE)

    assert session.id.startswith("cs_test_")
    assert (session.status, session.payment_status, session.mode) == (
        "open",
        "unpaid",
        "subscription",
    )
    assert session.url == f"{account.server.url}/c/pay/{session.id}"
    assert (session.customer, session.client_reference_id) == (customer, "user_ada")
    assert (session.amount_total, session.currency) == (1900, "usd")
    assert session.expires_at == session.created + 86_400
    assert account.client.v1.checkout.sessions.retrieve(session.id).id == session.id


def test_paying_begins_the_subscription_and_says_so(account):
    session = account.session(account.customer(), subscription_data=MINE, metadata={"a": "b"})

    paid = account.state.checkout(session.id, "pay")

    assert (paid["status"], paid["payment_status"], paid["url"]) == ("complete", "paid", None)
    subscription = account.client.v1.subscriptions.retrieve(paid["subscription"])
    assert (subscription.status, subscription.customer) == ("active", session.customer)
    assert subscription.metadata.to_dict() == {"clerk_user_id": "user_ada"}
    (item,) = subscription["items"].data
    assert (item.price.id, item.price.product, item.quantity) == ("price_pro", "prod_pro", 1)
    assert item.current_period_end > time.time() + 27 * 86_400
    assert account.event_types()[1:] == [
        "customer.subscription.created",
        "checkout.session.completed",
        "invoice.paid",
    ]


def test_a_trial_begins_without_a_payment(account):
    data = {"trial_period_days": 14, "trial_settings": {"end_behavior": {}}}
    data["trial_settings"]["end_behavior"]["missing_payment_method"] = "pause"
    session = account.session(account.customer(), subscription_data=data)

    paid = account.state.checkout(session.id, "pay")

    assert paid["payment_status"] == "no_payment_required"
    subscription = account.state.subscriptions[paid["subscription"]]
    assert subscription["status"] == "trialing"
    assert subscription["trial_end"] == subscription["items"]["data"][0]["current_period_end"]
    assert subscription["trial_settings"]["end_behavior"]["missing_payment_method"] == "pause"


def test_a_session_without_a_customer_makes_one(account):
    session = account.session(customer_email="ada@example.com")

    paid = account.state.checkout(session.id, "pay")

    assert account.state.customers[paid["customer"]]["email"] == "ada@example.com"


def test_a_declined_card_leaves_the_session_open(account):
    session = account.session(account.customer())

    assert account.state.checkout(session.id, "decline")["status"] == "open"
    assert account.state.subscriptions == {}


def test_an_expired_session_cannot_be_paid(account):
    session = account.session(account.customer())

    assert account.client.v1.checkout.sessions.expire(session.id).status == "expired"
    assert account.event_types()[-1] == "checkout.session.expired"
    with pytest.raises(ValueError, match="is expired"):
        account.state.checkout(session.id, "pay")


@pytest.mark.parametrize("end", ["pay", "expire"])
def test_only_an_open_session_expires(account, end):
    session = account.session(account.customer())
    account.state.checkout(session.id, end)

    with pytest.raises(stripe.InvalidRequestError, match=r'status in \["open"\]') as caught:
        account.client.v1.checkout.sessions.expire(session.id)
    assert (caught.value.http_status, caught.value.code) == (400, None)


def test_a_session_expires_by_itself(account):
    account.set_time(1_800_000_000)
    id = account.session().id
    account.set_time(1_800_086_400)

    assert account.client.v1.checkout.sessions.retrieve(id).status == "expired"


def test_unknown_sessions_and_buttons_are_refused(account):
    with pytest.raises(KeyError, match="there is no checkout session"):
        account.state.checkout("cs_test_x", "pay")
    with pytest.raises(ValueError, match="action is one of pay, decline, expire"):
        account.state.checkout(account.session().id, "steal")


def test_sessions_are_listed_by_customer_and_status(account):
    customer = account.customer()
    open_session, paid = account.session(customer), account.session(customer)
    account.session(account.customer("user_bob"))
    account.state.checkout(paid.id, "pay")

    def ids(**params) -> list[str]:
        found = account.client.v1.checkout.sessions.list({"customer": customer, **params})
        return [each.id for each in found.data]

    assert ids() == [paid.id, open_session.id]
    assert ids(status="open") == [open_session.id]
    assert ids(limit=1, starting_after=paid.id) == [open_session.id]


def test_sessions_of_one_second_are_listed_newest_first(account):
    account.set_time(1_800_000_000)
    customer = account.customer()
    made = [account.session(customer).id for _ in range(12)]

    first = account.client.v1.checkout.sessions.list({"customer": customer})

    assert [each.id for each in first.data] == made[:1:-1]
    assert {each.created for each in first.data} == {1_800_000_000}
    assert [each.id for each in first.auto_paging_iter()] == made[::-1]


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"mode": None}, "parameter_missing", "mode"),
        ({"mode": "payment"}, None, None),
        ({"ui_mode": "elements"}, None, None),
        ({"line_items": None}, "parameter_missing", "line_items"),
        ({"success_url": None}, "parameter_missing", "success_url"),
        ({"success_url": "app.test/done"}, "url_invalid", "success_url"),
        ({"cancel_url": "javascript:alert(1)"}, "url_invalid", "cancel_url"),
        ({"return_url": "https://app.test"}, None, "return_url"),
        (
            {"line_items": [{"price": "price_x", "quantity": 1}]},
            "resource_missing",
            "line_items[0][price]",
        ),
        ({"line_items": [{"price": "price_old", "quantity": 1}]}, None, "line_items[0][price]"),
        ({"line_items": [{"price": "price_pro"}]}, "parameter_missing", "line_items[0][quantity]"),
        (
            {"line_items": [{"price": "price_pro", "quantity": 0}]},
            "parameter_invalid_integer",
            "line_items[0][quantity]",
        ),
        ({"line_items": [{"quantity": 1}]}, None, None),
        ({"customer": "cus_x"}, "resource_missing", "customer"),
        ({"customer_email": "a@b.test"}, "parameters_exclusive", "customer"),
        ({"customer_creation": "always"}, None, "customer_creation"),
        ({"client_reference_id": "x" * 201}, None, "client_reference_id"),
        ({"metadata": {"key": "x" * 501}}, None, "metadata[key]"),
        ({"automatic_tax": {"enabled": True}}, "customer_tax_location_invalid", None),
        ({"tax_id_collection": {"enabled": True}}, None, None),
        ({"expires_at": 5}, None, "expires_at"),
        (
            {"allow_promotion_codes": True, "discounts": [{"coupon": "x"}]},
            "parameters_exclusive",
            "allow_promotion_codes",
        ),
        (
            {"subscription_data": {"trial_period_days": 0}},
            "parameter_invalid_integer",
            "subscription_data[trial_period_days]",
        ),
        ({"subscription_data": {"trial_end": 5}}, None, "subscription_data[trial_end]"),
    ],
)
def test_what_stripe_refuses_is_refused(account, change, code, param):
    account.state.prices["price_old"] = {**account.state.prices["price_pro"], "active": False}
    order = {**account.order(account.customer()), **change}

    with pytest.raises(stripe.InvalidRequestError) as caught:
        account.client.v1.checkout.sessions.create({k: v for k, v in order.items() if v})

    assert (caught.value.http_status, caught.value.code, caught.value.param) == (400, code, param)
    assert account.state.sessions == {}


def test_customer_update_goes_with_a_customer_only(account):
    with pytest.raises(stripe.InvalidRequestError, match="only be used with `customer`"):
        account.session(customer_update={"address": "auto"})


def test_taxes_work_as_stripe_demands(account):
    session = account.session(
        account.customer(),
        automatic_tax={"enabled": True},
        tax_id_collection={"enabled": True},
        customer_update={"address": "auto", "name": "auto"},
    )

    assert session.automatic_tax.enabled
    assert session.tax_id_collection.enabled
    assert account.session(automatic_tax={"enabled": True}).status == "open"


def test_one_customer_pays_in_one_currency(account):
    state = account.state
    state.prices["price_euro"] = {**state.prices["price_pro"], "id": "price_euro"}
    state.prices["price_euro"]["currency"] = "eur"
    customer = account.customer()
    state.create_subscription(None, "price_pro", customer=customer)

    with pytest.raises(stripe.InvalidRequestError, match="cannot combine currencies") as caught:
        account.session(customer, line_items=[{"price": "price_euro", "quantity": 1}])
    assert caught.value.code is None


def test_the_page_pays_and_leads_back(account):
    session = account.session(account.customer())

    page = httpx.get(session.url)
    assert "Sandbox: no money moves" in page.text
    assert "Pro" in page.text
    paid = httpx.post(f"{session.url}/pay")

    assert paid.status_code == 303
    assert paid.headers["Location"] == f"https://app.test/done?session={session.id}"
    assert "checkout session is complete" in httpx.get(session.url).text
    again = httpx.post(f"{session.url}/pay")
    assert (again.status_code, again.headers["Location"]) == (303, paid.headers["Location"])
    assert len(account.state.subscriptions) == 1


def test_the_page_of_an_expired_session_sells_nothing(account):
    session = account.session(account.customer())
    account.state.checkout(session.id, "expire")

    pressed = httpx.post(f"{session.url}/pay")

    assert pressed.status_code == 409
    assert "This checkout session is expired." in pressed.text
    assert "<form" not in pressed.text
    assert 'href="https://app.test/plans"' in pressed.text


def test_the_page_declines_and_cancels(account):
    session = account.session(account.customer())

    declined = httpx.post(f"{session.url}/decline", follow_redirects=True)

    assert declined.status_code == 200
    assert "The card was declined" in declined.text
    assert f'action="/c/pay/{session.id}/pay"' in declined.text
    assert 'href="https://app.test/plans"' in declined.text


def test_the_page_escapes_what_others_wrote(account):
    account.state.prices["price_pro"]["nickname"] = "<script>alert(1)</script>"
    session = account.session(cancel_url='https://app.test/"><script>')

    assert "<script>" not in httpx.get(session.url).text


def test_unknown_pages_are_not_found(account):
    for path in ("/c/pay/cs_x", "/p/session/test_x", "/"):
        assert httpx.get(account.server.url + path).status_code == 404
    assert httpx.post(account.server.url + "/c/pay/cs_x/pay").status_code == 404


def test_paying_waits_for_the_answer_to_the_completed_session(account):
    account.listen()
    account.state.checkout(account.session(account.customer()).id, "pay")

    done = [
        record
        for record in account.webhooks.deliveries()
        if record["type"] == "checkout.session.completed"
    ]
    assert [(record["status_code"], record["outcome"]) for record in done] == [(200, "applied")]


def test_paying_does_not_wait_for_ever(account):
    account.listen()
    account.faults.webhook_delay_ms = 60_000
    account.state.answer_timeout = 0.05

    assert account.state.checkout(account.session().id, "pay")["status"] == "complete"
