"""What `check` learns by signed events through the running service's public address: whether it
answers, by which secret, and whether it trusts as many proxies as stand in front of it.
"""

import json
from collections.abc import Iterator
from typing import Any

from portal_service.commands.check_webhook import is_ours
from portal_service.commands.findings import Check, Finding, Subject, green, red, yellow
from portal_service.connection import Answer
from portal_service.deadline import OutOfTime
from portal_service.slots import TimedOut
from portal_service.stripe_errors import KeyForbidden
from portal_service.stripe_setup import signed_event
from portal_service.transport import NO_ANSWER

_HOPS = "trusted_hops"
_ANSWERS_WITHIN_SECONDS = 4.0
# What a caller would write who wants to be taken for somebody else: an address of documentation
# (RFC 5737), as often as proxies can be trusted, so that one of them is met whatever the setting.

_FORGED = "192.0.2.1"
_FORGED_HEADER = {"X-Forwarded-For": ", ".join([_FORGED] * 9)}


def _secret(subject: Subject) -> Iterator[Finding]:
    """A signed event through the running service: its secret is ours. That Stripe's is the same
    shows in what it delivered, since Stripe tells a secret once and never again.
    """
    for url in _addresses(subject):
        yield from _sent(subject, url)


def _addresses(subject: Subject) -> list[str]:
    if subject.address:
        return [subject.address]
    try:
        known = subject.setup.webhook_endpoints()
    except KeyForbidden:
        return []
    ours = (one["url"] for one in known if is_ours(subject, one["url"]))
    return list(dict.fromkeys(ours))[:3]


def _sent(subject: Subject, url: str) -> Iterator[Finding]:
    try:
        answer = _asked(subject, url, {})
    except NO_ANSWER as error:
        late = isinstance(error, (TimedOut, OutOfTime))
        yield red(
            "webhook_answers",
            f"{url} {'does not answer in time' if late else 'can not be reached'} from here",
            "Start the service, and look at the proxy in front of it",
        )
        return
    code = _code(answer.body)
    if answer.status == 200:
        yield green("webhook_secret", f"{url} takes what STRIPE_WEBHOOK_SECRET signs")
        yield from _hops(subject, url)
    elif code == "invalid_signature":
        yield red(
            "webhook_secret",
            f"The service at {url} has another STRIPE_WEBHOOK_SECRET than this environment",
            "Set STRIPE_WEBHOOK_SECRET there to the signing secret of the endpoint, and restart it",
        )
    else:
        yield red(
            "webhook_answers",
            f"{url} answers {answer.status}{f' {code}' if code else ''}",
            "A redirect, a login page or a wrong prefix (URL_PREFIX) stands in the way",
        )


def _asked(subject: Subject, url: str, more: dict[str, str]) -> Answer:
    """Raises what is in NO_ANSWER."""
    secret = subject.settings.stripe_webhook_secrets[0]
    body, headers = signed_event(secret, subject.settings.livemode)
    return subject.transport.ask(
        "stripe", "POST", url, headers | more, body, _ANSWERS_WITHIN_SECONDS
    )


def _code(body: bytes) -> str | None:
    code = _member(body, "code")
    return code if isinstance(code, str) else None


def _member(body: bytes, name: str) -> Any:
    try:
        answer = json.loads(body)
    except ValueError:
        return None
    return answer.get(name) if isinstance(answer, dict) else None


def _hops(subject: Subject, url: str) -> Iterator[Finding]:
    """Whose address the service takes a caller to have who names one of their own."""
    try:
        answer = _asked(subject, url, _FORGED_HEADER)
    except NO_ANSWER:
        yield _untold(url, "it does not answer a call that names an address itself")
        return
    caller = _member(answer.body, "caller")
    if answer.status != 200:
        yield _untold(url, f"a call that names an address itself is answered {answer.status}")
    elif not isinstance(caller, dict):
        yield _untold(url, "the service there does not say what it gets, as older releases don't")
    else:
        yield trusted_hops(url, caller)


def _untold(url: str, why: str) -> Finding:
    return yellow(
        _HOPS,
        f"It can't be told at {url}: {why}",
        "Set TRUSTED_PROXY_HOPS to the number of proxies between the internet and the service",
    )


def trusted_hops(url: str, caller: dict[str, Any]) -> Finding:
    """What is said of the service's answer to a caller who wrote `_FORGED_HEADER`.

    Yellow at worst: nothing of ours is decided by an address, since limits are per user. But
    traces, error reports and an app around ours show it, and the time in a queue is told by a
    proxy that is trusted.
    """
    said = [part.strip() for part in caller["forwarded_for"].split(",") if part.strip()]
    real = [address for address in said if address != _FORGED]
    address, trusted = caller["address"], caller["trusted_proxy_hops"]
    if address == _FORGED:
        meaning = "whoever calls is taken to have the address that they name themselves"
    elif trusted == len(real) or _is_the_callers(address, real):
        return green(_HOPS, f"{url}: {_in_front(real)}, and as many are trusted")
    else:
        meaning = "a proxy's address is taken for everybody's"
    cure = f"Set TRUSTED_PROXY_HOPS to {len(real)} there (in an app of your own: its ProxyFix too)"
    if not real:
        cure += ", or let the proxy write X-Forwarded-For as docs/docker.md has it"
    return yellow(_HOPS, f"{url}: {_in_front(real)}, {trusted} trusted: {meaning}", cure)


def _in_front(real: list[str]) -> str:
    proxies = "1 proxy in front says" if len(real) == 1 else f"{len(real)} proxies in front say"
    return f"{proxies} whose call it is"


def _is_the_callers(address: str | None, real: list[str]) -> bool:
    """Whether an app around ours found it, whatever our setting. On one machine all look alike."""
    return real[:1] == [address] and not (address or "").startswith(("127.", "::1"))


SECRET = Check("webhook_secret", _secret)
