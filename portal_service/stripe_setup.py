"""How the account is set up at Stripe: webhook endpoints, portal configurations, products. Asked by
commands alone, with the operator's key where there is one; the service needs none of it.
"""

import hashlib
import hmac
import json
import time
from dataclasses import replace
from datetime import datetime
from typing import Any

import stripe

from portal_service.config import Settings
from portal_service.events import CHECK_EVENT
from portal_service.stripe_api import Stripe
from portal_service.stripe_errors import header_date
from portal_service.subscription import StripeObject
from portal_service.transport import Transport

# The release of Stripe's API that we read, and so the one for our endpoint's events.
API_VERSION = stripe.api_version
# Names, types and enumerations of a portal configuration in that release.
PORTAL_PARAMETERS = stripe.params.billing_portal.ConfigurationCreateParams
# Of these what is ours, and the options that the SDK counts among them.
NOT_IN_THE_FILE = frozenset({"metadata", "expand", *stripe.RequestOptions.__annotations__})


class StripeSetup(Stripe):
    """mode: of the key.

    operator_key: where the service's own may not see or change these things.

    transport: the process' own, else one for this alone.
    """

    def __init__(
        self,
        settings: Settings,
        operator_key: str | None = None,
        transport: Transport | None = None,
    ) -> None:
        if operator_key:
            settings = replace(settings, stripe_secret_key=operator_key)
        super().__init__(settings, transport=transport)
        self.mode = settings.mode

    def date(self) -> datetime | None:
        """The present moment on Stripe's clock."""
        found = self._call(lambda c, o: c.v1.subscriptions.list({"limit": 1}, o))
        return header_date(getattr(found.last_response, "headers", None))

    def webhook_endpoints(self) -> list[StripeObject]:
        """Raises KeyForbidden."""
        pages = self._pages(lambda c, p, o: c.v1.webhook_endpoints.list(p, o), {})
        return [one.to_dict() for page in pages for one in page.data]

    def create_webhook_endpoint(self, params: Any) -> StripeObject:
        """The only answer that has its `secret`. Raises KeyForbidden, StripeRefused."""
        return self._object(lambda c, o: c.v1.webhook_endpoints.create(params, o))

    def update_webhook_endpoint(self, endpoint_id: str, params: Any) -> None:
        """Raises KeyForbidden, NotAtStripe."""
        self._call(lambda c, o: c.v1.webhook_endpoints.update(endpoint_id, params, o))

    def delete_webhook_endpoint(self, endpoint_id: str) -> None:
        """Raises KeyForbidden, NotAtStripe."""
        self._call(lambda c, o: c.v1.webhook_endpoints.delete(endpoint_id, {}, o))

    def thin_destinations(self) -> list[StripeObject]:
        """The event destinations that get thin events at an address. Raises KeyForbidden."""
        params: Any = {"include": ["webhook_endpoint.url"], "limit": 100}
        page = self._call(lambda c, o: c.v2.core.event_destinations.list(params, o), optional=True)
        found = [one.to_dict() for one in page.data]
        return [one for one in found if one["event_payload"] == "thin" and one["webhook_endpoint"]]

    def create_thin_destination(self, params: Any) -> StripeObject:
        """The only answer that has its `webhook_endpoint.signing_secret`. Raises KeyForbidden."""
        return self._object(lambda c, o: c.v2.core.event_destinations.create(params, o))

    def update_thin_destination(self, destination_id: str, params: Any) -> None:
        """Raises KeyForbidden, NotAtStripe."""
        self._call(lambda c, o: c.v2.core.event_destinations.update(destination_id, params, o))

    def enable_thin_destination(self, destination_id: str) -> None:
        """Raises KeyForbidden, NotAtStripe."""
        self._call(lambda c, o: c.v2.core.event_destinations.enable(destination_id, {}, o))

    def delete_thin_destination(self, destination_id: str) -> None:
        """Raises KeyForbidden, NotAtStripe."""
        self._call(lambda c, o: c.v2.core.event_destinations.delete(destination_id, {}, o))

    def create_portal_configuration(self, params: Any) -> StripeObject:
        """Raises KeyForbidden, StripeRefused."""
        return self._object(lambda c, o: c.v1.billing_portal.configurations.create(params, o))

    def update_portal_configuration(self, configuration_id: str, params: Any) -> None:
        """Raises KeyForbidden, NotAtStripe, StripeRefused."""
        self._call(
            lambda c, o: c.v1.billing_portal.configurations.update(configuration_id, params, o)
        )


def signed_event(secret: str, livemode: bool) -> tuple[bytes, dict[str, str]]:
    """An event as Stripe would sign it, of a type that nobody uses: its body and headers."""
    now = int(time.time())
    event = {
        "id": "evt_portal_check",
        "object": "event",
        "type": CHECK_EVENT,
        "api_version": API_VERSION,
        "created": now,
        "livemode": livemode,
        "data": {"object": {}},
    }
    body = json.dumps(event).encode()
    digest = hmac.new(secret.encode(), b"%d." % now + body, hashlib.sha256).hexdigest()
    headers = {"Content-Type": "application/json", "Stripe-Signature": f"t={now},v1={digest}"}
    return body, headers
