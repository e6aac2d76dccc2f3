"""What `check` looks at of the way from Stripe to our webhook: its endpoints, and what arrived. How
the running service answers there is in check_service.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from urllib.parse import urlsplit

from portal_service.commands.findings import Check, Finding, Subject, green, red, yellow
from portal_service.events import USED_EVENTS
from portal_service.stripe_errors import KeyForbidden, StripeRefused
from portal_service.stripe_setup import API_VERSION
from portal_service.subscription import StripeObject

# Without these the table goes wrong; without the others it is late.
_NEEDED = {f"customer.subscription.{change}" for change in ("created", "updated", "deleted")}
_DELIVERED_AFTER = timedelta(minutes=5)
_LOOK_BACK = timedelta(days=3)
_COUNTED = 200


def _endpoints(subject: Subject) -> Iterator[Finding]:
    try:
        known = subject.setup.webhook_endpoints()
    except KeyForbidden:
        yield yellow(
            "webhook_endpoint",
            "It could not be looked at: the key may not read webhook endpoints",
            "Give check an operator's key, by --operator-key or STRIPE_OPERATOR_KEY",
        )
        return
    thin = _thin(subject)
    ours = [one for one in known if is_ours(subject, one["url"])]
    ours_thin = [one for one in thin if is_ours(subject, one["webhook_endpoint"]["url"] or "")]
    if not ours and not ours_thin:
        yield _no_endpoint(subject, known)
        return
    for endpoint in ours:
        yield from _endpoint(subject, endpoint)
    for destination in ours_thin:
        yield from _destination(destination)
    yield from _twins(
        [one["url"] for one in ours] + [one["webhook_endpoint"]["url"] for one in ours_thin]
    )


def is_ours(subject: Subject, url: str) -> bool:
    """Whether it is our webhook's address; where nobody said that, it is told by the path."""
    if subject.address:
        return url.rstrip("/") == subject.address.rstrip("/")
    return urlsplit(url).path.rstrip("/") == f"{subject.settings.url_prefix}/webhook"


def _thin(subject: Subject) -> list[StripeObject]:
    try:
        return subject.setup.thin_destinations()
    except StripeRefused:
        return []  # an account without them
    except KeyForbidden:
        return []


def _no_endpoint(subject: Subject, known: list[StripeObject]) -> Finding:
    wanted = subject.address or f"https://…{subject.settings.url_prefix}/webhook"
    there = ", ".join(one["url"] for one in known) or "none"
    return red(
        "webhook_endpoint",
        f"Stripe has no endpoint {wanted} in {subject.settings.mode} mode (there is: {there})",
        f"portal-service webhook {wanted}",
    )


def _endpoint(subject: Subject, endpoint: StripeObject) -> Iterator[Finding]:
    url = endpoint["url"]
    yield _address(subject, url)
    if endpoint["status"] != "enabled":
        yield red(
            "webhook_status",
            f"{url} is {endpoint['status']}: Stripe sends it nothing, and tries nothing again",
            f"portal-service webhook {url} enables it; then run portal-service sync",
        )
    yield _events(url, set(endpoint["enabled_events"]), USED_EVENTS)
    yield _release(url, endpoint["api_version"])


def _address(subject: Subject, url: str) -> Finding:
    if subject.settings.livemode and not url.startswith("https://"):
        return red("webhook_endpoint", f"{url} is not https", "Serve the webhook over TLS")
    return green("webhook_endpoint", url)


def _destination(destination: StripeObject) -> Iterator[Finding]:
    url = destination["webhook_endpoint"]["url"]
    yield green("webhook_endpoint", f"{url} (thin events)")
    if destination["status"] != "enabled":
        yield red(
            "webhook_status",
            f"{url} is {destination['status']}: Stripe sends it nothing",
            f"portal-service webhook {url} --thin enables it; then run portal-service sync",
        )
    wanted = {f"v1.{name}" for name in USED_EVENTS}
    yield _events(url, set(destination["enabled_events"]), wanted)


def _events(url: str, enabled: set[str], wanted: frozenset[str] | set[str]) -> Finding:
    missing = set() if "*" in enabled else set(wanted) - enabled
    if not missing:
        return green("webhook_events", f"{url} gets all that we use")
    thin = "" if USED_EVENTS & wanted else " --thin"
    say = red if {name.removeprefix("v1.") for name in missing} & _NEEDED else yellow
    return say(
        "webhook_events",
        f"{url} does not get {', '.join(sorted(missing))}",
        f"portal-service webhook {url}{thin} adds them; then run portal-service sync",
    )


def _release(url: str, version: str | None) -> Finding:
    release, ours = (version or "").partition(".")[2], API_VERSION.partition(".")[2]
    if release == ours:
        return green("webhook_release", f"{url} speaks {version}")
    spoken = version or "the account's default version"
    return yellow(
        "webhook_release",
        f"{url} speaks {spoken}, not {API_VERSION}: each event costs a call to Stripe",
        f"portal-service webhook {url} --rotate",
    )


def _twins(urls: list[str]) -> Iterator[Finding]:
    """Two endpoints may stand beside each other for a rotation; then one should go."""
    twice = sorted({url for url in urls if urls.count(url) > 1})
    if twice:
        yield yellow(
            "webhook_twins",
            f"Several endpoints have the address {', '.join(twice)}: each event comes twice, "
            "signed with different secrets",
            "List all their secrets in STRIPE_WEBHOOK_SECRET, then delete all but one: "
            "portal-service webhook … --remove we_…",
        )
    elif len(urls) > 1:
        yield yellow(
            "webhook_twins",
            f"Several endpoints look like ours: {', '.join(urls)}",
            "Name yours with --url, and delete those that nobody needs",
        )


def _deliveries(subject: Subject) -> Iterator[Finding]:
    """Whether what Stripe sent lately arrived."""
    stripe, now = subject.services.stripe, datetime.now(UTC)
    between = {
        "gte": int((now - _LOOK_BACK).timestamp()),
        "lte": int((now - _DELIVERED_AFTER).timestamp()),
    }
    types = sorted(USED_EVENTS)
    try:
        failed = stripe.events(types=types, created=between, delivery_success=False)
        lost = list(islice(failed, _COUNTED))
        newest = next(stripe.events(types=types, created=between), None) if lost else None
    except KeyForbidden:
        return  # which `permissions` says
    if not lost:
        yield green("webhook_deliveries", "What Stripe sent in the last three days arrived")
        return
    now_too = newest is not None and newest["id"] == lost[0]["id"]
    say = red if now_too else yellow
    yield say(
        "webhook_deliveries",
        f"{len(lost)} events of the last three days were not delivered"
        f"{', the newest one too' if now_too else ''}: a wrong secret, or no answer",
        "Mend what is red here, then run portal-service replay",
    )


ENDPOINTS = Check("webhook_endpoint", _endpoints)
DELIVERIES = Check("webhook_deliveries", _deliveries)
