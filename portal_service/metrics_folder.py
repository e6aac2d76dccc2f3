"""Where the workers of one machine count together: a folder of memory-mapped files, a set for each
place that a worker can have. A recycled worker goes on in the files of its place: nothing is left
behind, nothing is lost. Used by gunicorn.conf.py alone, and before anything counts.

Every file has its pages before it is mapped, since a full file system under a mapped page ends the
process with SIGBUS. Without room for the folder each worker counts for itself.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from prometheus_client import values

_PREFIX = "portal-metrics-"
_LOCK = "lock"
_SHARED_MEMORY = "/dev/shm"  # noqa: S108  (the folder in it is made by mkdtemp)
# Bytes of one place's files. All of our labels are closed sets: 115 KiB of histograms at the most.
_SIZES = {
    "histogram": 262_144,
    "counter": 131_072,
    "gauge_livesum": 16_384,  # of the calls and rests under way
    "gauge_livemin": 16_384,
    "gauge_max": 16_384,
    "gauge_mostrecent": 16_384,
}
_MASTER = "master"

_place = _MASTER  # this process'


class MetricsFolder:
    """The files of one Gunicorn master and its workers."""

    def __init__(self, path: Path, places: int) -> None:
        self.path = path
        self._free = [str(number) for number in range(places)]
        # Held as long as the master or one of its workers lives, and longer by nobody.
        self._lock = os.open(path / _LOCK, os.O_CREAT | os.O_RDWR)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        for place in (_MASTER, *self._free):
            for kind, size in _SIZES.items():
                with open(self._file(kind, place), "wb") as file:
                    os.posix_fallocate(file.fileno(), 0, size)

    def take_place(self, taken: Iterable[str]) -> str:
        """A place for the worker that is forked next, its gauges at zero. With none left it counts
        in the master's files, less exactly.

        taken: the places of the workers that live.
        """
        place = next((place for place in self._free if place not in set(taken)), _MASTER)
        self.leave(place)
        return place

    def leave(self, place: str) -> None:
        """Forget what a worker that has ended was at; what it counted stays."""
        for kind in _SIZES:
            if place != _MASTER and kind.startswith("gauge_live"):
                with open(self._file(kind, place), "r+b") as file:
                    file.write(bytes(_SIZES[kind]))

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def _file(self, kind: str, place: str) -> Path:
        return self.path / f"{kind}_{place}.db"


def begin(places: int, parents: Iterable[str] | None = None) -> MetricsFolder | None:
    """Let this process and those that it forks count together. None where there is no room.

    places: how many workers there can be at once, old and new ones of a reload together.
    parents: where the folder may stand, the best one first.
    """
    for parent in parents or _usual_parents():
        _sweep(parent)
        path = None
        try:
            path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
            folder = MetricsFolder(path, places)
        except OSError:
            if path is not None:
                shutil.rmtree(path, ignore_errors=True)
            continue
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(path)
        values.ValueClass = values.MultiProcessValue(lambda: _place)  # type: ignore[no-untyped-call]
        return folder
    os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
    return None


def _usual_parents() -> Iterable[str]:
    """Shared memory first. On a read-only file system there may be no other folder."""
    yield _SHARED_MEMORY
    with suppress(OSError):
        yield tempfile.gettempdir()


def sit(place: str) -> None:
    """From now on this process counts in the files of that place."""
    global _place  # noqa: PLW0603  (one process, one place)
    _place = place


def _sweep(parent: str) -> None:
    """Remove the folders of masters that were killed: nobody holds their lock."""
    for folder in Path(parent).glob(f"{_PREFIX}*"):
        try:
            lock = os.open(folder / _LOCK, os.O_RDWR)
        except OSError:
            continue  # made this very moment, somebody else's, or none of ours
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            pass  # in use
        finally:
            os.close(lock)
