"""`flask portal link`: claims what a customer bought for whoever pays, where nothing at Stripe says
so: a payment link, the dashboard, another system before this one.
"""

import re
import sys

import click
from flask.cli import with_appcontext

from portal_service.commands.patience import patiently
from portal_service.entitlement import Account
from portal_service.errors import ServiceError
from portal_service.services import Services, services
from portal_service.stripe_errors import CustomerMissing, NotAtStripe
from portal_service.subscription import StripeObject
from portal_service.supabase_db import ValueRefused
from portal_service.whose import named_owner


class _Refused(Exception):
    """Raised with the one line that says why nothing was written."""


@click.command()
@click.argument("owner", metavar="user_…")
@click.argument("customer", metavar="cus_…")
@click.option("--yes", is_flag=True, help="Don't ask before writing, also at a terminal.")
@with_appcontext
def link(owner: str, customer: str, yes: bool) -> None:
    """Claim what a Stripe customer bought for a user of Clerk's.

    Shows what it would do, and asks where somebody sits at a terminal. A customer that is
    somebody's stays theirs. Exits with 1 where nothing was written, or not all of it.
    """
    for name, value, prefix in (("user_…", owner, "user"), ("cus_…", customer, "cus")):
        if not re.fullmatch(rf"{prefix}_\w+", value, re.ASCII):
            raise click.BadParameter(f"{value} is not of the form {name}")
    try:
        account = services().database.account(owner)
        subscriptions = _subscriptions(services(), account, customer)
        _show(services(), account, customer, subscriptions)
        if not yes and _at_a_terminal():
            click.confirm("Write this?", abort=True)
        _claim(services(), account, customer, subscriptions)
    except _Refused as reason:
        click.echo(str(reason), err=True)
        raise SystemExit(1) from reason
    except ServiceError as error:
        click.echo(f"Stopped: {error.sentence} ({error.code}). Run it again.", err=True)
        raise SystemExit(1) from error


def _at_a_terminal() -> bool:
    return sys.stdin.isatty()


def _subscriptions(of: Services, account: Account, customer: str) -> list[StripeObject]:
    """What Stripe has of the customer, once it is sure that it can be this owner's."""
    mode = "live" if of.settings.livemode else "test"
    try:
        found = patiently(lambda: of.stripe.customer(customer))
    except (NotAtStripe, CustomerMissing) as error:
        raise _Refused(
            f"Stripe has no customer {customer} in {mode} mode under STRIPE_SECRET_KEY: "
            "is it of the other mode, or of another account?"
        ) from error
    if found.get("deleted"):
        raise _Refused(f"{customer} was deleted at Stripe: it can't pay for anybody.")
    _refuse_somebody_elses(of, account, customer)
    subscriptions = patiently(lambda: of.stripe.subscriptions_of(customer))[0]
    if not _becomes_the_linked_one(account, customer):
        _refuse_what_no_link_claims(of, account, customer, subscriptions)
    return subscriptions


def _refuse_what_no_link_claims(
    of: Services, account: Account, customer: str, subscriptions: list[StripeObject]
) -> None:
    """Beside a customer that stays linked, only the rows of this one can be claimed."""
    if not subscriptions:
        raise _Refused(
            f"{customer} has no subscription to claim, and {account.clerk_owner_id} keeps "
            f"{account.linked_customer}."
        )
    for subscription in subscriptions:
        named = named_owner(subscription, of.settings.plans)
        if named not in (None, account.clerk_owner_id):
            raise _Refused(f"{customer}: the metadata of {subscription['id']} names {named}.")


def _refuse_somebody_elses(of: Services, account: Account, customer: str) -> None:
    owners = {of.database.owner_of_customer(customer)}
    for row in of.database.rows(customer=customer):
        owners.add(row["clerk_owner_id"])
        if row["user_id"] is not None and str(row["user_id"]) != account.user_id:
            owners.add(f"the app's user {row['user_id']}")
    others = owners - {None, account.clerk_owner_id}
    if others:
        raise _Refused(
            f"{customer} belongs to {', '.join(map(str, others))}: a link is never moved."
        )


def _show(of: Services, account: Account, customer: str, subscriptions: list[StripeObject]) -> None:
    mode = "live" if of.settings.livemode else "test"
    click.echo(f"{customer} ({mode} mode) will belong to {account.clerk_owner_id}:")
    for subscription in subscriptions:
        click.echo(f"  {subscription['id']} {subscription['status']}")
    if not subscriptions:
        click.echo("  no subscriptions yet")
    if account.user_id is None:
        click.echo("The app's tables don't know this user (yet); that is no obstacle.")
    if not _becomes_the_linked_one(account, customer):
        click.echo(f"{account.linked_customer} stays the customer that checkout sells to.")


def _becomes_the_linked_one(account: Account, customer: str) -> bool:
    linked = account.linked_customer
    return linked in (None, customer) or linked in account.gone_customers


def _claim(
    of: Services, account: Account, customer: str, subscriptions: list[StripeObject]
) -> None:
    owner = account.clerk_owner_id
    if _becomes_the_linked_one(account, customer):
        try:
            of.database.link_customer(owner, customer)
        except ValueRefused as error:
            raise _Refused(f"{customer} became somebody else's meanwhile.") from error
    for subscription in subscriptions:
        name = subscription["id"]
        outcome = patiently(lambda: of.mirror.refresh(name, owner))  # noqa: B023
        click.echo(f"{name}: {outcome}")
    rows = of.database.rows_by_id([subscription["id"] for subscription in subscriptions])
    missed = [
        subscription["id"]
        for subscription in subscriptions
        if rows.get(subscription["id"], {}).get("clerk_owner_id") != owner
    ]
    if missed:
        raise _Refused(
            f"{', '.join(missed)} of {customer} could not be claimed: none of STRIPE_PLANS' prices "
            "and products, or not what is asked about."
        )
    click.echo(f"{customer} belongs to {owner}.")
