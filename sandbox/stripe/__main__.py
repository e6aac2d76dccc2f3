"""`python -m sandbox.stripe`: Stripe's stand-in on its own, for anybody's tests."""

import argparse
import sys
from pathlib import Path

from sandbox.command_line import parser, serve
from sandbox.faults import Faults
from sandbox.stripe import API_KEY, WEBHOOK_SECRET, api, control, initial_catalogue, shapes
from sandbox.stripe.state import StripeState
from sandbox.stripe.webhooks import Webhooks

DESCRIPTION = """A stand-in for Stripe: customers, products, prices, Checkout, the billing portal,
subscriptions and signed webhooks, in memory. No account and no network are needed, and no money
moves. Point an official SDK at the address that is printed."""

WELCOME = """\
Stripe's stand-in is at {url} (Ctrl-C stops it and forgets everything)

  API keys   {keys}
  Python     stripe.StripeClient("{key}", base_addresses={{"api": "{url}"}})
  Prices     {prices}
  Webhooks   {webhooks}

The `url` of a checkout or portal session opens a page here. Without a browser:
  curl {url}/_sandbox/stripe/checkout/cs_test_… -d '{{"action": "pay"}}'
  curl {url}/_sandbox/stripe/subscriptions -d '{{"customer": "cus_…", "price": "{price}"}}'
  curl {url}/_sandbox/stripe/subscriptions/sub_… -d '{{"action": "fail_payment"}}'
  curl {url}/_sandbox/deliveries
  curl {url}/_sandbox/faults -d '{{"stripe": "rate_limited"}}'
  curl -X POST {url}/_sandbox/reset"""


def main(arguments: list[str] | None = None) -> int:
    options = _options().parse_args(arguments)
    faults = Faults()
    webhooks = Webhooks(options.webhook_secret, faults)
    webhooks.url = options.webhooks
    webhooks.api_version = options.webhook_version
    state = StripeState(
        webhooks, billing_mode=options.billing_mode, initial_catalogue=options.catalogue
    )
    keys = options.api_key or [API_KEY]
    app = api.create_app(state, faults, set(keys))
    app.register_blueprint(control.blueprint(state, faults))
    sent = f"to {options.webhooks}, signed with {options.webhook_secret}"

    def welcome(url: str) -> str:
        return WELCOME.format(
            url=url,
            key=keys[0],
            keys=", ".join(keys),
            price=next(iter(state.prices), "price_…"),
            prices=", ".join(state.prices) or "none yet: create some over the API",
            webhooks=sent if options.webhooks else "none are sent; --webhooks URL sends them",
        )

    try:
        return serve(app, options, welcome)
    finally:
        webhooks.stop()


def _options() -> argparse.ArgumentParser:
    options = parser("sandbox.stripe", DESCRIPTION, port=12111)
    options.add_argument(
        "--api-key",
        action="append",
        metavar="KEY",
        help=f"secret key that calls may use; may be given several times (default: {API_KEY})",
    )
    _add_webhooks(options)
    options.add_argument(
        "--catalogue",
        type=_catalogue,
        default=initial_catalogue.SANDBOX,
        metavar="FILE",
        help="JSON with the products and prices to begin with: "
        '{"products": [{"id": "prod_a", "name": "A"}], "prices": [{"id": "price_a", '
        '"product": "prod_a", "unit_amount": 1900, "recurring": {"interval": "month"}}]} '
        "(default: two plans, Pro and Team, and some more)",
    )
    options.add_argument(
        "--billing-mode",
        choices=("flexible", "classic"),
        default="flexible",
        help="billing mode of new subscriptions (default: %(default)s)",
    )
    return options


def _add_webhooks(options: argparse.ArgumentParser) -> None:
    options.add_argument(
        "--webhooks",
        type=_url,
        metavar="URL",
        help="endpoint that events are sent to (default: none)",
    )
    options.add_argument(
        "--webhook-secret",
        default=WEBHOOK_SECRET,
        metavar="SECRET",
        help="signing secret of the endpoint (default: %(default)s)",
    )
    options.add_argument(
        "--webhook-version",
        default=shapes.API_VERSION,
        metavar="RELEASE",
        help="API release in which the endpoint gets its events (default: %(default)s)",
    )


def _url(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError(f"{text!r} is no address such as http://localhost:8000/…")
    return text


def _catalogue(path: str) -> initial_catalogue.InitialCatalogue:
    try:
        return initial_catalogue.read(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"{path} can't be used: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
