"""How long a request waited, by the proxy's header or by our worker."""

import pytest

from portal_service import queue_time
from portal_service.queue_time import taken, waited

NOW = 1_800_000_000.5


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock:
        @staticmethod
        def time() -> float:
            return NOW

    monkeypatch.setattr(queue_time, "time", Clock)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("t=1800000000.250", 0.25),  # nginx
        ("1800000000.250", 0.25),
        ("1800000000250", 0.25),  # Heroku
        ("t=1800000000250000", 0.25),  # Apache
        ("t=1800000000", 0.5),
        ("t=1800000001.500", 0.0),  # a clock that is ahead
        ("t=1799990000", None),  # hours ago
        ("t=18", None),
        ("t=1800000000.25; DROP", None),
        ("", None),
        (None, None),
    ],
)
def test_the_header_of_a_proxy(header: str | None, seconds: float | None) -> None:
    assert taken(header) == (None if seconds is None else pytest.approx(seconds, abs=1e-4))


def test_the_worker_counts_where_no_proxy_says_it_and_for_one_request_alone() -> None:
    waited(0.125)
    assert taken("t=1800000000.250") == pytest.approx(0.25)
    waited(0.125)
    assert taken(None) == 0.125
    assert taken(None) is None
