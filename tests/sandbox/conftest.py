"""The account of the stand-in for Stripe that its tests share, fresh for each of them."""

from collections.abc import Iterator

import pytest
import stripe
from stripe_account import Account


@pytest.fixture(scope="module")
def started() -> Iterator[Account]:
    with Account() as account:
        yield account


@pytest.fixture
def account(started: Account) -> Account:
    started.clear()
    return started


@pytest.fixture
def client(account: Account) -> stripe.StripeClient:
    return account.client
