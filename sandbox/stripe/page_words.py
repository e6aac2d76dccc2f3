"""Words of the hosted pages: names, amounts, dates, and what came of the last press."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sandbox.stripe import pricing

Json = dict[str, Any]


@dataclass(frozen=True)
class Message:
    """What came of the last press of a button; kind is good or bad."""

    kind: str
    text: str


def complaint(error: Exception) -> Message:
    text = str(error.args[0]) if error.args else ""
    return Message("bad", text[:1].upper() + text[1:] + ".")


def name(price: Json, quantity: int | None = 1) -> str:
    many = f" × {quantity}" if (quantity or 1) > 1 else ""
    return str(price["nickname"] or price["id"]) + many


def money(amount: int | Decimal, currency: str) -> str:
    """amount: in the currency's smallest unit, as if each had a hundred."""
    number = f"{amount / 100:,.2f}"
    return f"${number}" if currency == "usd" else f"{number} {currency.upper()}"


def rate(price: Json, quantity: int | None = 1) -> str:
    """`$19.00 a month`, and how it is said where there is no such amount."""
    every = pricing.every(price["recurring"]) if price["recurring"] else "once"
    if price["unit_amount_decimal"] is None:
        return f"by tiers, {every}"
    each = money(Decimal(price["unit_amount_decimal"]), price["currency"])
    if pricing.metered(price):
        return f"{each} per unit used, {every}"
    return f"{money(pricing.amount(price, quantity), price['currency'])} {every}"


def date(moment: int | None) -> str | None:
    return datetime.fromtimestamp(moment, UTC).strftime("%-d %B %Y") if moment else None
