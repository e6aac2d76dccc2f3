"""Runs the real service: a process of its own, under the real Gunicorn configuration."""

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STOP_SECONDS = 5.0

# Leaves a watcher behind: when the pipe on its standard input closes, also because the sandbox was
# killed, the service is told to stop. The outer parentheses give the watcher to init, for Gunicorn
# must not meet a child that it does not know.
_START = """
exec 3<&0
( ( read -r _ <&3; kill -TERM $$ ) & )
exec "$@" </dev/null 3<&-
"""
_WATCHED = ["/bin/sh", "-c", _START, "sh"]


class ServiceFailed(Exception):
    """The service did not come up. The text holds its own last words."""


class Service:
    """Takes a free port at once and keeps it over restarts; `start()` serves there.

    directory: where the process runs and its log lies. It must hold no `.env`: the service would
    read it.
    """

    def __init__(self, environment: dict[str, str], directory: Path) -> None:
        self._environment = environment
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = _listening_socket(0)
        self._port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self.log = directory / "service.log"
        self.log.write_bytes(b"")
        self._turn = threading.RLock()  # the demo page stops and starts it, from other threads

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def died(self) -> bool:
        """Whether it ended by itself, and nobody stopped it."""
        with self._turn:
            return self._process is not None and not self.running

    def start(self, timeout: float = 30.0) -> "Service":
        """Returns once /healthz answers; else stops what it began and raises ServiceFailed."""
        with self._turn:
            if not self.running:
                self._start(timeout)
        return self

    def _start(self, timeout: float) -> None:
        with self._socket or _listening_socket(self._port) as listening, self.log.open("ab") as log:
            self._socket = None  # ours closes with the block: a dead service must refuse, not hang
            self._process = subprocess.Popen(
                _command(listening.fileno()),
                cwd=self._directory,
                env=_environment(self._environment),
                pass_fds=[listening.fileno()],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the sandbox, which then stops the service
            )
        try:
            self._wait_until_healthy(timeout)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Lets requests under way end, for a few seconds; then nothing of it is left."""
        with self._turn:
            self._stop()

    def _stop(self) -> None:
        if self._process is None:
            return
        if self.running:
            assert self._process.stdin is not None
            self._process.stdin.close()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.log_line("stopped the hard way")
        self.kill()

    def kill(self) -> None:
        """SIGKILL to master and workers at once, as when a machine dies."""
        with self._turn:
            if self._process is None:
                return
            with contextlib.suppress(ProcessLookupError):  # all of it ended by itself
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.communicate()
            self._process = None
            self._wait_until_refusing()

    def restart(self) -> None:
        self.stop()
        self.start()

    def close(self) -> None:
        self.stop()
        if self._socket:
            self._socket.close()

    def __enter__(self) -> "Service":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def last_words(self, lines: int = 30) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def log_line(self, text: str) -> None:
        with self.log.open("a") as log:
            log.write(f"sandbox: {text}\n")

    def _wait_until_refusing(self) -> None:
        """Killed workers are not our children; they are gone once nobody listens any more."""
        deadline = time.monotonic() + STOP_SECONDS
        while not _refuses(self._port) and time.monotonic() < deadline:
            time.sleep(0.01)

    def _wait_until_healthy(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if not self.running:
                raise ServiceFailed(f"The service ended at its start:\n{self.last_words()}")
            if _answers(f"{self.url}/healthz"):
                return
            time.sleep(0.05)
        raise ServiceFailed(f"No answer from {self.url}/healthz:\n{self.last_words()}")


def _listening_socket(port: int) -> socket.socket:
    """Handed over to the service, so that nobody can take the port in between."""
    with socket.socket() as any_number:
        # The shell of _START has the descriptors of one digit to itself.
        number = fcntl.fcntl(any_number, fcntl.F_DUPFD_CLOEXEC, 10)
    listening = socket.socket(fileno=number)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", port))
    listening.listen(2048)
    return listening


def _command(descriptor: int) -> list[str]:
    """This checkout's service; or an installed one, whose command SANDBOX_SERVICE names."""
    told = ["--bind", f"fd://{descriptor}"]
    if installed := os.environ.get("SANDBOX_SERVICE"):
        return [*_WATCHED, installed, "serve", *told]
    settings = ["--config", str(ROOT / "gunicorn.conf.py"), "--pythonpath", str(ROOT)]
    return [*_WATCHED, sys.executable, "-m", "gunicorn", *settings, *told, "wsgi:app"]


def _environment(settings: dict[str, str]) -> dict[str, str]:
    """The settings given and what a process needs to live: never the developer's own settings."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE")
    return {name: os.environ[name] for name in kept if name in os.environ} | settings


def _refuses(port: int) -> bool:
    with socket.socket() as trial:
        return trial.connect_ex(("127.0.0.1", port)) != 0


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False
