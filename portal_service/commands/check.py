"""`flask portal check`: looks at a whole installation, and says what is wrong and how to mend it.

All checks run side by side, each once; nothing is changed. What they look at is in check_….
"""

import json
import sys
import threading
import time
from collections.abc import Iterator, Sequence

import click
from flask.cli import ScriptInfo

from portal_service import deadline, slots
from portal_service.commands import (
    check_clerk,
    check_clocks,
    check_service,
    check_settings,
    check_stripe,
    check_supabase,
    check_webhook,
)
from portal_service.commands.findings import (
    Check,
    Finding,
    Subject,
    green,
    red,
    without_secrets,
    yellow,
)
from portal_service.config import ConfigError, Settings
from portal_service.errors import ServiceError
from portal_service.log import quiet
from portal_service.services import Services, services_of
from portal_service.stripe_setup import StripeSetup
from portal_service.transport import Transport

# With the start of Python and of the app it stays below 15 s, whatever hangs.
ALL_SECONDS = 9.5
# A check that ends by its own time-outs says more than one that is given up.
_EACH_SECONDS = 9.0
_THREADS = 16
_ORDER = {"red": 0, "yellow": 1, "green": 2}
_FIRST_OF_A_VENDOR = ("supabase", "stripe_key")
_SAID = {
    "stripe_unavailable": "Stripe does not answer",
    "database_unavailable": "Supabase does not answer",
}
_COLORS = {"red": "red", "yellow": "yellow", "green": "green"}

# What hurts most comes first.
CHECKS: tuple[Check, ...] = (
    check_supabase.DATABASE,
    check_stripe.KEY,
    check_stripe.ACCOUNT,
    check_stripe.PERMISSIONS_OF_THE_KEY,
    check_clerk.KEYS,
    check_clerk.ISSUER,
    check_webhook.ENDPOINTS,
    check_service.SECRET,
    check_webhook.DELIVERIES,
    check_stripe.CATALOGUE,
    check_clocks.STRIPE_CLOCK,
    check_clocks.SUPABASE_CLOCK,
    check_settings.MODES,
    check_settings.APP_URL,
    check_settings.TRIAL,
    check_settings.PAST_DUE,
    check_clocks.RATE_LIMITS,
)


@click.command(short_help="Find what is wrong, and how to mend it.")
@click.option("--offline", is_flag=True, help="Look at the variables only; ask nobody.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for machines.")
@click.option(
    "--url", metavar="https://…", help="The webhook's whole address, where its path is not enough."
)
@click.option(
    "--operator-key",
    envvar="STRIPE_OPERATOR_KEY",
    metavar="rk_…",
    show_envvar=True,
    help="A key that may read webhook endpoints and products, where the service's may not.",
)
@click.pass_context
def check(
    context: click.Context, offline: bool, as_json: bool, url: str | None, operator_key: str | None
) -> None:
    """Look at the whole installation: what is wrong, and how to mend it.

    Changes nothing, and takes 15 seconds at most. Exits with 1 if anything is red.
    """
    try:
        services = services_of(context.ensure_object(ScriptInfo).load_app())
    except click.ClickException as error:
        if not isinstance(error.__cause__, ConfigError):
            raise
        findings = [_of_settings(problem) for problem in error.__cause__.problems]
        settings = None
    else:
        settings = services.settings
        with quiet():  # the table says what the log would
            findings = _look(services, operator_key, url, offline)
    _show(findings, settings, operator_key, as_json)
    sys.stdout.flush()
    if any(finding.state == "red" for finding in findings):
        raise SystemExit(1)


def _of_settings(problem: str) -> Finding:
    return red("settings", problem, "Each variable is explained in .env.example")


def _look(
    services: Services, operator_key: str | None, url: str | None, offline: bool
) -> list[Finding]:
    transport = Transport.for_threads(_THREADS)
    subject = Subject(
        services, StripeSetup(services.settings, operator_key, transport), transport, url
    )
    wanted = [one for one in CHECKS if not (offline and one.online)]
    found = [green("settings", "Every variable can be read")]
    for findings in _side_by_side(wanted, subject):
        found += findings
    return sorted(found, key=lambda finding: _ORDER[finding.state])  # which keeps CHECKS' order


def _side_by_side(checks: Sequence[Check], subject: Subject) -> Iterator[list[Finding]]:
    """What each found, in order. One that is not done in time is left to itself."""
    found: dict[int, list[Finding]] = {}

    def run(place: int, one: Check) -> None:
        with slots.background(), deadline.within(_EACH_SECONDS):
            found[place] = _findings(one, subject)

    threads = [
        threading.Thread(target=run, args=each, daemon=True, name=f"check {each[1].name}")
        for each in enumerate(checks)
    ]
    ends_at = time.monotonic() + ALL_SECONDS
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, ends_at - time.monotonic()))
    for place, one in enumerate(checks):
        yield found[place] if place in found else [_hangs(one)]


def _findings(one: Check, subject: Subject) -> list[Finding]:
    found: list[Finding] = []
    try:
        found.extend(one.look(subject))
    except ServiceError as error:
        found.append(_unanswered(one, _SAID.get(error.code, error.sentence)))
    except deadline.OutOfTime:
        found.append(_hangs(one))
    except Exception as error:  # a fault of ours, or an answer that nobody foresaw
        found.append(_unanswered(one, f"It could not be looked at: {type(error).__name__}"))
    return found


def _hangs(one: Check) -> Finding:
    return _unanswered(one, "No answer in time")


def _unanswered(one: Check, found: str) -> Finding:
    """Red once for each vendor; what else could not be asked there follows from it."""
    if one.name in _FIRST_OF_A_VENDOR:
        return red(one.name, found, "Look at the network from here, and the vendor's status page")
    return yellow(one.name, f"Not looked at: {found}", "Mend what is red, then run check again")


def _show(
    findings: list[Finding], settings: Settings | None, operator_key: str | None, as_json: bool
) -> None:
    def shown(text: str | None) -> str | None:
        if text is None:
            return None
        text = without_secrets(text, settings)
        return text.replace(operator_key, "[removed]") if operator_key else text

    lines = [
        {"name": one.name, "state": one.state, "found": shown(one.found), "cure": shown(one.cure)}
        for one in findings
    ]
    counts = {state: sum(one.state == state for one in findings) for state in _ORDER}
    if as_json:
        click.echo(json.dumps({"ok": not counts["red"], **counts, "checks": lines}, indent=2))
        return
    width = max(len(one.name) for one in findings)
    for one in lines:
        state = str(one["state"])
        click.echo(
            f"{click.style(f'{state:6}', _COLORS[state])}  {one['name']:{width}}  {one['found']}"
        )
        if one["cure"]:
            click.echo(f"{'':{width + 10}}→ {one['cure']}")
    click.echo(", ".join(f"{count} {state}" for state, count in counts.items()))
