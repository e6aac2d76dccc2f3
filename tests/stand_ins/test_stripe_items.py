"""Subscriptions of several items: their periods, and the pages that they come in."""

import json

import pytest
import stripe

NOW = 1_769_860_800  # 2026-01-31 12:00
IN_A_MONTH, IN_TWO_MONTHS, IN_A_YEAR = 1_772_280_000, 1_774_958_400, 1_801_396_800


def with_items(account, *lines: tuple[str, int | None], **more) -> str:
    customer = account.customer()
    with account.state.lock:
        return account.state.subscribe(customer, lines, metadata={}, **more)["id"]


def with_many(account, number: int = 25) -> tuple[str, list[str]]:
    for n in range(number):
        account.state.add_price(f"price_{n}", "prod_other", 100 + n)
    id = with_items(account, *((f"price_{n}", n + 1) for n in range(number)))
    items = account.state.subscriptions[id]["items"]["data"]
    return id, [item["id"] for item in items]


def test_each_item_has_a_period_of_its_own(account, client):
    account.set_time(NOW)
    id = with_items(account, ("price_pro_year", 2), ("price_other", 3), ("price_metered", None))

    def ends() -> list[int]:
        items = client.v1.subscriptions.retrieve(id)["items"].data
        return [item.current_period_end for item in items]

    first = client.v1.subscriptions.retrieve(id)["items"].data
    assert [getattr(item, "quantity", None) for item in first] == [2, 3, None]
    assert ends() == [IN_A_YEAR, IN_A_MONTH, IN_A_MONTH]
    account.state.act(id, "advance_period")
    assert ends() == [IN_A_YEAR, IN_TWO_MONTHS, IN_TWO_MONTHS]


def test_a_trial_is_one_period_for_all_items(account, client):
    account.set_time(NOW)
    lines = ("price_pro_year", 1), ("price_other", 1)
    id = with_items(account, *lines, status="trialing", trial_end=NOW + 864_000)

    trial = client.v1.subscriptions.retrieve(id)
    assert (trial.trial_start, trial.trial_end) == (NOW, NOW + 864_000)
    assert {item.current_period_end for item in trial["items"].data} == {trial.trial_end}
    after = account.state.act(id, "advance_period")
    assert (after["status"], after["trial_end"]) == ("active", trial.trial_end)


def test_only_the_first_ten_items_are_within(account, client):
    account.listen()
    id, items = with_many(account)
    account.state.act(id, "change_plan", quantity=7)
    assert account.webhooks.wait_until_delivered()

    (listed,) = client.v1.subscriptions.list().data
    events = [json.loads(body) for body, _ in account.received]
    created, updated = (
        next(event for event in events if event["type"] == f"customer.subscription.{what}")
        for what in ("created", "updated")
    )

    heard = client.v1.events.retrieve(created["id"]).to_dict()

    for shown in (
        client.v1.subscriptions.retrieve(id).to_dict()["items"],
        heard["data"]["object"]["items"],
        listed.to_dict()["items"],
        created["data"]["object"]["items"],
        updated["data"]["object"]["items"],
        updated["data"]["previous_attributes"]["items"],
    ):
        assert [item["id"] for item in shown["data"]] == items[:10]
        assert shown["has_more"] is True
        assert shown["url"] == f"/v1/subscription_items?subscription={id}"


def test_ten_items_are_all(account, client):
    id, items = with_many(account, 10)

    shown = client.v1.subscriptions.retrieve(id)["items"]
    assert ([item.id for item in shown.data], shown.has_more) == (items, False)


def test_all_items_are_listed_in_pages(account, client):
    id, items = with_many(account)

    first = client.v1.subscription_items.list({"subscription": id})
    rest = client.v1.subscription_items.list(
        {"subscription": id, "limit": 100, "starting_after": first.data[-1].id}
    )

    assert [item.id for item in first.data] == items[:10]
    assert first.has_more
    assert [item.id for item in rest.data] == items[10:]
    assert not rest.has_more
    assert rest.data[-1].subscription == id
    walked = client.v1.subscription_items.list({"subscription": id}).auto_paging_iter()
    assert [item.id for item in walked] == items
    assert client.v1.subscription_items.retrieve(items[20]).price.id == "price_20"


@pytest.mark.parametrize(
    ("params", "code", "param"),
    [
        ({}, "parameter_missing", "subscription"),
        ({"subscription": "sub_x"}, "resource_missing", "subscription"),
    ],
)
def test_items_are_those_of_a_subscription(client, params, code, param):
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.subscription_items.list(params)
    assert (caught.value.code, caught.value.param) == (code, param)


def test_a_plan_of_another_interval_begins_its_period_at_once(account, client):
    account.set_time(NOW)
    id = with_items(account, ("price_pro", 3))
    account.set_time(NOW + 864_000)

    (item,) = account.state.act(id, "change_plan", price="price_team_year")["items"]["data"]

    assert item["current_period_start"] == NOW + 864_000
    assert item["current_period_end"] == IN_A_YEAR + 864_000
    assert item["quantity"] == 3
    (item,) = account.state.act(id, "change_plan", price="price_metered")["items"]["data"]
    assert "quantity" not in item
    refused = {"items": [{"id": item["id"], "quantity": 2}]}
    with pytest.raises(stripe.InvalidRequestError, match="quantity for metered plans") as caught:
        client.v1.subscriptions.update(id, refused)
    assert caught.value.param == "items[0][quantity]"


def test_an_item_costs_what_recurs_and_is_sold(account, client):
    account.state.add_price("price_once", "prod_other", 500, recurring=None, type="one_time")
    account.state.archive("price_team")
    id = with_items(account, ("price_pro", 1))
    item = account.state.subscriptions[id]["items"]["data"][0]["id"]

    for price, message in (("price_once", "set to `type=one_time`"), ("price_team", "inactive")):
        with pytest.raises(stripe.InvalidRequestError, match=message) as caught:
            client.v1.subscriptions.update(id, {"items": [{"id": item, "price": price}]})
        assert caught.value.param == "items[0][price]"
        with pytest.raises(ValueError, match="no active price"):
            account.state.act(id, "change_plan", price=price)
