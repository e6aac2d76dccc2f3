"""Two and three unequal requests for checkout at once, in every order of their calls to Stripe."""

from collections.abc import Callable, Set
from functools import cache
from types import ModuleType

import pytest
from interleaved import ASK, CREATE, EXPIRE, LIST, Click, Stage, every_order, pay_page
from stripe._http_client import HTTPClient

from portal_service import deadline, open_session

QUESTIONS = {LIST, CREATE, "answer"}
ALL = {LIST, ASK, EXPIRE, CREATE, "answer"}
UNAVAILABLE = "stripe_unavailable"
MakeStage = Callable[..., Callable[[], Stage]]


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadline, "_JITTER_SECONDS", 0)
    monkeypatch.setattr(HTTPClient, "_sleep_time_seconds", lambda self, retries: 0)


@pytest.fixture(params=["nobody is slow", "everybody is slow"])
def patience(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How long one waits for somebody else's creation: for ever, or not at all, in which case each
    creation counts as a slow one.
    """
    slow = 0.0 if request.param == "everybody is slow" else 1e9
    monkeypatch.setattr(open_session, "SLOW_SECONDS", slow)
    return str(request.param)


STAGE = cache(Stage)


def stage(
    gates: Set[str] = QUESTIONS,
    page: str | None = None,
    faulty: Set[int] = frozenset(),
    module: ModuleType = open_session,
) -> Callable[[], Stage]:
    """page: the wish of an earlier click, whose page is open."""

    def make() -> Stage:
        made = STAGE()
        made.reset(module, gates, faulty)
        made.page = made.click(page) if page else ""
        return made

    return make


def pay(stage: Stage, clicks: list[Click]) -> None:
    """Pay every page that somebody has before them at this moment."""
    for url in [stage.page, *(click.outcome for click in clicks)]:
        pay_page(stage, url)


def check(stage: Stage, clicks: list[Click]) -> None:
    """At most one session is open, one where nobody was told to try again; a second click resolves
    what the first did not; and whatever is paid, there is one subscription.
    """
    outcomes = [click.outcome for click in clicks]
    running = len(stage.running())
    assert running <= 1
    for outcome in outcomes:
        is_page = outcome.startswith("http://stripe/c/pay/")
        assert is_page or outcome in ("already_subscribed", UNAVAILABLE)
    if running:
        assert not stage.sessions("open")
    elif UNAVAILABLE in outcomes:
        assert len(stage.sessions("open")) <= 1
    else:
        (still_open,) = stage.sessions("open")
        assert still_open["url"] in outcomes
    for click in clicks:
        if click.outcome == UNAVAILABLE and not running:
            assert stage.click(click.wish).startswith("http"), "a second click does not help"
            assert len(stage.sessions("open")) == 1
    pay(stage, clicks)
    for session in stage.sessions("open"):
        pay_page(stage, session["url"])
    assert len(stage.running()) == 1
    assert stage.click("pro") == "already_subscribed"


def play(make, wishes, turns, event=None) -> int:
    """How many orders there were; fails in the first that ends badly."""
    count = 0
    for stage, clicks, order in every_order(make, wishes, turns, event):
        count += 1
        try:
            check(stage, clicks)
        except AssertionError as error:
            raise AssertionError(f"order {order}: {[c.outcome for c in clicks]}") from error
    return count
