"""Another date for a Python program and every Python process that it starts, however it does so:

    python tests/clock/moved_clock.py 2028-02-29 -m pytest tests/rules

The wall clock is moved, by the same number of seconds in each of them; it goes on ticking, and what
measures time-outs (the monotonic clock) is left alone. Nothing here is at work in a plain run.
Other programs keep the machine's clock: a row's `created_at`, a file's date, OpenSSL's today.
"""

import os
import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

HERE = str(Path(__file__).resolve().parent)  # with sitecustomize.py, which Python runs at its start
AHEAD = "TESTS_CLOCK_AHEAD"


def ahead() -> float:
    """Seconds by which the clock of this process is ahead of the machine's; below 0, behind."""
    return float(os.environ.get(AHEAD) or 0)


def moment(text: str) -> datetime:
    """What a date means (its noon), or a date with a time; in UTC where no zone is named.

    ValueError: it is neither.
    """
    if len(text) == len("2028-02-29"):
        day = date.fromisoformat(text)
        return datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    told = datetime.fromisoformat(text)
    return told if told.tzinfo else told.replace(tzinfo=UTC)


def move(seconds: float) -> None:
    """Move the clock of this process, for good, and of those that it will start."""
    import time_machine

    time_machine.travel(timedelta(seconds=seconds)).start()
    time.time()  # from the first look on it ticks
    begin = subprocess.Popen.__init__

    def begin_moved(self: Any, *args: Any, env: Any = None, **more: Any) -> None:
        """Most are given an environment of their own, so that to change ours is not enough."""
        env = {AHEAD: repr(seconds), **(os.environ if env is None else env)}
        begin(self, *args, env=env | told(float(env[AHEAD]), env.get("PYTHONPATH", "")), **more)

    subprocess.Popen.__init__ = begin_moved  # type: ignore[method-assign]


def told(seconds: float, path: str = "") -> dict[str, str]:
    """The variables with which a Python process moves its clock before it does anything else.

    path: the value of PYTHONPATH that it would have had.
    """
    others = [folder for folder in path.split(os.pathsep) if folder not in ("", HERE)]
    return {"PYTHONPATH": os.pathsep.join([HERE, *others]), AHEAD: repr(seconds)}


def main(when: str, *arguments: str) -> None:
    try:
        wanted = moment(when).timestamp()
    except ValueError as error:
        sys.exit(f"{when!r} is no date such as 2028-02-29 or 2026-12-31T23:59:30Z: {error}")
    variables = told(wanted - (time.time() - ahead()), os.environ.get("PYTHONPATH", ""))
    os.execve(sys.executable, [sys.executable, *arguments], os.environ | variables)


if __name__ == "__main__":
    main(*sys.argv[1:])
