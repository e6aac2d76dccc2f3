"""How long this request may still take. Every request has one budget, measured from its start;
commands have none. Knows nothing of who spends it.
"""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import count

REQUEST_SECONDS = 10.0
CHECKOUT_SECONDS = 15.0
# Less than this is no time for a call over the network.
_SHORTEST_ATTEMPT = 0.05
_JITTER_SECONDS = 0.1

_started: ContextVar[float | None] = ContextVar("started", default=None)
_budget: ContextVar[float] = ContextVar("budget", default=REQUEST_SECONDS)


class OutOfTime(Exception):
    """Raised when the budget of the request is spent."""


def begin(seconds: float = REQUEST_SECONDS) -> None:
    """Start the clock of a request."""
    _started.set(time.monotonic())
    _budget.set(seconds)


def allow(seconds: float) -> None:
    """Change the budget of the present request; its start stays."""
    _budget.set(seconds)


def end() -> None:
    _started.set(None)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Let the block take at most so many seconds of what is left."""
    left = remaining()
    before = (
        _started.set(time.monotonic()),
        _budget.set(seconds if left is None else min(seconds, left)),
    )
    try:
        yield
    finally:
        _started.reset(before[0])
        _budget.reset(before[1])


def is_spent() -> bool:
    """Whether too little is left for another attempt."""
    left = remaining()
    return left is not None and left < _SHORTEST_ATTEMPT


def remaining() -> float | None:
    """Seconds left, or None where there is no budget."""
    started = _started.get()
    return None if started is None else _budget.get() - (time.monotonic() - started)


def attempt(timeout: float) -> float:
    """The seconds that one attempt may take: its own timeout, or what is left of the budget.

    Raises OutOfTime when nothing is left.
    """
    if is_spent():
        raise OutOfTime
    left = remaining()
    return timeout if left is None else min(timeout, left)


def rounds() -> Iterator[int]:
    """Again and again, with jitter between, until the budget ends. Raises OutOfTime."""
    for round_ in count():
        if round_:
            time.sleep(random.uniform(0, attempt(_JITTER_SECONDS)))  # noqa: S311
        yield round_
