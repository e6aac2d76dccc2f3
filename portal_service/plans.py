"""What is for sale, for a pricing page: the plans of STRIPE_PLANS and their prices, as Stripe has
them and kept for a minute. Which price a purchase is for is decided in prices.py.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from portal_service.config import Plan, Settings
from portal_service.deadline import within
from portal_service.errors import RETRY_AFTER_SECONDS
from portal_service.log import log
from portal_service.once import Once
from portal_service.single_flight import SingleFlight, Waiting
from portal_service.stripe_api import Stripe
from portal_service.stripe_errors import KeyForbidden, NotAtStripe, StripeFailed, StripeUnavailable
from portal_service.subscription import StripeObject

KEPT_SECONDS = 60
# What was known counts for so long while Stripe does not answer.
STALE_SECONDS = 86_400.0
# The one who asks for a newer list waits no longer; the others have the old one meanwhile.
RENEWAL_SECONDS = 5.0
_WARN_AGAIN_SECONDS = 3600.0

Offer = dict[str, Any]


class Plans:
    """waiting: is around each wait for another thread's question to Stripe."""

    def __init__(self, settings: Settings, stripe: Stripe, waiting: Waiting) -> None:
        self._settings = settings
        self._stripe = stripe
        self._first: SingleFlight[Offer] = SingleFlight(waiting)
        self._lock = threading.Lock()
        self._known: Offer | None = None
        self._known_at = 0.0
        self._due_at = 0.0
        self._told = Once(_WARN_AGAIN_SECONDS)

    def for_sale(self) -> Offer:
        """The body of GET /plans.

        Raises StripeUnavailable where nothing is known of the last day, and OutOfTime.
        """
        known = self._known_of_the_last_day()
        if known is None:
            return self._first.run("plans", lambda _: self._first_offer())
        if self._is_due(KEPT_SECONDS):
            with within(RENEWAL_SECONDS):
                return self._renewed() or known
        return known

    def _first_offer(self) -> Offer:
        # Anyone may ask, so Stripe is left alone for a while after each failure.
        if self._is_due(RETRY_AFTER_SECONDS) and (found := self._renewed()):
            return found
        known = self._known_of_the_last_day()
        if known is None:
            raise StripeUnavailable
        return known

    def _known_of_the_last_day(self) -> Offer | None:
        with self._lock:
            is_old = time.monotonic() - self._known_at > STALE_SECONDS
            return None if is_old else self._known

    def _is_due(self, seconds: float) -> bool:
        """Whether it is time to ask. Says so to one caller, and to the next after `seconds`."""
        with self._lock:
            if time.monotonic() < self._due_at:
                return False
            self._due_at = time.monotonic() + seconds
            return True

    def _renewed(self) -> Offer | None:
        """What Stripe says now; None where it does not say."""
        try:
            offer = self._asked()
        except KeyForbidden:
            self._tell_of_the_key()
            return None
        except StripeFailed:  # the log has it
            return None
        with self._lock:
            self._known, self._known_at = offer, time.monotonic()
            self._due_at = self._known_at + KEPT_SECONDS
        return offer

    def _asked(self) -> Offer:
        settings = self._settings
        trial = (settings.checkout_params or {}).get("subscription_data") or {}
        days = str(trial.get("trial_period_days"))  # Stripe takes text too
        return {
            "plans": [shown for plan in settings.plans if (shown := self._plan(plan))],
            "trial_days": (int(days) or None) if days.isdecimal() else None,
            "livemode": settings.livemode,
        }

    def _plan(self, plan: Plan) -> dict[str, Any] | None:
        """A plan as its product describes it; None where Stripe sells none of its prices."""
        products: dict[str, StripeObject | None] = {}
        sold: list[StripeObject] = []
        for price_id in plan.prices:
            price = _found(self._stripe.price_with_currencies, price_id)
            if not (price and price["active"] and price["recurring"]):
                continue
            if price["product"] not in products:
                products[price["product"]] = _found(self._stripe.product, price["product"])
            if (products[price["product"]] or {}).get("active"):
                sold.append(price)
        if not sold:
            self._tell_of_nothing_sold(plan)
            return None
        product = products[sold[0]["product"]] or {}
        return {
            "plan": plan.name,
            "name": product["name"],
            "description": product["description"],
            "features": [feature["name"] for feature in product["marketing_features"]],
            "prices": [_price(price) for price in sold],
        }

    def _tell_of_the_key(self) -> None:
        if self._told.first("forbidden"):
            log(
                logging.ERROR,
                "GET /plans has no prices: Stripe refuses them to STRIPE_SECRET_KEY",
                cure="Give the key the permissions Products: read and Prices: read, "
                "see docs/security.md",
            )

    def _tell_of_nothing_sold(self, plan: Plan) -> None:
        if self._told.first(plan.name):
            log(
                logging.WARNING,
                "a plan is left out of GET /plans: Stripe sells none of its prices",
                plan=plan.name,
                prices=", ".join(plan.prices),
                cure="Correct STRIPE_PLANS for the mode of STRIPE_SECRET_KEY, or take the price "
                "and its product out of the archive",
            )


def _found(ask: Callable[[str], StripeObject], stripe_id: str) -> StripeObject | None:
    try:
        return ask(stripe_id)
    except NotAtStripe:
        return None


def _price(price: StripeObject) -> dict[str, Any]:
    recurring = price["recurring"]
    return {
        "price_id": price["id"],
        "lookup_key": price["lookup_key"],
        **_amounts(price),
        "currency": price["currency"],
        "currency_options": {
            currency: _amounts(option)
            for currency, option in (price.get("currency_options") or {}).items()
        },
        "interval": recurring["interval"],
        "interval_count": recurring["interval_count"],
        "usage_type": recurring["usage_type"],
        "tiers_mode": price["tiers_mode"],
    }


def _amounts(of: StripeObject) -> dict[str, Any]:
    """In the currency's smallest unit. Stripe has no whole amount for fractions of it, and none at
    all for tiers.
    """
    exact = of["unit_amount_decimal"]
    return {"amount": of["unit_amount"], "amount_decimal": None if exact is None else str(exact)}
