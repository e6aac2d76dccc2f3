"""`portal-service serve`: the service under Gunicorn, with the settings that the image uses too."""

import os
import sys

import click

from portal_service.commands.shipped import shipped

SETTINGS = shipped("gunicorn.conf.py", "gunicorn.conf.py")


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[GUNICORN'S OPTIONS]...")
def serve(options: tuple[str, ...]) -> None:
    """Run the service with Gunicorn, until SIGTERM.

    PORT (8000), WEB_CONCURRENCY (2 processes) and THREADS (8 in each) are read from the
    environment. Options of Gunicorn's own, as --bind 127.0.0.1:9000, win over ours.

    Exits with 1 where a setting is missing or wrong, and names each.
    """
    command = [sys.executable, "-m", "gunicorn", "--config", str(SETTINGS), *options]
    # A process anew: the metrics' library decides at its import whether workers share their
    # counters, and here it has been imported.
    os.execv(sys.executable, [*command, "portal_service:create_app()"])  # noqa: S606
