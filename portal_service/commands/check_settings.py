"""What `check` says of the settings alone: choices that a team should know of, and values that
don't fit each other. Asks nobody. What a single value may be is in config.
"""

from collections.abc import Iterator
from urllib.parse import urlsplit

from portal_service.commands.findings import Check, Finding, Subject, green, red, yellow

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_LONGEST_TRIAL_DAYS = 730  # Stripe's API reference, subscription_data.trial_period_days


def _modes(subject: Subject) -> Iterator[Finding]:
    settings = subject.settings
    key = settings.clerk_publishable_key
    if key and key.startswith("pk_live_") != settings.livemode:
        other = "live" if key.startswith("pk_live_") else "test"
        yield yellow(
            "modes",
            f"STRIPE_SECRET_KEY is of {settings.mode} mode, CLERK_PUBLISHABLE_KEY of {other} mode",
            "Take both from the same environment; test users would else pay, or payers test",
        )
    else:
        yield green("modes", f"{settings.mode} mode")


def _app_url(subject: Subject) -> Iterator[Finding]:
    settings = subject.settings
    parts = urlsplit(settings.app_url)
    is_here = parts.hostname in _LOOPBACK
    if settings.livemode and is_here:
        yield red(
            "app_url",
            f"APP_URL is {settings.app_url}: who has paid comes back to their own machine",
            "Set APP_URL to the address of your app",
        )
    elif parts.scheme == "http" and not is_here:
        yield yellow(
            "app_url",
            f"APP_URL is {settings.app_url}: people come back from paying without TLS",
            "Write https:// into APP_URL",
        )
    else:
        yield green("app_url", f"{', '.join(settings.origins)} may call")


def _past_due(subject: Subject) -> Iterator[Finding]:
    statuses = subject.settings.entitled_statuses
    listed = ",".join(statuses)
    if "past_due" in statuses:
        yield green("past_due", "Whose payment failed keeps access while Stripe tries again")
    else:
        yield green(
            "past_due",
            "Whose payment failed loses access at once, while Stripe still tries again for days "
            f"(ENTITLED_STATUSES={listed}; add past_due to let them stay)",
        )
    if not {"active", "trialing"} <= set(statuses):
        yield yellow(
            "entitled_statuses",
            f"ENTITLED_STATUSES={listed}: some who pay, or are promised a trial, have no access",
            "Add active and trialing, unless that is what you want",
        )


def _trial(subject: Subject) -> Iterator[Finding]:
    params = subject.settings.checkout_params or {}
    given = params.get("subscription_data") or {}
    days = given.get("trial_period_days")
    if isinstance(days, int) and not 1 <= days <= _LONGEST_TRIAL_DAYS:
        yield red(
            "trial",
            f"trial_period_days is {days}: Stripe refuses every checkout",
            f"Set it in STRIPE_CHECKOUT_PARAMS to a number from 1 to {_LONGEST_TRIAL_DAYS}",
        )
    elif not subject.settings.offers_trial:
        yield green("trial", "No trial; who buys pays at once")
    elif params.get("payment_method_collection") == "if_required" and not (
        given.get("trial_settings")
    ):
        yield yellow(
            "trial",
            "A trial begins without a card, and nothing says what happens at its end: Stripe makes "
            "an invoice that nobody can pay",
            "Set subscription_data.trial_settings.end_behavior.missing_payment_method in "
            "STRIPE_CHECKOUT_PARAMS to cancel or pause",
        )
    else:
        yield green("trial", f"A trial of {days or 'a fixed end'} days, once per owner")


MODES = Check("modes", _modes, online=False)
APP_URL = Check("app_url", _app_url, online=False)
PAST_DUE = Check("past_due", _past_due, online=False)
TRIAL = Check("trial", _trial, online=False)
