"""The calls of Stripe's API that the stand-in answers, as a table; the rest is refused."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import stripe.params as p

from sandbox.stripe import checkout, portal, products, schedules, shapes, subscriptions
from sandbox.stripe import resources as r
from sandbox.stripe.errors import unknown_here
from sandbox.stripe.expand import expanded
from sandbox.stripe.state import StripeState

Json = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """One call: its path, the SDK's type of its parameters, and which of them are understood.

    A parameter that Stripe knows and the stand-in does not is refused too: silence would look
    like obedience.
    """

    method: str
    path: str
    spec: Any
    understood: str
    answer: Callable[..., Json]

    def check(self, params: Json) -> None:
        for name in params:
            if name not in self.understood.split():
                raise unknown_here(f"the parameter {name} of {self.method} {self.path}")


PERSON = (
    "address description email expand metadata name phone preferred_locales shipping tax_exempt"
)
PRODUCT = "active description expand images marketing_features metadata name"
PRICE = "active currency_options expand lookup_key metadata nickname tax_behavior "
PRICE += "transfer_lookup_key"
PAGING = "expand limit starting_after ending_before "
SUBSCRIPTION = "/v1/subscriptions/<id>"
SESSION = "/v1/checkout/sessions"
CONFIGURATION = "/v1/billing_portal/configurations"
CONFIGURED = "business_profile default_return_url features metadata name expand"
# Everything that may be set on a new session; the few that change what the stand-in does are
# read in checkout.py, the others only checked.
SESSION_PARAMETERS = " ".join(p.checkout.SessionCreateParams.__annotations__)

CALLS = (
    Call("POST", "/v1/customers", p.CustomerCreateParams, PERSON, r.create_customer),
    Call("GET", "/v1/customers/<id>", p.CustomerRetrieveParams, "expand", r.retrieve_customer),
    Call("DELETE", "/v1/customers/<id>", p.CustomerDeleteParams, "", r.delete_customer),
    Call("POST", "/v1/customers/<id>", p.CustomerUpdateParams, PERSON, r.update_customer),
    Call(
        "GET",
        "/v1/products",
        p.ProductListParams,
        PAGING + "active created ids",
        products.list_products,
    ),
    Call("POST", "/v1/products", p.ProductCreateParams, PRODUCT + " id", products.create_product),
    Call("GET", "/v1/products/<id>", p.ProductRetrieveParams, "expand", products.retrieve_product),
    Call(
        "POST",
        "/v1/products/<id>",
        p.ProductUpdateParams,
        PRODUCT + " default_price",
        products.update_product,
    ),
    Call(
        "GET",
        "/v1/prices",
        p.PriceListParams,
        PAGING + "active created currency lookup_keys product recurring type",
        products.list_prices,
    ),
    Call(
        "POST",
        "/v1/prices",
        p.PriceCreateParams,
        PRICE + " billing_scheme currency product recurring tiers tiers_mode unit_amount "
        "unit_amount_decimal",
        products.create_price,
    ),
    Call("GET", "/v1/prices/<id>", p.PriceRetrieveParams, "expand", products.retrieve_price),
    Call("POST", "/v1/prices/<id>", p.PriceUpdateParams, PRICE, products.update_price),
    Call("POST", SESSION, p.checkout.SessionCreateParams, SESSION_PARAMETERS, checkout.create),
    Call(
        "GET",
        SESSION,
        p.checkout.SessionListParams,
        PAGING + "created customer status subscription",
        r.list_sessions,
    ),
    Call("GET", f"{SESSION}/<id>", p.checkout.SessionRetrieveParams, "expand", r.retrieve_session),
    Call(
        "POST", f"{SESSION}/<id>/expire", p.checkout.SessionExpireParams, "expand", r.expire_session
    ),
    Call(
        "GET",
        "/v1/subscriptions",
        p.SubscriptionListParams,
        PAGING + "collection_method created customer price status",
        subscriptions.list_subscriptions,
    ),
    Call(
        "GET",
        SUBSCRIPTION,
        p.SubscriptionRetrieveParams,
        "expand",
        subscriptions.retrieve_subscription,
    ),
    Call(
        "DELETE",
        SUBSCRIPTION,
        p.SubscriptionCancelParams,
        "expand invoice_now prorate",
        subscriptions.cancel_subscription,
    ),
    Call(
        "POST",
        SUBSCRIPTION,
        p.SubscriptionUpdateParams,
        " ".join(subscriptions.CHANGES),
        subscriptions.update_subscription,
    ),
    Call(
        "POST",
        "/v1/subscription_schedules/<id>/release",
        p.SubscriptionScheduleReleaseParams,
        "expand",
        schedules.release,
    ),
    Call(
        "GET",
        "/v1/subscription_items",
        p.SubscriptionItemListParams,
        PAGING + "subscription",
        subscriptions.list_items,
    ),
    Call(
        "GET",
        "/v1/subscription_items/<id>",
        p.SubscriptionItemRetrieveParams,
        "expand",
        subscriptions.retrieve_item,
    ),
    Call(
        "POST",
        "/v1/billing_portal/sessions",
        p.billing_portal.SessionCreateParams,
        "configuration customer customer_account expand flow_data locale on_behalf_of return_url",
        portal.create,
    ),
    Call(
        "GET",
        CONFIGURATION,
        p.billing_portal.ConfigurationListParams,
        PAGING + "active is_default",
        r.list_configurations,
    ),
    Call(
        "POST",
        CONFIGURATION,
        p.billing_portal.ConfigurationCreateParams,
        CONFIGURED,
        portal.create_configuration,
    ),
    Call(
        "GET",
        f"{CONFIGURATION}/<id>",
        p.billing_portal.ConfigurationRetrieveParams,
        "expand",
        r.retrieve_configuration,
    ),
    Call(
        "POST",
        f"{CONFIGURATION}/<id>",
        p.billing_portal.ConfigurationUpdateParams,
        CONFIGURED + " active",
        r.update_configuration,
    ),
    Call(
        "GET",
        "/v1/events",
        p.EventListParams,
        PAGING + "created delivery_success type types",
        r.list_events,
    ),
    Call("GET", "/v1/events/<id>", p.EventRetrieveParams, "expand", r.retrieve_event),
    Call(
        "GET",
        "/v1/webhook_endpoints",
        p.WebhookEndpointListParams,
        PAGING,
        r.list_webhook_endpoints,
    ),
)


def answer(state: StripeState, call: Call, params: Json, version: str, **ids: str) -> Json:
    """Execute a call and render its answer in the client's release. Raises StripeError."""
    call.check(params)
    with state.lock:
        checkout.expire_overdue(state)
        found = shapes.shown(call.answer(state, params, **ids))
        found = expanded(state, found, params.get("expand") or [])
    if found["object"] == "list":
        found["data"] = [shapes.in_version(each, version) for each in found["data"]]
    return shapes.in_version(found, version)
