"""The stand-in for Stripe's API, called by Stripe's own client."""

import time
from email.utils import parsedate_to_datetime

import httpx
import pytest
import stripe
from stripe_account import KEY


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda v1: v1.customers.retrieve("x_1"), "customer"),
        (lambda v1: v1.customers.update("x_1", {"name": "Ada"}), "customer"),
        (lambda v1: v1.customers.delete("x_1"), "customer"),
        (lambda v1: v1.products.retrieve("x_1"), "product"),
        (lambda v1: v1.subscription_items.retrieve("x_1"), "subscription_item"),
        (lambda v1: v1.subscriptions.retrieve("x_1"), "subscription"),
        (lambda v1: v1.subscriptions.cancel("x_1"), "subscription"),
        (lambda v1: v1.checkout.sessions.retrieve("x_1"), "checkout.session"),
        (lambda v1: v1.checkout.sessions.expire("x_1"), "checkout.session"),
        (lambda v1: v1.events.retrieve("x_1"), "event"),
        (lambda v1: v1.prices.retrieve("x_1"), "price"),
        (lambda v1: v1.billing_portal.configurations.retrieve("x_1"), "configuration"),
        (lambda v1: v1.billing_portal.configurations.update("x_1"), "configuration"),
    ],
)
def test_an_unknown_id_in_the_path_is_404(client, call, kind):
    with pytest.raises(stripe.InvalidRequestError) as caught:
        call(client.v1)

    assert (caught.value.http_status, caught.value.code) == (404, "resource_missing")
    assert f"No such {kind}: 'x_1'" in str(caught.value)


def test_answers_carry_the_headers_of_stripe(account, client):
    answer = client.v1.prices.retrieve("price_pro").last_response
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.prices.retrieve("price_x")

    for headers in (answer.headers, caught.value.headers):
        assert headers["Request-Id"].startswith("req_")
        assert abs(parsedate_to_datetime(headers["Date"]).timestamp() - time.time()) < 10


def test_the_date_of_an_answer_is_that_of_the_account(account):
    account.set_time(1_800_000_000.9)
    answer = account.app.test_client().get("/v1/prices", headers={"Authorization": f"Bearer {KEY}"})

    assert answer.headers.getlist("Date") == ["Fri, 15 Jan 2027 08:00:00 GMT"]


def test_a_wrong_key_is_refused_without_showing_it(account):
    wrong = stripe.StripeClient(
        "sk_test_wrong_and_long", base_addresses={"api": account.server.url}
    )

    with pytest.raises(stripe.AuthenticationError, match="Invalid API Key provided: sk_test_"):
        wrong.v1.prices.list()
    assert httpx.get(account.server.url + "/v1/prices").status_code == 401
    assert httpx.get(account.server.url + "/v1/prices", auth=(KEY, "")).status_code == 200


@pytest.mark.parametrize("path", ["/v1/refunds", "/v1/subscriptions/sub_1/migrate", "/v1"])
def test_an_unknown_call_is_refused_loudly(account, path, caplog):
    answer = httpx.post(account.server.url + path, headers={"Authorization": f"Bearer {KEY}"})

    assert answer.status_code == 404
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert f"the sandbox does not know POST {path}" in caplog.text


def test_a_parameter_that_only_stripe_understands_is_refused_loudly(client, caplog):
    with pytest.raises(stripe.InvalidRequestError, match="does not know the parameter balance"):
        client.v1.customers.create({"balance": 5})
    assert "the parameter balance" in caplog.text


def test_a_misspelt_parameter_is_refused(client):
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.subscriptions.list({"costumer": "cus_1"})
    assert (caught.value.code, caught.value.param) == ("parameter_unknown", "costumer")


def test_lists_come_in_pages_newest_first(account, client):
    customer = account.customer()
    made = [account.state.create_subscription(None, "price_pro", customer=customer)["id"]]
    made += [account.state.create_subscription(None, "price_pro")["id"]]
    made += [
        account.state.create_subscription(None, "price_pro", customer=customer)["id"]
        for _ in range(4)
    ]
    theirs = [id for id in made if id != made[1]][::-1]

    first = client.v1.subscriptions.list({"customer": customer, "limit": 2})
    assert [each.id for each in first.data] == theirs[:2]
    assert first.has_more
    last = client.v1.subscriptions.list({"customer": customer, "starting_after": theirs[2]})
    assert [each.id for each in last.data] == theirs[3:]
    assert not last.has_more
    exact = client.v1.subscriptions.list({"limit": 2, "starting_after": made[2]})
    assert [each.id for each in exact.data] == [made[1], made[0]]
    assert not exact.has_more
    walked = [each.id for each in first.auto_paging_iter()]
    assert walked == theirs
    back = client.v1.subscriptions.list({"limit": 2, "ending_before": made[1]})
    assert [each.id for each in back.data] == [made[3], made[2]]
    assert back.has_more


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
        ({"starting_after": "sub_x"}, "starting_after"),
        ({"customer": "cus_x"}, "customer"),
        ({"status": "dead"}, "status"),
        ({"starting_after": "a", "ending_before": "b"}, "starting_after"),
    ],
)
def test_a_list_refuses_what_it_cannot_give(client, params, param):
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.subscriptions.list(params)
    assert caught.value.param == param


def test_a_subscription_is_changed_and_cancelled(account, client):
    made = account.state.create_subscription("user_ada", "price_pro")
    id, item = made["id"], made["items"]["data"][0]["id"]

    def update(**changes) -> stripe.Subscription:
        return client.v1.subscriptions.update(id, changes)

    ending = update(cancel_at_period_end=True)
    assert ending.cancel_at_period_end
    assert ending.cancel_at == made["items"]["data"][0]["current_period_end"]
    assert update(cancel_at_period_end=False).cancel_at is None
    assert update(cancel_at=ending.cancel_at + 5).cancel_at == ending.cancel_at + 5
    assert update(cancel_at="").cancel_at is None
    assert update(metadata={"a": "b", "clerk_user_id": ""}).metadata.to_dict() == {"a": "b"}
    assert update(pause_collection={"behavior": "void"}).pause_collection.behavior == "void"
    assert update(pause_collection="").pause_collection is None
    changed = update(items=[{"id": item, "price": "price_team", "quantity": 2}])
    assert (changed["items"].data[0].price.id, changed["items"].data[0].quantity) == (
        "price_team",
        2,
    )
    assert set(account.event_types()[2:]) == {"customer.subscription.updated"}
    events = len(account.state.events)
    update(metadata={"a": "b"})
    assert len(account.state.events) == events
    for changes in ({"items": [{"price": "price_pro"}]}, {"description": "x"}):
        with pytest.raises(stripe.InvalidRequestError, match="sandbox does not know"):
            update(**changes)
    assert client.v1.subscriptions.cancel(id).status == "canceled"
    with pytest.raises(stripe.InvalidRequestError, match="only update its cancellation_details"):
        update(cancel_at="")
    with pytest.raises(stripe.InvalidRequestError, match="No such subscription"):
        client.v1.subscriptions.cancel(id)


def test_subscriptions_are_listed_by_status(account, client):
    customer = account.customer()
    for status in ("active", "past_due", "canceled", "incomplete_expired", "paused"):
        account.state.create_subscription(None, "price_pro", status, customer=customer)

    def statuses(**params) -> set[str]:
        found = client.v1.subscriptions.list({"customer": customer, **params})
        return {each.status for each in found.data}

    everything = {"active", "past_due", "canceled", "incomplete_expired", "paused"}
    assert statuses() == everything - {"canceled"}
    assert statuses(status="all") == everything
    assert statuses(status="ended") == {"canceled", "incomplete_expired"}
    assert statuses(status="past_due") == {"past_due"}
    assert statuses(price="price_team") == set()


def test_subscriptions_are_listed_by_creation(account, client):
    account.set_time(1_700_000_000)
    old = account.state.create_subscription("user_ada", "price_pro")["id"]
    account.set_time(1_700_000_500)
    new = account.state.create_subscription("user_ada", "price_pro")["id"]

    def ids(created) -> list[str]:
        return [each.id for each in client.v1.subscriptions.list({"created": created}).data]

    assert ids({"gte": 1_700_000_500}) == [new]
    assert ids({"lt": 1_700_000_500}) == [old]
    assert ids(1_700_000_000) == [old]


def test_events_are_listed_by_type_and_delivery(account, client):
    account.listen()
    subscription = account.state.create_subscription("user_ada", "price_pro")
    assert account.webhooks.wait_until_delivered()
    account.webhooks.url = None
    account.state.act(subscription["id"], "fail_payment")

    def types(**params) -> list[str]:
        return [each.type for each in client.v1.events.list(params).data]

    assert types(type="customer.subscription.*") == [
        "customer.subscription.updated",
        "customer.subscription.created",
    ]
    assert types(types=["customer.created"]) == ["customer.created"]
    assert types(delivery_success=False) == [
        "invoice.payment_failed",
        "customer.subscription.updated",
    ]
    event = client.v1.events.list({"delivery_success": True}).data[0]
    assert client.v1.events.retrieve(event.id).data.object["id"] == subscription["id"]
    assert event.pending_webhooks == 0
    with pytest.raises(stripe.InvalidRequestError, match="only specify one"):
        types(type="a", types=["b"])
    with pytest.raises(stripe.InvalidRequestError, match="up to 20 types"):
        types(types=[f"type{n}" for n in range(21)])


def test_endpoints_are_listed(account, client):
    assert client.v1.webhook_endpoints.list().data == []
    account.listen()
    (endpoint,) = client.v1.webhook_endpoints.list().data
    assert endpoint.url == account.webhooks.url


def test_a_client_on_an_older_release_sees_the_older_shape(account, client):
    id = account.state.create_subscription("user_ada", "price_pro")["id"]
    old = client.v1.subscriptions.retrieve(id, {}, {"stripe_version": "2025-02-24.acacia"})
    new = client.v1.subscriptions.retrieve(id)

    assert old["current_period_end"] == new["items"].data[0].current_period_end
    assert "current_period_end" not in old["items"].data[0]
    assert "current_period_end" not in new


def test_calls_are_counted(account, client):
    client.v1.prices.list()

    (call,) = account.state.calls
    assert (call["method"], call["path"], call["status"]) == ("GET", "/v1/prices", 200)
