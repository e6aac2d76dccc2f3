"""`python -m portal_service migrate`: the commands that need no app, and so no settings."""

import click

from portal_service.commands import migrate

if __name__ == "__main__":
    click.Group("portal", [migrate], help=__doc__)(prog_name="python -m portal_service")
