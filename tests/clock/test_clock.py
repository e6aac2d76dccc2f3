"""Whether the date asked for is in force, here and in whatever is started."""

import subprocess
import sys
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import psycopg
import pytest
import requests
from clock import moved_clock
from started import StartedSandbox

from sandbox.postgres import Postgres
from sandbox.service import Service
from sandbox.world import World

PROGRAM = str(Path(moved_clock.__file__))
LEAP_DAY = datetime(2028, 2, 29, 12, tzinfo=UTC).timestamp()
NEAR = 600  # seconds; a slow machine may take some


def date_of(url: str) -> float:
    """What the clock of a server says, by its answer."""
    return parsedate_to_datetime(requests.get(url, timeout=20).headers["Date"]).timestamp()


# The date of this run


def test_the_clock_is_where_the_header_says_that_it_is(tmp_path: Path) -> None:
    stamped = tmp_path / "stamped"  # by the kernel, whose clock nobody moves
    stamped.touch()
    moved = time.time() - stamped.stat().st_mtime
    assert moved == pytest.approx(moved_clock.ahead(), abs=NEAR)
    assert datetime.now(UTC).timestamp() == pytest.approx(time.time(), abs=NEAR)


def test_the_started_service_has_the_same_date(world: World, tmp_path: Path) -> None:
    with Service(world.environment("http://localhost:8000"), tmp_path) as service:
        assert date_of(f"{service.url}/healthz") == pytest.approx(time.time(), abs=NEAR)


def test_the_database_is_at_utc_whatever_the_zone_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    with Postgres(tmp_path) as server, psycopg.connect(server.url) as connection:
        assert connection.execute("show timezone").fetchone() == ("UTC",)


# Another date, whatever the one of this run


def python(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, timeout=60
    )


def test_the_sandbox_and_the_service_that_it_starts_are_moved(tmp_path: Path) -> None:
    seconds = LEAP_DAY - (time.time() - moved_clock.ahead())
    with StartedSandbox(tmp_path, **moved_clock.told(seconds)) as sandbox:
        for url in (sandbox.url, f"{sandbox.info['service_url']}/healthz"):
            assert date_of(url) == pytest.approx(LEAP_DAY, abs=NEAR)


def test_so_is_a_process_with_an_environment_of_its_own() -> None:
    inner = "import os, time; print(time.time(), os.environ['PYTHONPATH'], os.environ.get('A'))"
    outer = (
        "import subprocess, sys; environment = {'PYTHONPATH': '/of/its/own'};"
        f"subprocess.run([sys.executable, '-c', {inner!r}], env=environment, check=True)"
    )
    done = python(PROGRAM, "2028-02-29", "-c", outer, A="b")

    time_, path, variable = done.stdout.split()
    assert float(time_) == pytest.approx(LEAP_DAY, abs=NEAR)
    assert path.endswith(":/of/its/own")
    assert variable == "None"


def test_time_goes_on_and_time_outs_are_left_alone() -> None:
    program = (
        "import threading, time; began = time.time();"
        "threading.Event().wait(0.05); print(time.time() > began, time.monotonic())"
    )
    ticks, steady = python(PROGRAM, "2028-02-29", "-c", program).stdout.split()
    assert ticks == "True"
    assert float(steady) == pytest.approx(time.monotonic(), abs=NEAR)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2028-02-29", "2028-02-29T12:00:00+00:00"),
        ("2026-12-31T23:59:30Z", "2026-12-31T23:59:30+00:00"),
        ("2026-12-31T23:59", "2026-12-31T23:59:00+00:00"),
        ("2027-01-31T23:50:00+02:00", "2027-01-31T21:50:00+00:00"),
    ],
)
def test_what_a_date_means(text: str, meant: str) -> None:
    assert moved_clock.moment(text) == datetime.fromisoformat(meant)


@pytest.mark.parametrize("text", ["", "tomorrow", "2027-02-29", "29.02.2028", "1800000000"])
def test_what_is_no_date_is_told_in_one_line(text: str) -> None:
    done = python(PROGRAM, text, "-c", "print('started')")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"{text!r} is no date")
    assert done.stderr.count("\n") == 1
