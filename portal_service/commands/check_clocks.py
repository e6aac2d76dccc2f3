"""What `check` says of the clocks and of the counter of rate limits."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from portal_service.clerk import LEEWAY_SECONDS
from portal_service.commands.findings import Check, Finding, Subject, green, red, yellow
from portal_service.stripe_errors import header_date
from portal_service.transport import NO_ANSWER

# Vendors stamp whole seconds, and the answer took its time.
_UNSURE_SECONDS = 3
_SIGNATURES_FAIL_SECONDS = 240
_SECONDS = 4.0


def _stripe_clock(subject: Subject) -> Iterator[Finding]:
    yield from _clock("clock", "Stripe", subject.setup.date())


def _supabase_clock(subject: Subject) -> Iterator[Finding]:
    url = subject.settings.supabase_url + "/rest/v1/"
    headers = {"apikey": subject.settings.supabase_key}
    try:
        answer = subject.transport.ask("supabase", "GET", url, headers, None, _SECONDS)
    except NO_ANSWER:
        return  # which `supabase` says
    yield from _clock("clock", "Supabase", header_date(answer.headers))


def _clock(name: str, whose: str, theirs: datetime | None) -> Iterator[Finding]:
    if theirs is None:
        return
    apart = abs(datetime.now(UTC) - theirs)
    found = f"Ours and {whose}'s are {apart.total_seconds():.0f} s apart"
    if apart <= timedelta(seconds=LEEWAY_SECONDS + _UNSURE_SECONDS):
        yield green(name, found)
    elif apart >= timedelta(seconds=_SIGNATURES_FAIL_SECONDS):
        yield red(name, f"{found}: webhooks and tokens are refused", "Let NTP set the clock")
    else:
        yield yellow(name, f"{found}: Clerk's tokens are refused", "Let NTP set the clock")


def _rate_limits(subject: Subject) -> Iterator[Finding]:
    uri = subject.settings.rate_limit_storage_uri
    if uri.startswith("memory"):
        yield green("rate_limits", "Each process counts by itself (RATE_LIMIT_STORAGE_URI)")
    elif subject.services.limiter.storage.check():
        yield green("rate_limits", "All processes share one count")
    else:
        yield yellow(
            "rate_limits",
            "The store of RATE_LIMIT_STORAGE_URI does not answer: requests pass uncounted",
            "Start it, or correct the address and the password",
        )


STRIPE_CLOCK = Check("clock", _stripe_clock)
SUPABASE_CLOCK = Check("clock", _supabase_clock)
RATE_LIMITS = Check("rate_limits", _rate_limits)
