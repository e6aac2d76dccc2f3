"""Which price a request means: the prices of STRIPE_PLANS as Stripe has them, kept, and what
is wrong with them. Knows nothing of who buys; what a pricing page shows is in plans.py.
"""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from portal_service import inputs
from portal_service.config import Plan, Settings
from portal_service.deadline import OutOfTime
from portal_service.errors import ServiceError
from portal_service.log import log
from portal_service.once import Once
from portal_service.stripe_api import Stripe
from portal_service.stripe_errors import (
    KeyForbidden,
    StripeFailed,
    StripeRefused,
    StripeUnavailable,
)
from portal_service.subscription import StripeObject

KEPT_SECONDS = 300.0


@dataclass(frozen=True)
class Problem:
    """A setting that names something which Stripe can't use."""

    variable: str
    id: str
    reason: str


class Prices:
    def __init__(self, settings: Settings, stripe: Stripe) -> None:
        self._settings = settings
        self._stripe = stripe
        self._prices: dict[str, tuple[float, StripeObject | None]] = {}
        self._told = Once()

    def refuse_bad_fields(self, fields: dict[str, Any]) -> None:
        """Refuse what is wrong whatever Stripe sells: asks nobody. Raises ServiceError."""
        inputs.price(fields, self._settings.plans)
        inputs.plan(fields, self._settings.plans)
        inputs.interval(fields)

    def wanted_price(self, fields: dict[str, Any], interval: str | None = None) -> str:
        """The price that a request's plan, with its interval, or its price stands for.

        interval: where the request names none. Without any it is the plan's first price.
        Raises ServiceError: invalid_request, checkout_not_configured.
        """
        plans = self._settings.plans
        if price := inputs.price(fields, plans):
            return price
        plan = inputs.plan(fields, plans)
        interval = inputs.interval(fields) or interval
        return self._price_of(plan, interval) if interval else plan.prices[0]

    def price(self, price_id: str) -> StripeObject | None:
        """A price as it was at most five minutes ago; None where Stripe has none, nothing in it
        where the key may not read prices. Raises StripeUnavailable, OutOfTime.
        """
        return self._price(price_id)

    def is_metered(self, price_id: str) -> bool:
        price = self._price(price_id) or {}
        return (price.get("recurring") or {}).get("usage_type") == "metered"

    def problems(self) -> list[Problem]:
        """What in the settings does not exist at Stripe, under this key, or is archived. A plan's
        first price is what checkout sells by default; others may be archived.
        """
        return [*self._price_problems(), *self._portal_problems()]

    def _price_of(self, plan: Plan, interval: str) -> str:
        """The plan's first active price of one such interval."""
        prices = {price_id: self._price(price_id) for price_id in plan.prices}
        if not any(price and price.get("active") for price in prices.values()):
            log(
                logging.ERROR,
                "STRIPE_PLANS lists no price of a plan that Stripe sells under this key",
                plan=plan.name,
                cure="Correct STRIPE_PLANS, or let STRIPE_SECRET_KEY read prices",
            )
            raise ServiceError("checkout_not_configured")
        sold: dict[str, str] = {}
        for price_id, known in prices.items():
            price = known or {}
            recurring = price.get("recurring") or {}
            if price.get("active") and recurring.get("interval_count") == 1:
                sold.setdefault(recurring["interval"], price_id)
        if interval not in sold:
            raise inputs.invalid_request(
                f"The plan {plan.name} is sold by the {', '.join(sold)}"
                if sold
                else f"The plan {plan.name} is not sold by an interval; send its price"
            )
        return sold[interval]

    def _price(self, price_id: str) -> StripeObject | None:
        """A price, at most five minutes old; None where Stripe has none or does not tell."""
        known = self._prices.get(price_id)
        if known and time.monotonic() - known[0] < KEPT_SECONDS:
            return known[1]
        try:
            price = self._ask(lambda: self._stripe.price(price_id), "prices")
        except (StripeUnavailable, OutOfTime):
            if known is None:
                raise
            price = known[1]
        self._prices[price_id] = time.monotonic(), price
        return price

    def _ask(self, ask: Callable[[], StripeObject], what: str) -> StripeObject | None:
        try:
            return ask()
        except StripeFailed as error:
            if isinstance(error, StripeRefused):
                return None
            if not isinstance(error, KeyForbidden):
                raise
            if self._told.first(what):
                log(
                    logging.WARNING,
                    f"the Stripe key may not read {what}, so they can't be checked",
                    cure="Give STRIPE_SECRET_KEY the permission, see docs/security.md",
                )
            return {}

    def _price_problems(self) -> Iterator[Problem]:
        for plan in self._settings.plans:
            for place, price_id in enumerate(plan.prices):
                price = self._price(price_id)
                if price is None:
                    yield Problem("STRIPE_PLANS", price_id, "does not exist under this key")
                elif price.get("active") is False and place == 0:
                    yield Problem("STRIPE_PLANS", price_id, "is archived")
                elif price and not price.get("recurring"):
                    yield Problem("STRIPE_PLANS", price_id, "is not recurring")

    def _portal_problems(self) -> Iterator[Problem]:
        wanted = self._settings.portal_configuration
        if wanted is None:
            return
        found = self._ask(
            lambda: self._stripe.portal_configuration(wanted), "portal configurations"
        )
        if found is None:
            yield Problem("STRIPE_PORTAL_CONFIGURATION", wanted, "does not exist under this key")
        elif found.get("active") is False:
            yield Problem("STRIPE_PORTAL_CONFIGURATION", wanted, "is archived")
