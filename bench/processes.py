"""A server of the bench as processes: started on its own core, asked what it costs, stopped. Linux
alone, by /proc.
"""

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV")


def cores() -> tuple[set[int], set[int]]:
    """One core for the server that is measured, the others for load and upstreams."""
    own = sorted(os.sched_getaffinity(0))
    return {own[0]}, set(own[1:]) or {own[0]}


def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


@dataclass
class Server:
    """`with Server(…) as server:`. command: `{port}` in it is replaced; the environment has PORT.

    answers_at: a path whose first 200 ends the start, or none: then an open port does.
    cold_start: seconds of the last start until then.
    """

    name: str
    command: Sequence[str]
    environment: dict[str, str]
    log: Path
    on: set[int]
    folder: Path = Path(".")
    answers_at: str | None = "/healthz"
    port: int = field(default_factory=free_port)
    cold_start: float = 0.0

    def __enter__(self) -> "Server":
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        began = time.monotonic()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [part.replace("{port}", str(self.port)) for part in self.command],
                cwd=self.folder,
                env=kept | self.environment | {"PORT": str(self.port)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=lambda: os.sched_setaffinity(0, self.on),  # noqa: PLW1509
            )
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        self.cold_start = time.monotonic() - began
        return self

    def twin(self) -> "Server":
        """A second one, on a port of its own, not started yet."""
        return replace(self, port=free_port(), cold_start=0.0)

    def __exit__(self, *_: object) -> None:
        for sent, seconds in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, sent)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
                break

    def _wait(self, seconds: float = 60.0) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self._process.poll() is not None:
                break
            if self._answers():
                return
            time.sleep(0.005)
        last = "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])
        raise RuntimeError(f"{self.name} did not start:\n{last}")

    def _answers(self) -> bool:
        with socket.socket() as trial:
            if trial.connect_ex(("127.0.0.1", self.port)) != 0:
                return False
        if self.answers_at is None:
            return True
        with contextlib.suppress(OSError, urllib.error.URLError):
            address = f"http://127.0.0.1:{self.port}{self.answers_at}"
            with urllib.request.urlopen(address, timeout=5) as answer:
                return bool(answer.status == 200)
        return False

    @property
    def cpu_seconds(self) -> float:
        """User and system time that all its processes took so far, ended children included."""
        return sum(_cpu_of(pid) for pid in self._pids())

    @property
    def pss(self) -> int:
        """Bytes that it takes: private pages, and of shared ones its share."""
        return sum(_pss_of(pid) for pid in self._pids())

    def _pids(self) -> list[int]:
        """Of its session: master, workers, helpers."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if os.getsid(int(entry.name)) == self._process.pid:
                        found.append(int(entry.name))
        return found


def _cpu_of(pid: int) -> float:
    with contextlib.suppress(OSError):
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(int(ticks) for ticks in after_name[11:15]) / _TICK
    return 0.0


def _pss_of(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
