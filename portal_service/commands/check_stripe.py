"""What `check` asks Stripe: the key, its permissions, what is sold, what the portal offers."""

from collections.abc import Iterator

from portal_service.commands.account import AnotherAccount, refuse_another_account
from portal_service.commands.findings import Check, Finding, Subject, green, red, yellow
from portal_service.prices import Problem
from portal_service.stripe_api import is_our_configuration
from portal_service.stripe_errors import KeyForbidden, NotAtStripe
from portal_service.stripe_permissions import PERMISSIONS, KeyUnknown, Permissions
from portal_service.subscription import StripeObject

# What is lost without a permission; the first two are asked for by every request.
_LOST = {
    "Subscriptions": "no webhook, refresh or checkout works",
    "Customers": "nobody new can buy",
    "Checkout Sessions": "nobody can buy",
    "Customer portal": "nobody can open the portal",
    "Prices": "intervals can't be told, nor whether a price is metered",
    "Products": "GET /plans, the pricing page, is 503",
    "Events": "replay and sync --since don't work",
}
_COSTS_LITTLE = ("Prices", "Products", "Events")
_FOR_CLERKS_WEBHOOK = (("Subscriptions", "write"), ("Subscription Schedules", "write"))
_MORE = "Developers > API keys > the key > Edit"


def _key(subject: Subject) -> Iterator[Finding]:
    settings = subject.settings
    try:
        subject.services.stripe.ping()
    except KeyForbidden as error:
        if getattr(error.__cause__, "http_status", None) == 401:
            yield red(
                "stripe_key",
                "Stripe does not know STRIPE_SECRET_KEY: it was deleted, rolled or mistyped",
                "Take the key anew from Developers > API keys",
            )
            return
    if settings.stripe_secret_key.startswith("sk_live_"):
        yield yellow(
            "stripe_key",
            "STRIPE_SECRET_KEY may do everything that Stripe can do with the account",
            "Make a restricted key with the permissions of docs/security.md",
        )
    else:
        restricted = "restricted" if settings.stripe_secret_key.startswith("rk_") else "secret"
        yield green("stripe_key", f"A {restricted} key, {settings.mode} mode")


def _account(subject: Subject) -> Iterator[Finding]:
    if not subject.settings.livemode:
        return  # test data is deleted at will: it tells nothing
    try:
        refuse_another_account(subject.services)
    except AnotherAccount as error:
        yield red("stripe_account", str(error), "Take the key from the account that was paid into")
    else:
        yield green("stripe_account", "Stripe knows the subscriptions of the table")


def _permissions(subject: Subject) -> Iterator[Finding]:
    permissions = Permissions(subject.settings, transport=subject.transport)
    missing = False
    for resource, permission in PERMISSIONS:
        for_clerk = (resource, permission) in _FOR_CLERKS_WEBHOOK
        if for_clerk and not subject.settings.clerk_webhook_secrets:
            continue
        try:
            lacks = permissions.lacks(resource, permission)
        except KeyUnknown:
            return  # which `stripe_key` says
        if lacks:
            missing = True
            say = yellow if resource in _COSTS_LITTLE else red
            lost = "who leaves goes on paying" if for_clerk else _LOST[resource]
            name = f"permission_{resource.lower().replace(' ', '_')}"
            yield say(
                name,
                f"STRIPE_SECRET_KEY lacks {resource}: {permission}; {lost}",
                f"{_MORE}: {resource}, {permission}",
            )
    if not missing:
        yield green("permissions", "The key may do all that the service asks for")


def _catalogue(subject: Subject) -> Iterator[Finding]:
    """What is sold and what the portal offers; in one go, so that prices are asked for once."""
    problems = list(subject.services.prices.problems())
    of_prices = [problem for problem in problems if problem.variable == "STRIPE_PLANS"]
    of_portal = [problem for problem in problems if problem.variable != "STRIPE_PLANS"]
    yield from (_problem("prices", problem) for problem in of_prices)
    if not of_prices:
        count = sum(len(plan.prices) for plan in subject.settings.plans)
        names = ", ".join(plan.name for plan in subject.settings.plans)
        yield green("prices", f"{count} can be sold, of {names}")
    yield from _products(subject)
    if of_portal:
        yield from (_problem("portal_configuration", problem) for problem in of_portal)
    else:
        yield from _portal(subject)


def _problem(name: str, problem: Problem) -> Finding:
    return red(
        name,
        f"{problem.id} of {problem.variable} {problem.reason}",
        f"Correct {problem.variable}, for the mode and account of STRIPE_SECRET_KEY",
    )


def _products(subject: Subject) -> Iterator[Finding]:
    """Those of the prices that are sold, and those that the settings name."""
    settings = subject.settings
    wanted: dict[str, str] = {}
    for plan in settings.plans:
        wanted.update(dict.fromkeys(plan.products, "STRIPE_PLANS"))
        prices = (subject.services.prices.price(one) for one in plan.prices)
        sold = [price["product"] for price in prices if price and price.get("active")]
        wanted.update(dict.fromkeys(settings.ignored_products, "STRIPE_IGNORED_PRODUCTS"))
        for product in sold:
            wanted.setdefault(product, "a price of STRIPE_PLANS")
    try:
        found = [one for item in wanted.items() for one in _product(subject, *item)]
    except KeyForbidden:
        return  # which `permissions` says
    yield from found or [green("products", f"{len(wanted)} are there")]


def _product(subject: Subject, product: str, where: str) -> Iterator[Finding]:
    ignored = where == "STRIPE_IGNORED_PRODUCTS"
    name = "ignored_products" if ignored else "products"
    try:
        found = subject.setup.product(product)
    except NotAtStripe:
        say = yellow if ignored else red
        yield say(
            name,
            f"{product} of {where} does not exist under this key",
            "Correct it, for the mode and account of STRIPE_SECRET_KEY",
        )
    else:
        if not found["active"] and not ignored:
            yield red(
                name,
                f"{product} of {where} is archived: Stripe refuses to sell its prices",
                "Unarchive it in the product catalogue, or take its prices out of STRIPE_PLANS",
            )


def _portal(subject: Subject) -> Iterator[Finding]:
    wanted = subject.settings.portal_configuration
    try:
        all_of_them = subject.setup.portal_configurations()
    except KeyForbidden:
        return  # which `permissions` says
    ours = [c for c in all_of_them if is_our_configuration(c)]
    default = [c for c in all_of_them if c["is_default"]]
    chosen = [c for c in all_of_them if c["id"] == wanted] if wanted else ours or default
    if len(ours) > 1 and not wanted:
        names = ", ".join(c["id"] for c in ours)
        yield yellow(
            "portal_configuration",
            f"Several carry the mark of portal-service configure: {names}",
            "Archive all but one, or name one in STRIPE_PORTAL_CONFIGURATION",
        )
    if not chosen:
        yield red(
            "portal_configuration",
            f"The portal was never configured in {subject.settings.mode} mode: nobody can open it",
            "portal-service configure, or save the settings once in Settings > Billing > Customer "
            "portal (for this mode)",
        )
        return
    fine = True
    for finding in _offers(subject, chosen[0]):
        fine = False
        yield finding
    if fine:
        yield green("portal_configuration", f"{chosen[0]['id']} offers what STRIPE_PLANS sells")


def _offers(subject: Subject, configuration: StripeObject) -> Iterator[Finding]:
    features = configuration["features"]
    for feature, lost in (
        ("subscription_cancel", "cancel"),
        ("payment_method_update", "give another card"),
    ):
        if not (features.get(feature) or {}).get("enabled"):
            yield yellow(
                "portal_features",
                f"Customers can't {lost} in the portal ({feature} is off)",
                "Switch it on in portal.toml (portal-service configure), or in the dashboard",
            )
    sold = _switchable_prices(subject)
    if len(sold) < 2:
        return
    update = features.get("subscription_update") or {}
    offered = {price for each in update.get("products") or () for price in each["prices"]}
    missing = sold if not update.get("enabled") else [p for p in sold if p not in offered]
    if missing:
        yield yellow(
            "portal_prices",
            f"Customers can't switch to {', '.join(missing)} in the portal",
            "portal-service configure adds them; or Settings > Billing > Customer portal",
        )


def _switchable_prices(subject: Subject) -> list[str]:
    known = subject.services.prices
    found = {one: known.price(one) for p in subject.settings.plans for one in p.prices}
    return [
        name
        for name, price in found.items()
        if price
        and price.get("active")
        and (price.get("recurring") or {}).get("usage_type") != "metered"
    ]


KEY = Check("stripe_key", _key)
ACCOUNT = Check("stripe_account", _account)
PERMISSIONS_OF_THE_KEY = Check("permissions", _permissions)
CATALOGUE = Check("prices", _catalogue)
