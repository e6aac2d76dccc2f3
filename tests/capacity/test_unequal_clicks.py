"""Unequal requests for checkout at the same moment, over HTTP: one session is open at the end, each
caller gets a page or an answer that one more click resolves, and whatever is paid, nobody pays for
two subscriptions.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest
from service_under_test import Json, Log, OtherStripe, Service, link, linked, refused
from werkzeug.test import TestResponse

from portal_service import deadline, open_session
from portal_service.config import Plan
from portal_service.subscription import is_running_at_stripe
from sandbox.stripe.state import StripeState
from sandbox.world import clerk_id

PLANS = (
    Plan("pro", ("price_pro", "price_pro_year"), ("prod_pro",)),
    Plan("team", ("price_team", "price_team_year"), ("prod_team",)),
)
PLAIN: Json = {"plan": "pro"}
OTHERS: dict[str, Json] = {
    "plan": {"plan": "team"},
    "price": {"price": "price_pro_year"},
    "quantity": {"plan": "pro", "quantity": 2},
    "interval": {"plan": "team", "interval": "year"},
    "locale": {"plan": "pro", "locale": "de"},
    "return path": {"plan": "pro", "return_path": "/settings"},
    "two return paths": {"plan": "team", "return_path": "/pricing"},
}
Replicas = list[Service]


@dataclass
class Person:
    """Who clicks in several tabs at once, and what each tab was answered."""

    name: str
    bodies: list[Json]
    is_known: bool = False
    answers: list[TestResponse] = field(default_factory=list)


@pytest.fixture
def replicas(service_at: Callable[..., Service], other_stripe: OtherStripe) -> Replicas:
    """Two apps over the same world."""
    changes: Json = {"plans": PLANS, "rate_limit": "1000/minute"}
    return [service_at(other_stripe, **changes) for _ in range(2)]


def click_at_once(apps: Replicas, stripe: StripeState, people: list[Person]) -> None:
    """All tabs of all people at the same moment, taking turns with the apps."""
    for person in people:
        if person.is_known:
            link(apps[0].world, stripe.create_customer()["id"], person.name)
    tabs = [(person, body) for person in people for body in person.bodies]
    with ThreadPoolExecutor(len(tabs)) as browser:
        under_way = [
            browser.submit(apps[n % len(apps)].checkout, person.name, body)
            for n, (person, body) in enumerate(tabs)
        ]
    for (person, _), answer in zip(tabs, under_way, strict=True):
        person.answers.append(answer.result())


def sessions_of(stripe: StripeState, person: Person, status: str) -> list[Json]:
    return [
        session
        for session in stripe.sessions.values()
        if session["metadata"].get("clerk_user_id") == clerk_id(person.name)
        and session["status"] == status
    ]


def check(apps: Replicas, stripe: StripeState, person: Person) -> None:
    codes = [answer.status_code for answer in person.answers]
    assert set(codes) <= {200, 503}, [answer.text for answer in person.answers]
    still_open = sessions_of(stripe, person, "open")
    assert len(still_open) <= 1
    assert len(still_open) == 1 or 503 in codes
    urls = [(answer.json or {})["url"] for answer in person.answers if answer.status_code == 200]
    for body, answer in zip(person.bodies, person.answers, strict=True):
        if answer.status_code == 503:
            assert answer.headers["Retry-After"]
            again = apps[-1].checkout(person.name, body)
            assert again.status_code == 200, again.text
            urls.append((again.json or {})["url"])
    (still_open,) = sessions_of(stripe, person, "open")
    assert still_open["url"] in urls
    customers = [
        c["id"] for c in stripe.customers.values()
        if person.is_known or c["metadata"].get("clerk_user_id") == clerk_id(person.name)
    ]  # fmt: skip
    assert still_open["customer"] == linked(apps[0].world)[clerk_id(person.name)]
    assert person.is_known or customers == [still_open["customer"]]

    for url in urls:  # every page that somebody has before them
        session_id = url.rpartition("/")[2]
        if stripe.sessions[session_id]["status"] == "open":
            stripe.checkout(session_id, "pay")
    subscriptions = stripe.subscriptions.values()
    running = [s for s in subscriptions if s["customer"] == still_open["customer"]]
    assert list(map(is_running_at_stripe, running)) == [True]
    for app in apps:
        refused(app.checkout(person.name, PLAIN), "already_subscribed")


def pairs() -> list[Person]:
    """Each kind of difference, for a new customer and a known one."""
    return [
        Person(f"{name.replace(' ', '-')}-{int(known)}", [PLAIN, body], is_known=known)
        for name, body in OTHERS.items()
        for known in (False, True)
    ]


@pytest.mark.parametrize("latency, how_many", [(0, 1), (0, 2), (150, 2), (400, 1)])
def test_two_tabs_that_differ_leave_one_session(
    replicas: Replicas, other_stripe: OtherStripe, latency: int, how_many: int
) -> None:
    people = pairs()[:: 1 if latency == 0 else 3]
    other_stripe.faults.stripe_latency_ms = latency
    click_at_once(replicas[:how_many], other_stripe.state, people)
    other_stripe.faults.stripe_latency_ms = 0
    for person in people:
        check(replicas[:how_many], other_stripe.state, person)


@pytest.mark.parametrize("is_known", [False, True], ids=["new customer", "known customer"])
def test_eight_tabs_leave_one_session(
    replicas: Replicas, other_stripe: OtherStripe, is_known: bool
) -> None:
    person = Person("eight", [PLAIN, *OTHERS.values()], is_known)
    click_at_once(replicas, other_stripe.state, [person])
    check(replicas, other_stripe.state, person)


def test_who_runs_out_of_time_clicks_once_more(
    replicas: Replicas, other_stripe: OtherStripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadline, "CHECKOUT_SECONDS", 1.5)
    other_stripe.faults.stripe_latency_ms = 150
    person = Person("hasty", [PLAIN, *OTHERS.values()])
    click_at_once(replicas, other_stripe.state, [person])
    monkeypatch.undo()
    other_stripe.faults.stripe_latency_ms = 0
    check(replicas, other_stripe.state, person)


def test_an_old_session_of_the_key_that_is_over_is_handed_to_nobody(
    replicas: Replicas, other_stripe: OtherStripe
) -> None:
    """One tab lists; two others buy the same and something else; then the first goes on, with the
    key that made the session which the third expired.
    """
    others = Person("ada", [PLAIN, {"plan": "team"}])

    def others_click(method: str, path: str) -> None:
        if (method, path) == ("GET", "/v1/checkout/sessions"):
            other_stripe.held = lambda method, path: None
            for body in others.bodies:
                others.answers.append(replicas[1].checkout("ada", body))

    other_stripe.held = others_click
    first = replicas[0].checkout("ada", PLAIN)

    (still_open,) = sessions_of(other_stripe.state, others, "open")
    assert (first.json or {})["url"] == still_open["url"]
    assert len(sessions_of(other_stripe.state, others, "expired")) == 2
    check(replicas, other_stripe.state, Person("ada", [PLAIN], answers=[first]))


# Errors that Stripe keeps with the key of the slot


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long for another wish's creation."""
    monkeypatch.setattr(open_session, "SLOW_SECONDS", 0.05)


@pytest.mark.parametrize("body", [PLAIN, {"plan": "team"}], ids=["the same wish", "another wish"])
def test_a_wish_that_stripe_refused_locks_nobody_out(
    replicas: Replicas, other_stripe: OtherStripe, impatient: None, body: Json
) -> None:
    price = other_stripe.state.prices["price_pro"]
    price["active"] = False
    for _ in range(3):
        refused(replicas[0].checkout(body=PLAIN), "checkout_not_configured")
    price["active"] = True
    person = Person("ada", [body])
    click_at_once(replicas[1:], other_stripe.state, [person])
    check(replicas, other_stripe.state, person)


@pytest.mark.parametrize("body", [PLAIN, {"plan": "team"}], ids=["the same wish", "another wish"])
def test_a_fault_of_stripes_at_each_creation_locks_nobody_out(
    replicas: Replicas, other_stripe: OtherStripe, impatient: None, body: Json
) -> None:
    assert replicas[0].checkout(body=PLAIN).status_code == 200  # prices and customer are known
    (session,) = other_stripe.state.sessions
    other_stripe.state.checkout(session, "expire")

    def break_after_the_questions(method: str, path: str) -> None:
        other_stripe.faults.stripe = "error" if path == "/v1/subscriptions" else "up"

    other_stripe.held = break_after_the_questions
    refused(replicas[0].checkout(body=PLAIN), "stripe_unavailable")
    other_stripe.faults.stripe = "up"
    other_stripe.held = lambda method, path: None

    person = Person("ada", [body])
    click_at_once(replicas[1:], other_stripe.state, [person])
    check(replicas, other_stripe.state, person)


def test_a_new_customer_is_made_once_whatever_stripe_kept(
    replicas: Replicas, other_stripe: OtherStripe
) -> None:
    replicas[0].checkout("somebody", PLAIN)  # the price is known from here on

    def break_down(method: str, path: str) -> None:
        other_stripe.faults.stripe = "up"

    other_stripe.held = break_down
    for _ in range(2):
        other_stripe.faults.stripe = "error"
        assert replicas[0].checkout("eve", PLAIN).status_code in (200, 503)
    other_stripe.faults.stripe = "up"
    person = Person("eve", [PLAIN, {"plan": "team"}])
    click_at_once(replicas, other_stripe.state, [person])
    check(replicas, other_stripe.state, person)


def test_a_lost_race_is_no_error_in_the_log(
    replicas: Replicas, other_stripe: OtherStripe, log: Log
) -> None:
    person = Person("eight", [PLAIN, *OTHERS.values()])
    click_at_once(replicas, other_stripe.state, [person])
    assert {line["level"] for line in log.lines} == {"INFO"}
