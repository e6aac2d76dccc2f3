"""What the service's key must be allowed to at Stripe, and how to ask without changing anything:
reads of one object, and writes to objects that don't exist. Stripe looks at the permission first.
"""

from collections.abc import Callable
from typing import Any

from portal_service.stripe_client import StripeClient
from portal_service.stripe_errors import KeyForbidden, StripeRefused

_ONE: Any = {"limit": 1}
_NOTHING: Any = {}
_NOBODYS_PORTAL: Any = {"customer": "cus_portalcheck", "return_url": "https://example.com"}

# Resource and permission, as docs/security.md lists them (held to it by a test) -> a question.
PERMISSIONS: dict[tuple[str, str], Callable[[Any, Any], Any]] = {
    ("Subscriptions", "read"): lambda c, o: c.v1.subscriptions.list(_ONE, o),
    ("Subscriptions", "write"): lambda c, o: c.v1.subscriptions.update(
        "sub_portalcheck", _NOTHING, o
    ),
    ("Subscription Schedules", "write"): lambda c, o: c.v1.subscription_schedules.release(
        "sub_sched_portalcheck", _NOTHING, o
    ),
    ("Customers", "write"): lambda c, o: c.v1.customers.update("cus_portalcheck", _NOTHING, o),
    ("Checkout Sessions", "write"): lambda c, o: c.v1.checkout.sessions.expire(
        "cs_portalcheck", _NOTHING, o
    ),
    ("Customer portal", "write"): lambda c, o: c.v1.billing_portal.sessions.create(
        _NOBODYS_PORTAL, o
    ),
    ("Prices", "read"): lambda c, o: c.v1.prices.list(_ONE, o),
    ("Products", "read"): lambda c, o: c.v1.products.list(_ONE, o),
    ("Events", "read"): lambda c, o: c.v1.events.list(_ONE, o),
}


class KeyUnknown(Exception):
    """Raised when Stripe does not know the key at all (any more)."""


class Permissions(StripeClient):
    """Stripe, asked about what our key may."""

    def lacks(self, resource: str, permission: str) -> bool:
        """Whether Stripe refuses a question of this kind to the key.

        Raises KeyUnknown, StripeUnavailable.
        """
        try:
            self._call(PERMISSIONS[resource, permission], optional=True)
        except KeyForbidden as error:
            if getattr(error.__cause__, "http_status", None) == 401:
                raise KeyUnknown from error
            return True
        except StripeRefused:
            return False  # there is no such object: it may ask
        return False
