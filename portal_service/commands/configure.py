"""`flask portal configure`: what customers may do in Stripe's portal, from a file under version
control. Shows the difference and asks; made once, found again by its metadata, updated after.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from portal_service.commands.operator import failed, settings_for, with_operator_key
from portal_service.commands.portal_toml import QUANTITY, Json, WrongFile, read
from portal_service.config import Settings
from portal_service.errors import ServiceError
from portal_service.stripe_api import OUR_CONFIGURATION, is_our_configuration
from portal_service.stripe_errors import NotAtStripe
from portal_service.stripe_setup import NOT_IN_THE_FILE, PORTAL_PARAMETERS, StripeSetup
from portal_service.subscription import StripeObject

EXAMPLE = Path(__file__).parents[1] / "portal.toml"
_PERMISSION = "Customer portal: write, and Prices: read"
_MOST_PRODUCTS = 10


@click.command(short_help="Make Stripe's portal what portal.toml says.")
@click.option(
    "--file",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("portal.toml"),
    show_default=True,
    help="What customers may do.",
)
@click.option("--example", is_flag=True, help="Print a commented file to begin with, and end.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@with_operator_key
@click.pass_context
def configure(
    context: click.Context, path: Path, example: bool, yes: bool, operator_key: str | None
) -> None:
    """Make the portal's configuration at Stripe what portal.toml says.

    Shows what would change, and asks. What the file does not name stays as it is. The service finds
    the configuration by itself; STRIPE_PORTAL_CONFIGURATION still wins. Exits with 1 where nothing
    was written, though something is to do.
    """
    if example:
        click.echo(EXAMPLE.read_text(), nl=False)
        return
    settings = settings_for(context, operator_key, "STRIPE_PLANS")
    setup = StripeSetup(settings, operator_key)
    try:
        wanted = read(path.read_text(), PORTAL_PARAMETERS, NOT_IN_THE_FILE)
        _fill_in_what_is_sold(wanted, settings, setup)
        _bring_about(setup, settings, wanted, yes)
    except OSError as error:
        raise click.ClickException(
            f"{path}: {error.strerror or error}. --example prints a file to begin with."
        ) from error
    except (UnicodeDecodeError, WrongFile) as error:
        raise click.ClickException(f"{path}:\n{error}\nNothing was written.") from error
    except ServiceError as error:
        raise failed(error, _PERMISSION) from error


def _fill_in_what_is_sold(wanted: Json, settings: Settings, setup: StripeSetup) -> None:
    """`products = "STRIPE_PLANS"` as Stripe wants it. Raises WrongFile."""
    update = wanted.get("features", {}).get("subscription_update", {})
    quantity = update.pop(QUANTITY, None)
    if update.pop("products", None) is None:
        if quantity is not None:
            raise WrongFile(f'{QUANTITY} goes with products = "STRIPE_PLANS"')
        return
    products: dict[str, list[str]] = {}
    for price_id in (one for plan in settings.plans for one in plan.prices):
        price = _price(setup, price_id)
        if price["active"] and price["recurring"]["usage_type"] != "metered":
            products.setdefault(price["product"], []).append(price_id)
    if len(products) > _MOST_PRODUCTS:
        raise WrongFile(f"Stripe takes {_MOST_PRODUCTS} products; STRIPE_PLANS has {len(products)}")
    more = {QUANTITY: quantity} if quantity else {}
    update["products"] = [{"product": p, "prices": sold, **more} for p, sold in products.items()]


def _price(setup: StripeSetup, price_id: str) -> StripeObject:
    try:
        price = setup.price(price_id)
    except NotAtStripe as error:
        raise WrongFile(f"{price_id} of STRIPE_PLANS does not exist under this key") from error
    if not price["recurring"]:
        raise WrongFile(f"{price_id} of STRIPE_PLANS is not recurring")
    return price


def _bring_about(setup: StripeSetup, settings: Settings, wanted: Json, yes: bool) -> None:
    ours = [one for one in setup.portal_configurations() if is_our_configuration(one)]
    if len(ours) > 1:
        names = ", ".join(one["id"] for one in ours)
        raise click.ClickException(
            f"Several carry our mark: {names}. Archive all but one, or take `made_by` off them."
        )
    there = ours[0] if ours else None
    changes = list(differences(there or {}, wanted))
    if there and not changes:
        click.echo(f"{there['id']} is what the file says: nothing to write.")
        _tell_who_wins(settings, there["id"])
        return
    what = f"{there['id']} will change" if there else "A configuration will be made"
    click.echo(f"{what} ({setup.mode} mode):")
    for line in changes:
        click.echo(f"  {line}")
    if not yes:
        if not _at_a_terminal():
            raise click.ClickException("Nothing was written: --yes writes without asking.")
        click.confirm("Write this?", abort=True)
    if there:
        setup.update_portal_configuration(there["id"], wanted)
    else:
        there = setup.create_portal_configuration({**wanted, "metadata": OUR_CONFIGURATION})
    click.echo(f"Written: {there['id']}. The service finds it within five minutes.")
    _tell_who_wins(settings, there["id"])


def _at_a_terminal() -> bool:
    return sys.stdin.isatty()


def _tell_who_wins(settings: Settings, ours: str) -> None:
    if settings.portal_configuration not in (None, ours):
        click.echo(
            f"STRIPE_PORTAL_CONFIGURATION={settings.portal_configuration} wins over it: unset it.",
            err=True,
        )


def differences(there: Any, wanted: Any, at: str = "") -> Iterator[str]:
    """A line for each thing that is wanted otherwise than it is."""
    if isinstance(wanted, dict) and not at.endswith("[]"):
        for name, value in wanted.items():
            old = (there or {}).get(name) if isinstance(there, dict) else None
            yield from differences(old, value, f"{at}.{name}" if at else name)
    elif not _is_so(there, wanted):
        yield f"{at}: {_shown(there)} → {_shown(wanted)}"


def _is_so(there: Any, wanted: Any) -> bool:
    """Whether it is so already; Stripe fills in what was not given, and an order means nothing."""
    if isinstance(wanted, dict):
        return isinstance(there, dict) and all(_is_so(there.get(n), v) for n, v in wanted.items())
    if isinstance(wanted, list):
        left = list(there or ())
        for one in wanted:
            found = next((i for i, old in enumerate(left) if _is_so(old, one)), None)
            if found is None:
                return False
            del left[found]
        return not left
    return (there or "") == wanted if isinstance(wanted, str) else bool(there == wanted)


def _shown(value: Any) -> str:
    return "nothing" if value in (None, "", []) else json.dumps(value, ensure_ascii=False)
