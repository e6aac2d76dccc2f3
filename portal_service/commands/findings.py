"""What a check of `flask portal check` has to say, and what it may ask. Runs and prints nothing."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any, Literal

from portal_service.config import Settings
from portal_service.log import scrub
from portal_service.services import Services
from portal_service.stripe_setup import StripeSetup
from portal_service.transport import Transport

# A shorter one is part of ordinary words, and none at all.
_SHORTEST = 6

State = Literal["red", "yellow", "green"]


@dataclass(frozen=True)
class Finding:
    """What was found under a name; red and yellow with the cure.

    Red: somebody can't pay, can't sign in, or sees what isn't theirs. Yellow: it works, but costs
    something, could not be looked at, or is a choice that the team should know of.
    """

    name: str
    state: State
    found: str
    cure: str | None = None


@dataclass(frozen=True)
class Subject:
    """The installation that is looked at.

    setup: Stripe by the operator's key, where one is given. address: that of our webhook, where
    the operator names it.
    """

    services: Services
    setup: StripeSetup
    transport: Transport
    address: str | None = None

    @property
    def settings(self) -> Settings:
        return self.services.settings


@dataclass(frozen=True)
class Check:
    """name: that of its findings, or the first part of it. online: whether it asks a vendor."""

    name: str
    look: Callable[[Subject], Iterator[Finding]]
    online: bool = True


def red(name: str, found: str, cure: str) -> Finding:
    return Finding(name, "red", found, cure)


def yellow(name: str, found: str, cure: str) -> Finding:
    return Finding(name, "yellow", found, cure)


def green(name: str, found: str) -> Finding:
    return Finding(name, "green", found)


def without_secrets(text: str, settings: Settings | None) -> str:
    """Whatever a vendor repeated: by its form, and by what our settings hold."""
    for secret in _secrets(settings):
        if len(secret) >= _SHORTEST:
            text = text.replace(secret, "[removed]")
    return scrub(text)


def _secrets(settings: Settings | None) -> Iterator[str]:
    for field in fields(settings) if settings else ():
        value: Any = getattr(settings, field.name)
        if not field.repr and value and value != field.default:
            yield from [value] if isinstance(value, str) else value
