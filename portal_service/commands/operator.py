"""How a command that sets up the account gets at Stripe: an operator's key, and settings of which
only Stripe's must be there, since the others may be what is being set up.
"""

from collections.abc import Callable
from typing import Any

import click
from flask.cli import ScriptInfo

from portal_service.config import ConfigError, Settings
from portal_service.errors import ServiceError
from portal_service.services import services_of
from portal_service.stripe_errors import KeyForbidden

# What is not asked for here, and so may be missing.
_ASSUMED = {
    "STRIPE_WEBHOOK_SECRET": "whsec_not_there_yet",
    "STRIPE_PLANS": "pro=price_not_there_yet",
    "SUPABASE_URL": "https://not-there-yet.invalid",
    "SUPABASE_SERVICE_ROLE_KEY": "not_there_yet",
    "CLERK_ISSUER": "https://not-there-yet.invalid",
    "APP_URL": "https://not-there-yet.invalid",
}

with_operator_key: Callable[[Any], Any] = click.option(
    "--operator-key",
    envvar="STRIPE_OPERATOR_KEY",
    metavar="rk_…",
    show_envvar=True,
    help="A key that may change what the service's own key may not; else STRIPE_SECRET_KEY.",
)


def settings_for(context: click.Context, key: str | None, *needed: str) -> Settings:
    """Those of the app; where it can't start yet, what there is of them, with `needed` at least.

    Raises click.ClickException.
    """
    assumed = {name: value for name, value in _ASSUMED.items() if name not in needed}
    if key:
        assumed["STRIPE_SECRET_KEY"] = key
    try:
        settings = services_of(context.ensure_object(ScriptInfo).load_app()).settings
    except click.ClickException as error:
        if not isinstance(error.__cause__, ConfigError):
            raise
        try:
            settings = Settings.from_environment(assumed=assumed)
        except ConfigError as problem:
            raise click.ClickException(str(problem)) from problem
    if key and ("_live_" in key[:8]) != settings.livemode:
        raise click.ClickException(
            f"The operator's key is of the other mode than STRIPE_SECRET_KEY ({settings.mode})."
        )
    return settings


def failed(error: ServiceError, permission: str) -> click.ClickException:
    """What an operator is told when Stripe did not do it; the log has Stripe's words."""
    if isinstance(error, KeyForbidden):
        return click.ClickException(
            f"The key may not do this: it needs {permission} at Stripe. Give another one by "
            "--operator-key or STRIPE_OPERATOR_KEY."
        )
    return click.ClickException(f"Stopped: {error.sentence} ({error.code}). Run it again.")
