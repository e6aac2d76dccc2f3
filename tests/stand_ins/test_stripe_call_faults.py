"""The faults of the stand-in for Stripe, and keys that may not do everything."""

import contextlib
import socket
import threading

import httpx
import pytest
import stripe
from stripe_account import KEY, RESTRICTED_KEY

from sandbox.faults import SLOW_SECONDS
from sandbox.stripe import call_faults


def test_faults_fail_the_api_and_not_the_pages(account, client):
    page = account.session().url
    account.faults.stripe = "error"
    with pytest.raises(stripe.APIError) as caught:
        client.v1.prices.list()
    assert caught.value.http_status == 500
    account.faults.stripe = "rate_limited"
    with pytest.raises(stripe.RateLimitError) as limited:
        client.v1.prices.list()
    assert limited.value.error.code == "rate_limit"
    account.faults.stripe = "slow"
    client.v1.prices.list()
    assert account.slept == [SLOW_SECONDS]
    assert httpx.get(page).status_code == 200
    assert account.slept == [SLOW_SECONDS]


def test_every_call_takes_as_long_as_it_is_told_to(account, client):
    page, key = account.session().url, {"idempotency_key": "once"}
    account.faults.stripe_latency_ms = 400

    def took(call) -> list[float]:
        account.slept.clear()
        with contextlib.suppress(stripe.StripeError):
            call()
        return account.slept

    assert took(lambda: client.v1.prices.list()) == [0.2, 0.2]
    assert took(lambda: client.v1.customers.create({}, key)) == [0.2, 0.2]
    assert took(lambda: client.v1.customers.create({}, key)) == [0.4]
    assert took(lambda: account.client_with("sk_wrong").v1.prices.list()) == [0.4]
    assert took(lambda: client.v1.prices.retrieve("price_x")) == [0.2, 0.2]
    assert took(lambda: httpx.get(page)) == []
    account.faults.stripe = "slow"
    assert took(lambda: client.v1.prices.list()) == [0.2, SLOW_SECONDS, 0.2]


@pytest.fixture
def watch(account, monkeypatch) -> tuple[threading.Event, threading.Event]:
    """Set once a call hangs, and once it was noticed that its caller is gone."""
    hangs, gone, look = threading.Event(), threading.Event(), call_faults._gone

    def looked(connection) -> bool:
        hangs.set()
        if look(connection):
            gone.set()
        return gone.is_set()

    monkeypatch.setattr(call_faults, "_gone", looked)
    account.faults.stripe = "hang"
    return hangs, gone


def test_a_call_that_hangs_is_answered_when_the_fault_is_lifted(account, client, watch):
    hangs, _ = watch
    made = []
    caller = threading.Thread(target=lambda: made.append(client.v1.customers.create({})))
    caller.start()

    assert hangs.wait(10)
    assert account.state.customers == {}
    account.faults.stripe = "up"
    caller.join(10)

    assert [each.id for each in made] == list(account.state.customers)


def test_nothing_is_done_for_a_caller_who_went_away(account, watch):
    hangs, gone = watch
    address = account.server.url.removeprefix("http://").split(":")
    with socket.create_connection((address[0], int(address[1]))) as connection:
        connection.sendall(
            b"POST /v1/customers HTTP/1.1\r\nHost: stripe.test\r\nContent-Length: 0\r\n"
            b"Authorization: Bearer " + KEY.encode() + b"\r\n\r\n"
        )
        assert hangs.wait(10)

    assert gone.wait(10)
    account.faults.stripe = "up"
    assert account.state.customers == {}


def test_a_restricted_key_lacks_permissions(account):
    account.state.forbidden[RESTRICTED_KEY] = ["/v1/prices", "/v1/billing_portal/configurations"]
    restricted = account.client_with(RESTRICTED_KEY).v1

    for call, permission in (
        (lambda: restricted.prices.retrieve("price_pro"), "\"Prices Read\" ('plan_read')"),
        (lambda: restricted.prices.list(), "'plan_read'"),
        (lambda: restricted.prices.update("price_pro", {"active": False}), "'plan_write'"),
        (lambda: restricted.billing_portal.configurations.list(), "'customer_portal_read'"),
    ):
        with pytest.raises(stripe.PermissionError) as caught:
            call()
        error = caught.value.json_body["error"]
        assert (caught.value.http_status, set(error)) == (403, {"type", "message"})
        assert error["type"] == "invalid_request_error"
        assert "does not have the required permissions" in error["message"]
        assert permission in error["message"]
        assert RESTRICTED_KEY not in error["message"]
    assert account.state.prices["price_pro"]["active"]
    assert restricted.products.retrieve("prod_pro").id == "prod_pro"
    assert account.client.v1.prices.retrieve("price_pro").id == "price_pro"
    account.state.reset()
    assert restricted.prices.retrieve("price_pro").id == "price_pro"
