"""A Next.js app as a production build: a copy of its sources, installed, built, served. Knows
nothing of what the app shows.
"""

import contextlib
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

# Beside whatever else is made here: a developer's own build and .env.local are left alone.
COPIES = ROOT / ".artifacts" / "apps"
NOT_COPIED = ("node_modules", ".next", ".env*", "next-env.d.ts", "*.tsbuildinfo")
SECONDS = 300.0
OLDEST_NODE = (20, 9)  # that Next.js 16 takes

_QUIET = {"NEXT_TELEMETRY_DISABLED": "1", "NEXT_PUBLIC_CLERK_TELEMETRY_DISABLED": "1"}


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
    """Kept free for a server that starts later, and whose address has to be known before."""

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


def built(app: Path, environment: dict[str, str]) -> Path:
    """The folder with a production build of a copy of the app, and of the npm package in it."""
    folder = _copy(app)
    _install(folder)
    _run(["node", "node_modules/next/dist/bin/next", "build"], folder, environment)
    return folder


@contextmanager
def served(folder: Path, environment: dict[str, str], port: Port) -> Iterator[str]:
    """`next start`, at the port's address, until the block ends.

    By name: where it is told a number, Clerk's middleware makes it ask itself without end.
    """
    log = folder / ".next" / "start.log"
    start = ["node", "node_modules/next/dist/bin/next", "start", "-H", "localhost", "-p"]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*start, str(port.give())],
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
        yield port.url
    finally:
        _stop(process)


def _copy(app: Path) -> Path:
    """In a tree of the same shape, so that its paths to the npm package lead there."""
    folder = COPIES / app.relative_to(ROOT)
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        if old.name not in ("node_modules", ".next"):
            shutil.rmtree(old) if old.is_dir() else old.unlink()
    shutil.copytree(app, folder, ignore=shutil.ignore_patterns(*NOT_COPIED), dirs_exist_ok=True)
    return folder


def _install(folder: Path) -> None:
    """What the lock names, where it is not there; the npm package as it is now in any case."""
    lock, installed = folder / "package-lock.json", folder / "node_modules" / ".locked"
    needs_package = '"portal-service"' in (folder / "package.json").read_text()
    if needs_package:
        _build_package()
    if not (installed.exists() and installed.read_bytes() == lock.read_bytes()):
        _run(["npm", "ci", "--prefer-offline", "--no-progress", "--loglevel=error"], folder, {})
        shutil.copy(lock, installed)
    if needs_package:
        package = folder / "node_modules" / "portal-service"
        shutil.rmtree(package / "dist")
        shutil.copytree(ROOT / "frontend" / "dist", package / "dist")
        shutil.copy(ROOT / "frontend" / "package.json", package)


def _build_package() -> None:
    frontend, link = ROOT / "frontend", COPIES / "frontend"
    if not (frontend / "node_modules" / ".bin" / "tsc").exists():
        _run(["npm", "ci", "--prefer-offline", "--no-progress", "--loglevel=error"], frontend, {})
    _run(["npm", "run", "--silent", "build"], frontend, {})
    if not link.exists():
        link.symlink_to(frontend)


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
    with contextlib.suppress(requests.ConnectionError):
        return bool(requests.get(url, timeout=10, allow_redirects=False).status_code)
    return False


def _last_words(text: str) -> str:
    return "\n".join(text.splitlines()[-40:])
