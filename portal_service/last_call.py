"""The call to a vendor that this thread made last: what a line about its failure names."""

from contextvars import ContextVar
from typing import Any

_last: ContextVar[dict[str, Any] | None] = ContextVar("last_call", default=None)


def keep(call: str, seconds: float) -> None:
    """call: method and path, without ids. seconds: until the answer, or until none came."""
    _last.set({"call": call, "ms": round(seconds * 1000)})


def fields() -> dict[str, Any]:
    """`call` and `ms`, for a line of the log."""
    return _last.get() or {}
