"""A schedule refuses every change of its subscription's end, until it is released."""

import pytest
import stripe

from sandbox.stripe import schedules

MANAGED = r"managed by the subscription schedule `sub_sched_\w+`, and updating any cancelation"


@pytest.fixture
def managed(account):
    subscription = account.state.create_subscription("user_ada", "price_pro")
    return subscription["id"], schedules.attach(account.state, subscription["id"])["id"]


@pytest.mark.parametrize("change", [{"cancel_at_period_end": True}, {"cancel_at": 2_000_000_000}])
def test_its_end_can_not_be_changed(account, managed, change):
    subscription, _ = managed
    with pytest.raises(stripe.InvalidRequestError, match=MANAGED):
        account.client.v1.subscriptions.update(subscription, change)
    account.client.v1.subscriptions.update(subscription, {"metadata": {"a": "b"}})


def test_released_it_goes_on_by_itself_without_the_schedules_end(account, managed):
    subscription, schedule = managed
    account.state.subscriptions[subscription]["cancel_at"] = 2_000_000_000
    released = account.client.v1.subscription_schedules.release(schedule)
    assert (released.status, released.subscription) == ("released", None)
    assert released.released_subscription == subscription
    found = account.client.v1.subscriptions.retrieve(subscription)
    assert (found.schedule, found.cancel_at, found.status) == (None, None, "active")
    ends = account.client.v1.subscriptions.update(subscription, {"cancel_at_period_end": True})
    assert ends.cancel_at_period_end


def test_it_can_be_released_once(account, managed):
    _, schedule = managed
    account.client.v1.subscription_schedules.release(schedule)
    with pytest.raises(stripe.InvalidRequestError, match="currently in the `released` status"):
        account.client.v1.subscription_schedules.release(schedule)
    with pytest.raises(stripe.InvalidRequestError) as missing:
        account.client.v1.subscription_schedules.release("sub_sched_x")
    assert missing.value.code == "resource_missing"


def test_it_is_no_obstacle_to_ending_at_once(account, managed):
    subscription, _ = managed
    assert account.client.v1.subscriptions.cancel(subscription).status == "canceled"


def test_what_has_ended_takes_metadata_and_nothing_else(account):
    subscription = account.state.create_subscription("user_ada", "price_pro", "canceled")["id"]
    update = account.client.v1.subscriptions.update
    assert "clerk_user_id" not in update(subscription, {"metadata": {"clerk_user_id": ""}}).metadata
    with pytest.raises(stripe.InvalidRequestError, match="cancellation_details and metadata"):
        update(subscription, {"cancel_at_period_end": True})
