"""Customers of the stand-in, and whole objects in the place of their ids."""

import pytest
import stripe


def test_a_customer_is_created_retrieved_and_deleted(account, client):
    made = client.v1.customers.create({"metadata": {"clerk_user_id": "user_ada"}})

    assert client.v1.customers.retrieve(made.id).metadata["clerk_user_id"] == "user_ada"
    assert client.v1.customers.delete(made.id).deleted
    gone = {"id": made.id, "object": "customer", "deleted": True}
    assert client.v1.customers.retrieve(made.id).to_dict() == gone
    with pytest.raises(stripe.InvalidRequestError) as caught:
        account.session(made.id)
    assert (caught.value.code, caught.value.param) == ("resource_missing", "customer")
    assert caught.value.http_status == 400
    for call in (client.v1.customers.delete, client.v1.customers.update):
        with pytest.raises(stripe.InvalidRequestError) as caught:
            call(made.id)
        assert (caught.value.http_status, caught.value.param) == (404, "id")


def test_a_customer_of_the_other_mode_is_missing_and_stripe_says_why(account, client):
    id = account.customer()
    account.state.customers[id]["livemode"] = True

    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.customers.retrieve(id)
    assert caught.value.code == "resource_missing"
    assert (
        f"No such customer: '{id}'; a similar object exists in live mode, but a test mode key was "
        "used to make this request." in str(caught.value)
    )


def test_a_customer_is_changed_and_metadata_is_merged(account, client):
    person = {"email": "a@b.test", "address": {"country": "DE"}, "metadata": {"a": "1", "b": "2"}}
    made = client.v1.customers.create(person)

    changed = client.v1.customers.update(
        made.id, {"name": "Ada", "address": "", "metadata": {"b": "", "c": "3"}}
    )

    assert (changed.name, changed.email, changed.address) == ("Ada", "a@b.test", None)
    assert changed.metadata.to_dict() == {"a": "1", "c": "3"}
    event = list(account.state.events.values())[-1]
    assert event["type"] == "customer.updated"
    assert event["data"]["previous_attributes"]["name"] is None
    client.v1.customers.update(made.id, {"name": "Ada"})
    assert list(account.state.events.values())[-1] == event
    assert client.v1.customers.update(made.id, {"metadata": ""}).metadata.to_dict() == {}


def test_deleting_a_customer_ends_what_they_subscribed_to(account, client):
    subscription = account.state.create_subscription("user_ada", "price_pro")

    client.v1.customers.delete(subscription["customer"])

    assert client.v1.subscriptions.retrieve(subscription["id"]).status == "canceled"
    assert account.event_types()[-2:] == ["customer.subscription.deleted", "customer.deleted"]


def test_ids_are_expanded_into_objects(account, client):
    account.state.create_subscription("user_ada", "price_pro")
    session = account.session(account.customer(), expand=["line_items", "customer"])
    (subscription,) = client.v1.subscriptions.list({"expand": ["data.latest_invoice"]}).data

    assert subscription.latest_invoice.status == "paid"
    assert session.line_items.data[0].price.id == "price_pro"
    assert session.customer.metadata["clerk_user_id"] == "user_ada"


def test_what_is_expanded_can_be_expanded_again(account, client):
    id = account.state.create_subscription("user_ada", "price_pro")["id"]

    found = client.v1.subscriptions.retrieve(
        id, {"expand": ["latest_invoice.customer", "items.data.price.product"]}
    )

    assert found.latest_invoice.customer.metadata["clerk_user_id"] == "user_ada"
    assert found["items"].data[0].price.product.name == "Pro"


def test_a_deleted_customer_is_expanded_into_what_is_left_of_it(account, client):
    subscription = account.state.create_subscription("user_ada", "price_pro")
    client.v1.customers.delete(subscription["customer"])
    gone = {"id": subscription["customer"], "object": "customer", "deleted": True}

    one = client.v1.subscriptions.retrieve(subscription["id"], {"expand": ["customer"]})
    (listed,) = client.v1.subscriptions.list({"status": "all", "expand": ["data.customer"]}).data

    assert one.customer.to_dict() == listed.customer.to_dict() == gone


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nonsense", "cannot be expanded"),
        ("nickname", "cannot be expanded"),
        ("product.name.x", "cannot be expanded"),
        ("a.b.c.d.e", "more than 4 levels"),
    ],
)
def test_what_cannot_be_expanded_is_refused(client, path, message):
    with pytest.raises(stripe.InvalidRequestError, match=message):
        client.v1.prices.retrieve("price_pro", {"expand": [path]})
