"""Who pays: a Clerk user or an organization. What BILLING_OWNER means is decided here alone; all
else knows one owner, by Clerk's id. Pure. Whose a subscription of Stripe's is: whose.py.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from portal_service.config import Settings


@dataclass(frozen=True)
class Kind:
    """A kind of owner: how Clerk's ids of it begin, and its name in Stripe's metadata."""

    prefix: str
    metadata_key: str

    def has(self, clerk_id: str) -> bool:
        """Whether it is an id of this kind."""
        return bool(re.fullmatch(self.prefix + r"[\w-]{1,100}", clerk_id, re.ASCII))


USER = Kind("user_", "clerk_user_id")
ORGANIZATION = Kind("org_", "clerk_org_id")
_KINDS = {"user": USER, "organization": ORGANIZATION}  # as BILLING_OWNER names them


@dataclass(frozen=True)
class ActiveOrganization:
    """The one that a session is in. role: without the `org:` that only some tokens write."""

    clerk_org_id: str
    role: str | None


@dataclass(frozen=True)
class Standing:
    """What a caller is to the owner.

    clerk_owner_id: whose subscriptions the caller sees; None: nobody pays for this caller.
    refusal: the code of why the caller may not spend the owner's money; None: they may.
    """

    clerk_owner_id: str | None
    refusal: str | None


def standing(
    clerk_user_id: str, organization: ActiveOrganization | None, settings: Settings
) -> Standing:
    """Of whoever has this verified session."""
    if settings.billing_owner == "user":
        return Standing(clerk_user_id, None)
    if organization is None:
        return Standing(None, "organization_required")
    may_spend = organization.role in settings.billing_org_roles
    return Standing(organization.clerk_org_id, None if may_spend else "not_billing_admin")


def kind(settings: Settings) -> Kind:
    """The kind that owns subscriptions here."""
    return _KINDS[settings.billing_owner]


def other_kind(settings: Settings) -> Kind:
    """The kind whose rows nobody owns here."""
    return next(one for name, one in _KINDS.items() if name != settings.billing_owner)


def is_owner(clerk_id: str, settings: Settings) -> bool:
    """Whether it is an id of the kind that owns subscriptions here."""
    return kind(settings).has(clerk_id)


def named_owner(stripe_object: Mapping[str, Any], settings: Settings) -> str | None:
    """Whom the metadata of one of Stripe's objects names as its owner."""
    named = _metadata(stripe_object).get(kind(settings).metadata_key)
    return named if isinstance(named, str) and is_owner(named, settings) else None


def names_in(stripe_object: Mapping[str, Any]) -> list[Any]:
    """All that its metadata says under our names, of either kind; whoever made it."""
    said = (_metadata(stripe_object).get(one.metadata_key) for one in _KINDS.values())
    return [name for name in said if name]


def metadata(clerk_owner_id: str, *, buyer: str | None = None) -> dict[str, str]:
    """What one of Stripe's objects is told of its owner and, where given, of the user who buys."""
    bought = {USER.metadata_key: buyer} if buyer else {}
    owner = next(one for one in _KINDS.values() if clerk_owner_id.startswith(one.prefix))
    return {**bought, owner.metadata_key: clerk_owner_id}


def _metadata(stripe_object: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = stripe_object.get("metadata") or {}
    return found
