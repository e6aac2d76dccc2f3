"""Each part of checkout's rule is there for a reason: open_session without it is found to be wrong
by the very orders that test_every_order.py plays. `make mutants`.
"""

import inspect
from types import ModuleType

import pytest
from test_every_order import ALL, TWO, foreign, pay, play, stage, without_pauses  # noqa: F401

from portal_service import open_session

ASKS = "        subscriptions = services.mirror.refresh_customer(account, customer)\n"
LISTS = "        sessions = services.stripe.newest_checkout_sessions(customer)\n"
LOSES = "            self.taken_since = self.taken_since or time.monotonic()\n"

# What stands in the source, and what stands there instead.
BUGS: dict[str, tuple[str, str]] = {
    "the key names the wish": ("else self.key\n", 'else f"{self.key}-{_digest(params)}"\n'),
    "subscriptions are asked for before sessions": (LISTS + ASKS, ASKS + LISTS),
    "losers do not list again": (LOSES + "            return None\n", "            raise\n"),
    "open ones are not expired": ("        if session is not same:\n", "        if False:\n"),
    "a foreign session makes another slot": (
        "_key(services, customer, ours)",
        "_key(services, customer, sessions)",
    ),
    "a dead key is kept": ("            self.is_dead = True\n", ""),
    "who goes another way does not look again": ("self.unseen = address", "return address"),
}


def play_all(module: ModuleType) -> None:
    """Fails where one of the orders ends badly. SLOW_SECONDS is the module's own."""
    module.SLOW_SECONDS = 1e9
    play(stage(faulty={0}, module=module), ("pro",), turns=0)
    play(stage(module=module), TWO, turns=2)
    play(stage(ALL, "pro", module=module), TWO, turns=1, event=pay)
    play(stage(module=module), TWO, turns=1, event=foreign)
    module.SLOW_SECONDS = 0.0
    play(stage(module=module), TWO, turns=2)
    play(stage(faulty={0}, module=module), TWO, turns=1)


def copy_with(before: str, after: str) -> ModuleType:
    source = inspect.getsource(open_session)
    assert source.count(before) == 1, f"it does not apply any more: {before}"
    copy = ModuleType(open_session.__name__)
    exec(compile(source.replace(before, after), "<a bug>", "exec"), copy.__dict__)
    return copy


@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_in_checkout_is_found(bug: str) -> None:
    with pytest.raises(AssertionError, match="^order|never get an answer"):
        play_all(copy_with(*BUGS[bug]))


def test_without_a_bug_all_is_well() -> None:
    play_all(copy_with("SLOW_SECONDS = 4.0", "SLOW_SECONDS = 0.0"))
