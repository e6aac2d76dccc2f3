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


@pytest.fixture
def nobody_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_session, "SLOW_SECONDS", 1e9)


@pytest.fixture
def everybody_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for somebody else's creation, and each one counts as a slow one."""
    monkeypatch.setattr(open_session, "SLOW_SECONDS", 0.0)


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
        assert len(stage.sessions("open")) == 1
        assert stage.sessions("open")[0]["url"] in outcomes
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


TWO = ("pro", "team")
THE_SAME = ("pro", "pro")
THREE = ("pro", "team", "pro de")


@pytest.mark.parametrize(
    "page, wishes", [(None, TWO), (None, THE_SAME), ("pro", ("pro de", "team"))], ids=str
)
def test_two_at_once(nobody_is_slow: None, page: str | None, wishes: tuple[str, ...]) -> None:
    assert play(stage(page=page), wishes, turns=9) > 10


def test_three_at_once(nobody_is_slow: None) -> None:
    assert play(stage(), THREE, turns=1) > 30


@pytest.mark.parametrize("wishes", [TWO, THE_SAME], ids=str)
def test_somebody_pays_at_any_moment(nobody_is_slow: None, wishes: tuple[str, ...]) -> None:
    assert play(stage(ALL, page="pro"), wishes, turns=1, event=pay) > 30


def foreign(stage: Stage, _: list[Click]) -> None:
    """The team's own code makes a session for the same customer."""
    order = {"mode": "subscription", "line_items": [{"price": "price_other", "quantity": 1}],
             "success_url": "https://app.example.com/", "customer": stage.customer}  # fmt: skip
    stage.services.stripe.create_checkout_session(order, f"foreign {id(stage)}")


def test_a_session_that_is_not_ours_is_made_at_any_moment(nobody_is_slow: None) -> None:
    assert play(stage(), TWO, turns=1, event=foreign) > 30
    assert [s["status"] for s in STAGE().state.sessions.values() if not s["metadata"]] == ["open"]


def test_where_everybody_is_slow(everybody_is_slow: None) -> None:
    assert play(stage(), TWO, turns=2) > 30


def test_where_everybody_is_slow_and_somebody_pays(everybody_is_slow: None) -> None:
    assert play(stage({LIST, CREATE}, page="pro"), TWO, turns=1, event=pay) > 30


@pytest.mark.parametrize("faulty", [{0}, {0, 1, 2}], ids=str)
def test_errors_that_stripe_keeps_lock_nobody_out(
    everybody_is_slow: None, faulty: set[int]
) -> None:
    assert play(stage(faulty=faulty), TWO, turns=1) > 10
