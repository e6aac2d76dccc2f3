"""What Stripe holds: every call to Stripe. Answers are plain dicts; errors are those of
stripe_errors. Decides nothing about money and knows no HTTP of ours.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cached_property
from typing import Any, TypeVar

import stripe

from portal_service import deadline
from portal_service.config import Settings
from portal_service.sdk_transports import StripeTransport
from portal_service.stripe_errors import (
    CustomerMissing,
    NotAtStripe,
    StripeUnavailable,
    header_date,
    translated,
)
from portal_service.subscription import StripeObject, has_more_items
from portal_service.transport import Transport

T = TypeVar("T")
Retrying = Callable[[Callable[[], Any]], Any]

_PAGE = 100
# The SDK sleeps at most this long before its one retry.
_RETRY_PAUSE_SECONDS = 0.5


class Stripe:
    """One StripeClient per process, made on first use.

    retrying: calls what it is given, and again where that can help. Beside the SDK's one retry.
    transport: the process' own, else one for this alone.
    """

    def __init__(
        self,
        settings: Settings,
        retrying: Retrying = lambda ask: ask(),
        transport: Transport | None = None,
    ) -> None:
        self._settings = settings
        self._transport = transport or Transport.for_threads(settings.threads)
        self._retrying = retrying

    def subscription(self, subscription_id: str) -> tuple[StripeObject, datetime | None]:
        """The subscription now with its customer, and the moment on Stripe's clock.

        Raises NotAtStripe.
        """
        expand: Any = {"expand": ["customer"]}
        found = self._call(lambda c, o: c.v1.subscriptions.retrieve(subscription_id, expand, o))
        return self._with_all_items(found.to_dict()), _date(found)

    def subscriptions_of(self, customer: str) -> tuple[list[StripeObject], datetime | None]:
        """All subscriptions of a customer, ended ones too, and the moment they were listed.

        Raises CustomerMissing.
        """
        found: list[StripeObject] = []
        date = None
        for page in self._subscription_pages(customer=customer):
            date = date or _date(page)  # the first page is the oldest truth among them
            found += [self._with_all_items(one.to_dict()) for one in page.data]
        return found, date

    def all_subscriptions(self, after: str | None = None) -> Iterator[StripeObject]:
        """Every subscription of the account, newest first. For commands.

        after: the id of the last one that was seen.
        """
        for page in self._subscription_pages(**({"starting_after": after} if after else {})):
            yield from (self._with_all_items(one.to_dict()) for one in page.data)

    def cancel_subscription(self, subscription_id: str) -> None:
        """End it at once. Raises NotAtStripe where it has ended."""
        self._call(lambda c, o: c.v1.subscriptions.cancel(subscription_id, {}, o), late=True)

    def update_subscription(self, subscription_id: str, params: Any) -> None:
        """Raises NotAtStripe, StripeRefused."""
        self._call(lambda c, o: c.v1.subscriptions.update(subscription_id, params, o), late=True)

    def release_schedule(self, schedule_id: str) -> None:
        """Raises NotAtStripe, and StripeRefused where it was released before."""
        self._call(lambda c, o: c.v1.subscription_schedules.release(schedule_id, {}, o), late=True)

    def _subscription_pages(self, **params: str) -> Iterator[Any]:
        expanded = {"status": "all", "expand": ["data.customer"], **params}
        return self._pages(lambda c, p, o: c.v1.subscriptions.list(p, o), expanded)

    def _with_all_items(self, subscription: StripeObject) -> StripeObject:
        """Stripe shows ten items of a subscription; the rest is listed on its own."""
        if has_more_items(subscription):
            params = {"subscription": subscription["id"]}
            pages = self._pages(lambda c, p, o: c.v1.subscription_items.list(p, o), params)
            try:
                items = [item.to_dict() for page in pages for item in page.data]
            except NotAtStripe as error:  # of the list; the subscription was there a moment ago
                raise StripeUnavailable from error
            subscription["items"] = {"data": items, "has_more": False}
        return subscription

    def event(self, event_id: str) -> StripeObject:
        """Raises NotAtStripe."""
        return self._object(lambda c, o: c.v1.events.retrieve(event_id, {}, o))

    def events(self, **params: Any) -> Iterator[StripeObject]:
        """Events, newest first; Stripe keeps them for 30 days. For commands."""
        for page in self._pages(lambda c, p, o: c.v1.events.list(p, o), params):
            yield from (event.to_dict() for event in page.data)

    def create_customer(self, metadata: dict[str, str], idempotency_key: str) -> str:
        params: Any = {"metadata": metadata}
        created = self._call(lambda c, o: c.v1.customers.create(params, o), idempotency_key)
        return str(created.id)

    def customer(self, customer_id: str) -> StripeObject:
        """A deleted one is `{"deleted": True}` with its id. Raises NotAtStripe."""
        return self._object(lambda c, o: c.v1.customers.retrieve(customer_id, {}, o))

    def update_customer(self, customer_id: str, params: Any, idempotency_key: str) -> None:
        """Raises NotAtStripe, StripeRefused, KeyInUse, KeyReused."""
        self._call(lambda c, o: c.v1.customers.update(customer_id, params, o), idempotency_key)

    def is_gone(self, customer_id: str) -> bool:
        """Whether the customer was deleted, or never was there."""
        try:
            return bool(self.customer(customer_id).get("deleted"))
        except (NotAtStripe, CustomerMissing):
            return True

    def price(self, price_id: str) -> StripeObject:
        """Raises NotAtStripe, KeyForbidden."""
        return self._object(lambda c, o: c.v1.prices.retrieve(price_id, {}, o), optional=True)

    def price_with_currencies(self, price_id: str) -> StripeObject:
        """A price with its amount in each currency. Raises NotAtStripe, KeyForbidden."""
        expand: Any = {"expand": ["currency_options"]}
        return self._object(lambda c, o: c.v1.prices.retrieve(price_id, expand, o), optional=True)

    def product(self, product_id: str) -> StripeObject:
        """Raises NotAtStripe, KeyForbidden."""
        return self._object(lambda c, o: c.v1.products.retrieve(product_id, {}, o), optional=True)

    def portal_configuration(self, configuration_id: str) -> StripeObject:
        """Raises NotAtStripe, KeyForbidden."""
        return self._object(
            lambda c, o: c.v1.billing_portal.configurations.retrieve(configuration_id, {}, o),
            optional=True,
        )

    def create_portal_session(self, params: Any) -> str:
        """The URL of a new session: a credential, never to be logged.

        Raises CustomerMissing, StripeRefused.
        """
        created = self._call(lambda c, o: c.v1.billing_portal.sessions.create(params, o))
        return str(created.url)

    def create_checkout_session(self, params: Any, idempotency_key: str) -> tuple[str, bool]:
        """The URL of a session, and whether it is one that the key made before.

        Raises CustomerMissing, KeyInUse.
        """
        created = self._call(lambda c, o: c.v1.checkout.sessions.create(params, o), idempotency_key)
        headers = created.last_response.headers if created.last_response else {}
        return str(created.url), headers.get("Idempotent-Replayed") == "true"

    def checkout_session(self, session_id: str) -> StripeObject:
        """Raises NotAtStripe."""
        return self._object(lambda c, o: c.v1.checkout.sessions.retrieve(session_id, {}, o))

    def newest_checkout_sessions(self, customer: str) -> list[StripeObject]:
        """A customer's sessions, newest first. Those that can be open (24 hours) are among them.

        Raises CustomerMissing.
        """
        params: Any = {"customer": customer, "limit": _PAGE}
        page = self._call(lambda c, o: c.v1.checkout.sessions.list(params, o))
        return [session.to_dict() for session in page.data]

    def expire_checkout_session(self, session_id: str) -> None:
        """Raises StripeRefused where it is not open any more."""
        self._call(lambda c, o: c.v1.checkout.sessions.expire(session_id, {}, o), late=True)

    def ping(self) -> None:
        """The cheapest question that our key must be allowed to ask anyway."""
        self._call(lambda c, o: c.v1.subscriptions.list({"limit": 1}, o))

    def connect(self) -> None:
        """Make the SDK's client now, not with the first question."""
        _ = self._client

    @cached_property
    def _client(self) -> stripe.StripeClient:
        stripe.enable_telemetry = False  # else the SDK looks for a home directory to write to
        base = self._settings.stripe_api_base
        return stripe.StripeClient(
            self._settings.stripe_secret_key,
            http_client=StripeTransport(self._transport, self._settings.stripe_timeout),
            stripe_version=stripe.api_version,
            base_addresses={"api": base} if base else None,
        )

    def _pages(
        self, ask: Callable[[stripe.StripeClient, Any, Any], Any], params: dict[str, Any]
    ) -> Iterator[Any]:
        params = {**params, "limit": _PAGE}
        while True:
            page = self._call(lambda c, o: ask(c, params, o))
            yield page
            if not (getattr(page, "has_more", False) and page.data):
                return
            params["starting_after"] = page.data[-1].id

    def _object(self, ask: Callable[[stripe.StripeClient, Any], Any], **about: Any) -> StripeObject:
        found: StripeObject = self._call(ask, **about).to_dict()
        return found

    def _call(
        self,
        ask: Callable[[stripe.StripeClient, Any], T],
        key: str | None = None,
        *,
        optional: bool = False,
        late: bool = False,
    ) -> T:
        """optional, late: see stripe_errors.translated."""
        options: dict[str, Any] = {"max_network_retries": self._retries()}
        if key:
            options["idempotency_key"] = key

        def once() -> T:
            try:
                return ask(self._client, options)
            except stripe.StripeError as error:
                raise translated(error, optional, late) from error

        answer: T = self._retrying(once)
        return answer

    def _retries(self) -> int:
        """One, where the first attempt leaves time for another."""
        left = deadline.remaining()
        return int(left is None or left > self._settings.stripe_timeout + _RETRY_PAUSE_SECONDS)


def _date(answer: Any) -> datetime | None:
    return header_date(getattr(answer.last_response, "headers", None))
