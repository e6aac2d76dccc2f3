"""How long this request may still take. Every request has one budget, measured from its start;
commands have none. Knows nothing of who spends it.
"""

import time
from contextvars import ContextVar

REQUEST_SECONDS = 10.0
CHECKOUT_SECONDS = 15.0
# Less than this is no time for a call over the network.
_SHORTEST_ATTEMPT = 0.05

_started: ContextVar[float | None] = ContextVar("started", default=None)
_budget: ContextVar[float] = ContextVar("budget", default=REQUEST_SECONDS)


class OutOfTime(Exception):
    """Raised when the budget of the request is spent."""


def begin(seconds: float = REQUEST_SECONDS) -> None:
    """Start the clock of a request."""
    _started.set(time.monotonic())
    _budget.set(seconds)


def allow(seconds: float) -> None:
    """Change the budget of the request that is running; its start stays."""
    _budget.set(seconds)


def end() -> None:
    _started.set(None)


def remaining() -> float | None:
    """Seconds left, or None where there is no budget."""
    started = _started.get()
    return None if started is None else _budget.get() - (time.monotonic() - started)


def attempt(timeout: float) -> float:
    """The seconds that one attempt may take: its own timeout, or what is left of the budget.

    Raises OutOfTime when nothing is left.
    """
    left = remaining()
    if left is None:
        return timeout
    if left < _SHORTEST_ATTEMPT:
        raise OutOfTime
    return min(timeout, left)
