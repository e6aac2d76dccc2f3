"""The command `portal-service`, also as `python -m portal_service`: what `flask portal …` has, and
`serve`. Settings are read when a command needs them, from the environment and `.env`.
"""

import click
from dotenv import load_dotenv
from flask import Flask
from flask.cli import ScriptInfo

from portal_service import ConfigError, __version__, create_app
from portal_service.commands import NAMES, OnDemand


def _app() -> Flask:
    """For the commands that need one."""
    try:
        return create_app()
    except ConfigError as error:
        raise click.ClickException(str(error)) from error


@click.group(commands=OnDemand(*NAMES, "serve"))
@click.version_option(__version__, message="portal-service %(version)s")
def main() -> None:
    """Stripe's customer portal, checkout and subscription status for Clerk and Supabase.

    Settings come from the environment, and from .env in the current folder where there is one.
    `migrate` needs none, `webhook` and `configure` Stripe's alone.
    """
    load_dotenv(".env")  # as wsgi.py does; real variables win
    click.get_current_context().obj = ScriptInfo(create_app=_app, set_debug_flag=False)


if __name__ == "__main__":
    main()
