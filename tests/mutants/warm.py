"""pytest, again and again, in forks of a process that has imported what takes long and is none of
ours: each run saves those seconds. One JSON object a line in, the exit code of pytest out; null
where it did not end in time.
"""

import atexit
import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SLOW = ("flask", "hypothesis", "httpx", "jsonschema", "psycopg", "requests", "responses",
        "schemathesis.pytest", "schemathesis.specs.openapi", "stripe", "supabase")  # fmt: skip
QUIET = "-Wignore:Module already imported:pytest.PytestAssertRewriteWarning"


class Runner:
    """A process of this module's, and how to ask it."""

    def __init__(self) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=pipe, stdout=pipe, text=True
        )

    def run(self, folder: Path, args: list[str], seconds: float) -> int | None:
        """The exit code of pytest in `folder`; its output is in `folder`/.told."""
        job = {"folder": str(folder), "args": args, "seconds": seconds}
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


def _run_here(folder: str, args: list[str]) -> int:
    os.setsid()
    os.chdir(folder)
    out = os.open(".told", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for number in (1, 2):
        os.dup2(out, number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.path[0] = folder
    return pytest.main([QUIET, *args])


def _ended(pid: int, seconds: float) -> int | None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    return None


def _serve() -> None:
    for name in SLOW:
        importlib.import_module(name)
    gc.freeze()
    for line in sys.stdin:
        job = json.loads(line)
        pid = os.fork()
        if pid == 0:
            code = _run_here(job["folder"], job["args"])
            atexit._run_exitfuncs()
            os._exit(code)
        code = _ended(pid, job["seconds"])
        if code is None:
            os.kill(pid, signal.SIGINT)  # so that what it started ends too
            if _ended(pid, 15) is None:
                os.killpg(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                for file in Path(job["folder"], ".tmp").glob("**/postmaster.pid"):
                    os.kill(int(file.read_text().split()[0]), signal.SIGQUIT)
        print(json.dumps(code), flush=True)


if __name__ == "__main__":
    _serve()
