"""Idempotency keys of the stand-in: what is said again, and what is refused."""

import threading

import pytest
import stripe


def test_the_same_key_and_body_get_the_same_answer(account, client):
    order, key = account.order(account.customer()), {"idempotency_key": "once"}
    first = client.v1.checkout.sessions.create(order, key)
    again = client.v1.checkout.sessions.create(order, key)

    assert again.id == first.id
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    assert len(client.v1.checkout.sessions.list().data) == 1


def test_the_same_key_with_another_body_is_an_error(account, client):
    key = {"idempotency_key": "once"}
    client.v1.customers.create({"name": "Ada"}, key)

    with pytest.raises(stripe.IdempotencyError, match="same parameters") as caught:
        client.v1.customers.create({"name": "Bob"}, key)
    assert caught.value.http_status == 400
    with pytest.raises(stripe.IdempotencyError, match="same endpoint"):
        account.client.v1.checkout.sessions.create(account.order(), key)
    with pytest.raises(stripe.IdempotencyError, match="255"):
        client.v1.customers.create({}, {"idempotency_key": "k" * 256})


def test_an_error_of_stripe_is_replayed_and_a_wrong_parameter_is_not(account, client):
    key = {"idempotency_key": "once"}
    with pytest.raises(stripe.InvalidRequestError, match="unknown parameter"):
        client.v1.customers.create({"nmae": "Ada"}, key)
    account.faults.stripe = "error"
    with pytest.raises(stripe.APIError):
        client.v1.customers.create({"name": "Ada"}, key)
    account.faults.stripe = "up"
    with pytest.raises(stripe.APIError) as caught:
        client.v1.customers.create({"name": "Ada"}, key)
    assert caught.value.http_status == 500
    assert caught.value.headers["Idempotent-Replayed"] == "true"
    assert account.state.customers == {}
    assert client.v1.customers.create({"name": "Ada"}, {"idempotency_key": "new"}).id


def test_a_refusal_is_replayed_once_it_was_executed(account, client):
    order, key = account.order(account.customer()), {"idempotency_key": "once"}
    account.state.archive("price_pro")
    with pytest.raises(stripe.InvalidRequestError, match="inactive") as first:
        client.v1.checkout.sessions.create(order, key)
    account.state.prices["price_pro"]["active"] = True
    with pytest.raises(stripe.InvalidRequestError, match="inactive") as again:
        client.v1.checkout.sessions.create(order, key)

    assert "Idempotent-Replayed" not in first.value.headers
    assert again.value.headers["Idempotent-Replayed"] == "true"


def test_keys_are_forgotten_after_a_day(account, client):
    account.set_time(1_800_000_000)
    first = client.v1.customers.create({}, {"idempotency_key": "once"})
    account.set_time(1_800_086_401)

    assert client.v1.customers.create({}, {"idempotency_key": "once"}).id != first.id


def test_a_key_in_use_is_a_conflict(account, client):
    executed, go_on = threading.Event(), threading.Event()

    def hold(method: str, path: str) -> None:
        executed.set()
        go_on.wait(10)

    account.before_answer = hold
    key = {"idempotency_key": "once"}
    first = threading.Thread(target=lambda: client.v1.customers.create({}, key))
    first.start()
    assert executed.wait(10)
    with pytest.raises(stripe.APIError) as caught:
        client.v1.customers.create({}, key)
    go_on.set()
    first.join()

    assert caught.value.http_status == 409
    assert caught.value.error.code == "idempotency_key_in_use"
    assert len(account.state.customers) == 1
