"""`flask portal link`: claims what a customer bought for whoever pays, where nothing at Stripe says
so: a payment link, the dashboard, another system before this one.
"""

import re
import sys
from dataclasses import dataclass

import click
from flask.cli import with_appcontext

from portal_service.commands.retry import retrying
from portal_service.entitlement import Account
from portal_service.errors import ServiceError
from portal_service.owner import is_owner, kind
from portal_service.services import Services, current_services
from portal_service.stripe_errors import CustomerMissing, NotAtStripe
from portal_service.subscription import StripeObject
from portal_service.supabase_errors import ValueRefused


class _Refused(Exception):
    """Raised with the one line that says why nothing was written."""


@click.command(short_help="Claim what somebody bought elsewhere.")
@click.argument("owner", metavar="user_…|org_…")
@click.argument("customer", metavar="cus_…")
@click.option("--yes", is_flag=True, help="Don't ask before writing, also at a terminal.")
@with_appcontext
def link(owner: str, customer: str, yes: bool) -> None:
    """Claim what a Stripe customer bought for whoever pays: a user of Clerk's or, with
    BILLING_OWNER=organization, an organization.

    Shows what it would do, and asks where somebody sits at a terminal. A customer that is
    somebody's stays theirs. Exits with 1 where nothing was written, or not all of it.
    """
    services = current_services()
    if not is_owner(owner, services.settings):
        raise click.BadParameter(f"{owner} is not of the form {kind(services.settings).prefix}…")
    if not re.fullmatch(r"cus_\w+", customer, re.ASCII):
        raise click.BadParameter(f"{customer} is not of the form cus_…")
    try:
        claim = _Claim.of(retrying(services), owner, customer)
        claim.show()
        if not yes and _at_a_terminal():
            click.confirm("Write this?", abort=True)
        claim.write()
    except _Refused as reason:
        click.echo(str(reason), err=True)
        raise SystemExit(1) from reason
    except ServiceError as error:
        click.echo(f"Stopped: {error.sentence} ({error.code}). Run it again.", err=True)
        raise SystemExit(1) from error


def _at_a_terminal() -> bool:
    return sys.stdin.isatty()


@dataclass
class _Claim:
    """What is to be claimed: the customer, and what Stripe has of it."""

    services: Services
    account: Account
    customer: str
    subscriptions: list[StripeObject]

    @classmethod
    def of(cls, services: Services, owner: str, customer: str) -> "_Claim":
        """Raises _Refused where the customer can't be this owner's."""
        account = services.database.account(owner)
        try:
            found = services.stripe.customer(customer)
        except (NotAtStripe, CustomerMissing) as error:
            raise _Refused(
                f"Stripe has no customer {customer} in {services.settings.mode} mode under "
                "STRIPE_SECRET_KEY: is it of the other mode, or of another account?"
            ) from error
        if found.get("deleted"):
            raise _Refused(f"{customer} was deleted at Stripe: it can't pay for anybody.")
        claim = cls(services, account, customer, [])
        claim._refuse_somebody_elses()
        claim.subscriptions, _ = services.stripe.subscriptions_of(customer)
        if not claim._becomes_the_linked_one:
            claim._refuse_what_no_link_claims()
        return claim

    @property
    def _becomes_the_linked_one(self) -> bool:
        linked = self.account.linked_customer
        return linked in (None, self.customer) or linked in self.account.gone_customers

    def _refuse_somebody_elses(self) -> None:
        database, account = self.services.database, self.account
        owners = {database.owner_of_customer(self.customer)}
        for row in database.rows(self.customer):
            owners.add(row["clerk_owner_id"])
            if row["user_id"] is not None and str(row["user_id"]) != account.user_id:
                owners.add(f"the app's user {row['user_id']}")
        others = owners - {None, account.clerk_owner_id}
        if others:
            names = ", ".join(map(str, others))
            raise _Refused(f"{self.customer} belongs to {names}: a link is never moved.")

    def _refuse_what_no_link_claims(self) -> None:
        """Beside a customer that stays linked, only the rows of this one can be claimed."""
        owner = self.account.clerk_owner_id
        if not self.subscriptions:
            raise _Refused(
                f"{self.customer} has no subscription to claim, and {owner} keeps "
                f"{self.account.linked_customer}."
            )
        for one in self.subscriptions:
            named = self.services.mirror.whose.named_owner(one)
            if named not in (None, owner):
                raise _Refused(f"{self.customer}: the metadata of {one['id']} names {named}.")

    def show(self) -> None:
        account, mode = self.account, self.services.settings.mode
        click.echo(f"{self.customer} ({mode} mode) will belong to {account.clerk_owner_id}:")
        for subscription in self.subscriptions:
            click.echo(f"  {subscription['id']} {subscription['status']}")
        if not self.subscriptions:
            click.echo("  no subscriptions yet")
        if account.user_id is None:
            click.echo("The app's tables don't know this owner (yet); that is no obstacle.")
        if not self._becomes_the_linked_one:
            click.echo(f"{account.linked_customer} stays the customer that checkout sells to.")

    def write(self) -> None:
        """Raises _Refused where not all could be claimed."""
        database, customer, owner = (
            self.services.database,
            self.customer,
            self.account.clerk_owner_id,
        )
        if self._becomes_the_linked_one:
            try:
                database.link_customer(owner, customer)
            except ValueRefused as error:
                raise _Refused(f"{customer} became somebody else's meanwhile.") from error
        names = [subscription["id"] for subscription in self.subscriptions]
        for name in names:
            click.echo(f"{name}: {self.services.mirror.refresh(name, owner)}")
        rows = database.rows_by_id(names)
        missed = [n for n in names if rows.get(n, {}).get("clerk_owner_id") != owner]
        if missed:
            raise _Refused(
                f"{', '.join(missed)} of {customer} could not be claimed: none of STRIPE_PLANS' "
                "prices and products, or not what is asked about."
            )
        click.echo(f"{customer} belongs to {owner}.")
