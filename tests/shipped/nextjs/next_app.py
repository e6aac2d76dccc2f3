"""A Next.js app as a production build: a copy of its sources, what it needs, built, served. Knows
nothing of what the app shows.
"""

import contextlib
import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from started import ROOT, wait_for

# Builds happen here, so that a developer's own build and .env.local are left alone.
COPIES = ROOT / ".artifacts" / "apps"
NOT_COPIED = ("node_modules", ".next", ".env*", "next-env.d.ts", "*.tsbuildinfo")
SECONDS = 300.0
OLDEST_NODE = (20, 9)  # that Next.js 16 takes

_QUIET = {"NEXT_TELEMETRY_DISABLED": "1", "NEXT_PUBLIC_CLERK_TELEMETRY_DISABLED": "1"}
_NPM_CI = ["npm", "ci", "--prefer-offline", "--no-progress", "--loglevel=error"]
_NEXT = ["node", "node_modules/next/dist/bin/next"]


def why_not() -> str | None:
    if not (shutil.which("npm") and _node_version() >= OLDEST_NODE):
        return "there is no Node.js 20.9 or later with npm here"
    return None


def _node_version() -> tuple[int, ...]:
    if not shutil.which("node"):
        return ()
    told = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    return tuple(int(part) for part in re.findall(r"\d+", told)[:2])


class Port:
    """Kept, in its block, for a server that starts later and whose address is needed before."""

    def __init__(self) -> None:
        self._kept = socket.socket()
        self._kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._kept.bind(("127.0.0.1", 0))
        self.number = int(self._kept.getsockname()[1])
        self.url = f"http://localhost:{self.number}"

    def give(self) -> int:
        """To whoever listens there at once."""
        self._kept.close()
        return self.number

    def __enter__(self) -> "Port":
        return self

    def __exit__(self, *_: object) -> None:
        self._kept.close()


def copied(app: Path, name: str) -> Path:
    """The folder of that name with the app's sources of today."""
    folder = COPIES / name
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        if old.name not in ("node_modules", ".next"):
            shutil.rmtree(old) if old.is_dir() else old.unlink()
    shutil.copytree(app, folder, ignore=shutil.ignore_patterns(*NOT_COPIED), dirs_exist_ok=True)
    return folder


def install(app: Path) -> None:
    """What its lock names, unless it is there."""
    with _alone():
        lock, installed = app / "package-lock.json", app / "node_modules" / ".locked"
        if not (installed.exists() and installed.read_bytes() == lock.read_bytes()):
            _run(_NPM_CI, app, {})
            shutil.copy(lock, installed)


def share(app: Path, folder: Path) -> None:
    """What `make` installs in an app of this repository is in its copy too."""
    with _alone():
        modules = app.relative_to(ROOT) / "node_modules"
        _run(["make", "--no-print-directory", f"{modules}/.ready"], ROOT, {})
    shutil.rmtree(folder / "node_modules", ignore_errors=True)
    shutil.copytree(ROOT / modules, folder / "node_modules", symlinks=True, copy_function=os.link)


def build(folder: Path, environment: dict[str, str]) -> None:
    _run([*_NEXT, "build"], folder, environment)


@contextmanager
def served(folder: Path, environment: dict[str, str], port: Port) -> Iterator[None]:
    """`next start`, at the port's address, until the block ends.

    By name: where it is told a number, Clerk's middleware makes it ask itself without end.
    """
    log = folder / ".next" / "start.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*_NEXT, "start", "-H", "localhost", "-p", str(port.give())],
            cwd=folder,
            env=os.environ | _QUIET | environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_for(lambda: process.poll() is not None or _answers(port.url))
        assert process.poll() is None, _last_words(log.read_text(errors="replace"))
        yield
    finally:
        _stop(process)


@contextmanager
def _alone() -> Iterator[None]:
    """Two processes may want the same installed."""
    COPIES.mkdir(parents=True, exist_ok=True)
    with (COPIES / ".installing").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(command: list[str], folder: Path, environment: dict[str, str]) -> None:
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=os.environ | _QUIET | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=SECONDS)
    finally:
        _stop(process)
    assert process.returncode == 0, f"{' '.join(command)}:\n{_last_words(said)}"


def _stop(process: "subprocess.Popen[str] | subprocess.Popen[bytes]") -> None:
    """It and all that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)


def _answers(url: str) -> bool:
    with contextlib.suppress(requests.RequestException):
        return bool(requests.get(url, timeout=10, allow_redirects=False).status_code)
    return False


def _last_words(text: str) -> str:
    return "\n".join(text.splitlines()[-40:])
