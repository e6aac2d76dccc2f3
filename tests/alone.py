"""Fixtures of the tests of one module alone: no budget left over from another test, the lines of
the log, a clock.
"""

import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

from portal_service import deadline
from portal_service.log import LOGGER

# A busy machine is no bug.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture(autouse=True)
def no_budget() -> Iterator[None]:
    """Outside a request there is no budget; a test that begins one does not leave it behind."""
    deadline.end()
    yield
    deadline.end()


class Log(logging.Handler):
    """The lines that the service wrote, and their fields."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def messages(self) -> list[str]:
        return [record.getMessage() for record in self.records]

    def at(self, level: int) -> list[str]:
        return [record.getMessage() for record in self.records if record.levelno == level]

    def fields(self, message: str) -> dict[str, Any]:
        """Those of the one line that begins so."""
        found = [record for record in self.records if record.getMessage().startswith(message)]
        assert len(found) == 1, self.messages
        return found[0].fields  # type: ignore[attr-defined]

    @property
    def text(self) -> str:
        """Everything that was said, in one string."""
        return "\n".join(f"{r.getMessage()} {vars(r).get('fields')}" for r in self.records)


@pytest.fixture
def log() -> Iterator[Log]:
    handler = Log()
    level = LOGGER.level
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.DEBUG)
    yield handler
    LOGGER.removeHandler(handler)
    LOGGER.setLevel(level)


class Clock:
    """The clock of the budget, which stands still until a test moves it on."""

    now = 5000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(deadline, "time", clock)
    return clock


@pytest.fixture
def in_tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose own zone is far from UTC."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()
