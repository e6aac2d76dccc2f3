"""`flask portal forget`: for whoever asks by law to be forgotten. Shows what is held of an owner,
here and at Stripe; then ends what runs, and takes the owner's id away in both places. What the law
wants kept stays: rows that name nobody, and Stripe's customer with its invoices.
"""

from dataclasses import dataclass
from typing import Any

import click
from flask.cli import with_appcontext

from portal_service import leaving, moving
from portal_service.commands.retry import retrying
from portal_service.entitlement import Account
from portal_service.errors import ServiceError
from portal_service.leaving import Held
from portal_service.owner import ORGANIZATION, USER, names_in
from portal_service.services import Services, current_services
from portal_service.stripe_errors import CustomerMissing, NotAtStripe
from portal_service.subscription import StripeObject

# What we wrote into metadata at Stripe that names, or describes, a person.
_NAMES = (
    *(kind.metadata_key for kind in (USER, ORGANIZATION)),
    *(moving.UPDATED_AT, *moving.WRITTEN.values()),
)
_ENDS = {
    "cancel_at_period_end": "ends with its period, or at once where it has none",
    "cancel_now": "ends at once",
    "keep": "goes on",
}


class _Refused(Exception):
    """Raised with the one line that says why nobody was forgotten."""


@click.command(
    short_help="Forget a user, or an organization, of Clerk's; shows first what is held."
)
@click.argument("owner", metavar="user_…|org_…")
@click.option("--yes", is_flag=True, help="Do it; without, it is only shown.")
@with_appcontext
def forget(owner: str, yes: bool) -> None:
    """Forget a user, or an organization, of Clerk's.

    Shows what is held here and at Stripe. With --yes it ends what runs, as ON_OWNER_DELETED says,
    and takes the owner's id away. Exits with 1 where nothing, or not all, could be done.
    """
    if not (USER.has(owner) or ORGANIZATION.has(owner)):
        raise click.BadParameter(f"{owner} is neither of the form user_… nor org_…")
    try:
        known = _Known.of(retrying(current_services()), owner)
        known.show()
        known.refuse_to_keep()
        if yes:
            known.forget()
        else:
            click.echo("Nothing was changed. Run it with --yes to do this.")
    except _Refused as reason:
        click.echo(str(reason), err=True)
        raise SystemExit(1) from reason
    except ServiceError as error:
        click.echo(f"Stopped: {error.sentence} ({error.code}). Run it again.", err=True)
        raise SystemExit(1) from error


@dataclass
class _Known:
    """What is known of an owner, in the mode of our key. held: of each customer that Stripe has."""

    services: Services
    account: Account
    held: list[Held]

    @classmethod
    def of(cls, services: Services, owner: str) -> "_Known":
        account = leaving.account_of(services, owner)
        known = cls(services, account, [])
        for customer in moving.own_customers(account):
            try:
                known.held.append(Held.by(services, account, customer))
            except CustomerMissing:
                continue  # at Stripe nothing is left of it
        return known

    def refuse_to_keep(self) -> None:
        """Raises _Refused where something would go on, and be nobody's."""
        keep = self.services.settings.on_owner_deleted == "keep"
        if keep and any(held.ours for held in self.held):
            raise _Refused(
                "Nobody was forgotten: something runs, and ON_OWNER_DELETED is keep. End it in "
                "Stripe's dashboard first, or set ON_OWNER_DELETED for this run."
            )

    def show(self) -> None:
        account, settings = self.account, self.services.settings
        click.echo(f"{account.clerk_owner_id} ({settings.mode} mode)\nHeld here:")
        click.echo(f"  the app's user: {account.user_id or 'none'}")
        click.echo(f"  the linked customer: {account.linked_customer or 'none'}")
        for row in moving.own_rows(account):
            click.echo("  the row of {stripe_subscription_id}: {status}, {stripe_customer_id}"
                       .format_map(row))  # fmt: skip
        click.echo("At Stripe:" if self.held else "At Stripe: nothing")
        for held in self.held:
            said = self._customer(held.customer)
            about = (
                ", ".join(said[f] for f in moving.WRITTEN if said.get(f)) or "no address or name"
            )
            click.echo(f"  {held.customer}: {about}")
            for one in held.ours:
                click.echo(f"    {one['id']}: {one['status']}, {_ENDS[settings.on_owner_deleted]}")
            for one in held.others:
                click.echo(f"    {one['id']}: {one['status']}, none of ours, is left alone")

    def forget(self) -> None:
        services, owner = self.services, self.account.clerk_owner_id
        click.echo(f"Subscriptions at Stripe: {leaving.leave(services, owner)}")
        for held in self.held:
            self._take_names_away(held)
        counts = services.database.forget_owner(owner)
        click.echo("Here {subscriptions} rows and {customers} links name nobody any more."
                   .format_map(counts))  # fmt: skip
        if counts["of_the_other_mode"]:
            click.echo(f"{counts['of_the_other_mode']} more are of the other mode: run it again "
                       "with that mode's STRIPE_SECRET_KEY.")  # fmt: skip
        if self.held:
            names = ", ".join(held.customer for held in self.held)
            click.echo(f"At Stripe remain, since books have to be kept: {names}, with address, "
                       "name, cards and invoices, and the metadata of paid checkout sessions. "
                       "Stripe's dashboard deletes or redacts a customer when the time has come.",
                       )  # fmt: skip
        click.echo("The app's own tables, its logs and Clerk are yours to look after.")

    def _take_names_away(self, held: Held) -> None:
        moving.change(self.services, held.customer, _without_names)
        listed, _ = self.services.stripe.subscriptions_of(held.customer)
        for subscription in listed:
            if self.account.clerk_owner_id in names_in(subscription):
                changes = _without_names(subscription)
                self.services.stripe.update_subscription(subscription["id"], changes)

    def _customer(self, customer: str) -> dict[str, Any]:
        try:
            return self.services.stripe.customer(customer)
        except NotAtStripe:
            return {}


def _without_names(found: StripeObject) -> moving.Params | None:
    """The parameters that take our names out of an object's metadata; None where it has none."""
    there = [name for name in _NAMES if name in found["metadata"]]
    return {"metadata": dict.fromkeys(there, "")} if there else None
