"""`flask portal webhook`: makes the endpoint at Stripe that our webhook needs, and replaces it.

Stripe tells an endpoint's secret once, and can't change its API version: another version is another
endpoint, beside the old one until every replica knows both secrets.
"""

import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import click

from portal_service.commands.env_file import EnvFile
from portal_service.commands.event_ways import Snapshots, Thin, Way
from portal_service.commands.operator import failed, settings_for, with_operator_key
from portal_service.config import Settings
from portal_service.errors import ServiceError
from portal_service.stripe_setup import StripeSetup
from portal_service.subscription import StripeObject

_VARIABLE = "STRIPE_WEBHOOK_SECRET"
_PERMISSION = "Webhook Endpoints: write (Event Destinations: write for --thin)"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@click.command(short_help="Make the webhook endpoint at Stripe.")
@click.argument("address", metavar="https://…")
@click.option("--rotate", is_flag=True, help="Make another endpoint beside the one that is there.")
@click.option("--thin", is_flag=True, help="An event destination with thin events instead.")
@click.option("--remove", metavar="we_…", help="Delete this endpoint; another one must be there.")
@click.option(
    "--env-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the secret into this file (mode 600) instead of printing it.",
)
@click.option("--yes", is_flag=True, help="Don't ask.")
@with_operator_key
@click.pass_context
def webhook(
    context: click.Context,
    address: str,
    rotate: bool,
    thin: bool,
    remove: str | None,
    env_file: Path | None,
    yes: bool,
    operator_key: str | None,
) -> None:
    """Make the webhook endpoint at Stripe, with our events and our API version.

    The secret is shown once, here. Where there is an endpoint already, adds the events that it
    lacks. Exits with 1 where something is left to do, and says what.
    """
    settings = settings_for(context, operator_key)
    url = _checked(address, settings)
    setup = StripeSetup(settings, operator_key)
    way: Way = Thin(setup) if thin else Snapshots(setup)
    try:
        there = way.at(url)
        if remove:
            _remove(way, there, remove, yes)
        elif not there:
            _make(way, url, [], env_file)
        elif rotate:
            _rotate(way, url, there, env_file)
        else:
            _mend(way, there, yes)
    except ServiceError as error:
        raise failed(error, _PERMISSION) from error


def _checked(address: str, settings: Settings) -> str:
    """The webhook's whole address, from that or from the service's. Raises click.UsageError."""
    parts = urlsplit(address)
    ours = f"{settings.url_prefix}/webhook"
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise click.UsageError(f"{address} is no address, as https://billing.example.com")
    if parts.query or parts.fragment:
        raise click.UsageError("The address has no ? and no #.")
    if parts.scheme == "http" and (settings.livemode or parts.hostname not in _LOOPBACK):
        raise click.UsageError("Stripe needs https here; http is for this machine in test mode.")
    if parts.path.rstrip("/") not in ("", ours):
        raise click.UsageError(f"Our webhook's path is {ours} (URL_PREFIX says so).")
    return f"{parts.scheme}://{parts.netloc}{ours}"


def _make(way: Way, url: str, beside: list[StripeObject], env_file: Path | None) -> str:
    """The id of a new endpoint whose secret is somewhere; or there is none."""
    try:
        file = EnvFile(env_file) if env_file else None
        with _all_or_nothing(way) as run:
            made, secret = way.make(url, run)
            if file is None:
                click.echo(f"{_VARIABLE}={secret}")
            else:
                before = file.get(_VARIABLE) if beside else None
                file.set(_VARIABLE, ",".join(filter(None, [secret, before])))
    except OSError as error:
        raise click.ClickException(
            f"{error.filename or env_file}: {error.strerror or error}. Nothing was changed."
        ) from error
    where = f"its secret is in {env_file}" if env_file else "its secret is above, and never again"
    what = f"API version {way.version}" if way.version else "thin events"
    click.echo(f"Made {made} for {url} with {what}; {where}.", err=True)
    return made


@contextmanager
def _all_or_nothing(way: Way) -> Iterator[str]:
    """Takes back what was made where its secret was not told: also after Ctrl-C, when Stripe may
    have made it and we don't know its id. Gives a word that tells it from others.
    """
    run = secrets.token_hex(8)
    try:
        yield run
    except BaseException:
        click.echo("Taking back what was made at Stripe …", err=True)
        try:
            for one in way.marked(run):
                way.delete(one)
        except ServiceError:
            click.echo(f"Not possible now: delete the endpoint with metadata run={run}.", err=True)
        raise


def _rotate(way: Way, url: str, there: list[StripeObject], env_file: Path | None) -> None:
    if len(there) > 1:
        names = ", ".join(one["id"] for one in there)
        raise click.ClickException(
            f"There are several already: {names}. Delete the older ones first, with --remove."
        )
    (old,), thin = there, way.version is None
    made = _make(way, url, there, env_file)
    click.echo(
        "\n1. Configure both secrets, the new one first: "
        f"{_VARIABLE}=<that of {made}>,<that of {old['id']}>\n"
        "2. Replace the replicas. Until then deliveries of the new endpoint are refused; Stripe "
        "sends them again.\n"
        f"3. portal-service webhook {url}{' --thin' if thin else ''} --remove {old['id']}\n"
        "4. Configure the new secret alone.",
        err=True,
    )


def _remove(way: Way, there: list[StripeObject], gone: str, yes: bool) -> None:
    if gone not in {one["id"] for one in there}:
        raise click.ClickException(f"{gone} is no endpoint of this address.")
    stays = [one["id"] for one in there if one["id"] != gone and one["status"] == "enabled"]
    if not stays:
        raise click.ClickException(
            f"{gone} is the only enabled one of this address: nothing would be delivered."
        )
    if not yes and sys.stdin.isatty():
        click.confirm(f"Delete {gone}? {', '.join(stays)} stays.", abort=True)
    way.delete(gone)
    click.echo(f"Deleted {gone}. {', '.join(stays)} stays.")


def _mend(way: Way, there: list[StripeObject], yes: bool) -> None:
    """Add what the endpoint lacks; never take away what the team has beside it."""
    is_whole = len(there) == 1
    for one in there:
        is_whole &= one["api_version"] == way.version
        click.echo(f"{one['id']} is there, with {one['api_version'] or 'no version of its own'}.")
        enabled, is_off = set(one["enabled_events"]), one["status"] != "enabled"
        missing = set() if "*" in enabled else way.events - enabled
        if missing:
            click.echo(f"  + {', '.join(sorted(missing))}")
        if is_off:
            click.echo(f"  {one['status']} → enabled")
        if missing or is_off:
            if not yes and sys.stdin.isatty():
                click.confirm("Change this?", abort=True)
            way.enable(one["id"], sorted(enabled | missing) if missing else None, is_off)
            click.echo("  Changed. Run portal-service sync: something may have been missed.")
    if is_whole:
        click.echo("Its secret can't be shown again; --rotate makes an endpoint with a new one.")
        return
    if len(there) > 1:
        click.echo("Several have this address: delete all but one with --remove.", err=True)
    else:
        click.echo(f"--rotate makes one with {way.version}.", err=True)
    raise SystemExit(1)
