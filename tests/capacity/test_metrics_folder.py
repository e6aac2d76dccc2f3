"""The folder in which Gunicorn's workers count together."""

import fcntl
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, values
from prometheus_client.multiprocess import MultiProcessCollector

from portal_service import metrics, metrics_folder
from portal_service.metrics_folder import begin, sit


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `begin` changes for the whole process is put back."""
    monkeypatch.setattr(values, "ValueClass", values.ValueClass)
    monkeypatch.setattr(metrics_folder, "_place", "master")
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")


def forked(work: Callable[[], object]) -> int:
    """Forks, as Gunicorn does; the child ends with its work, and whatever holds it up in time."""
    if (pid := os.fork()) == 0:
        signal.alarm(60)
        try:
            work()
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    return pid


def in_a_worker(place: str, work: Callable[[], None]) -> None:
    """A worker of that place, which is killed after its work."""
    os.waitpid(forked(lambda: (sit(place), work())), 0)


def total(folder: Path, name: str) -> float:
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(folder))
    return registry.get_sample_value(name) or 0.0


def test_a_recycled_worker_goes_on_counting_and_leaves_nothing(tmp_path: Path) -> None:
    folder = begin(2, [str(tmp_path)])
    assert folder is not None
    counter = Counter("things_total", "Things", registry=CollectorRegistry())
    files = sorted(os.listdir(folder.path))
    for _ in range(9):
        in_a_worker(folder.take_place([]), counter.inc)
    in_a_worker(folder.take_place(["0"]), counter.inc)
    in_a_worker(folder.take_place(["0", "1"]), counter.inc)  # no place is left
    assert total(folder.path, "things_total") == 11
    assert sorted(os.listdir(folder.path)) == files
    folder.remove()
    assert os.listdir(tmp_path) == []


def test_what_a_killed_worker_was_at_is_forgotten(tmp_path: Path) -> None:
    folder = begin(1, [str(tmp_path)])
    assert folder is not None
    gauge = Gauge("waiting", "x", multiprocess_mode="livesum", registry=CollectorRegistry())
    in_a_worker(folder.take_place([]), gauge.inc)
    assert total(folder.path, "waiting") == 1
    in_a_worker(folder.take_place([]), lambda: gauge.inc(0))
    assert total(folder.path, "waiting") == 0


def test_what_a_worker_read_last_counts_and_outlives_it(tmp_path: Path) -> None:
    folder = begin(2, [str(tmp_path)])
    assert folder is not None
    registry = CollectorRegistry()
    rows = Gauge("rows", "x", multiprocess_mode="mostrecent", registry=registry)
    first, second = folder.take_place([]), folder.take_place(["0"])
    in_a_worker(first, lambda: rows.set(7))
    in_a_worker(second, lambda: rows.set(3))
    assert total(folder.path, "rows") == 3
    in_a_worker(folder.take_place(["1"]), lambda: rows.set(5))
    folder.leave(second)
    assert total(folder.path, "rows") == 5


def test_a_worker_that_ended_is_at_nothing_while_no_other_takes_its_place(tmp_path: Path) -> None:
    folder = begin(2, [str(tmp_path)])
    assert folder is not None
    registry = CollectorRegistry()
    waiting = Gauge("waiting", "x", multiprocess_mode="livesum", registry=registry)
    since = Gauge("since", "x", ["of"], multiprocess_mode="livemin", registry=registry)
    last = Gauge("last", "x", multiprocess_mode="max", registry=registry)
    things = Counter("things_total", "x", registry=registry)

    def work(when: float) -> None:
        waiting.inc()
        since.labels("keys").set(when)
        last.set(when)
        things.inc()

    in_a_worker("0", lambda: work(1000))
    in_a_worker("1", lambda: work(2000))
    folder.leave("0")
    folder.leave("master")  # who has counted there is not known

    assert total(folder.path, "waiting") == 1
    assert total(folder.path, "things_total") == 2
    collected = CollectorRegistry()
    MultiProcessCollector(collected, path=str(folder.path))
    assert collected.get_sample_value("since", {"of": "keys"}) == 2000
    assert collected.get_sample_value("last") == 2000
    folder.leave("1")
    assert total(folder.path, "last") == 2000  # the last delivery stays the last one


def test_every_kind_of_ours_has_its_files(tmp_path: Path) -> None:
    """One that had none would be made when it is first mapped, without its pages."""
    folder = begin(1, [str(tmp_path)])
    assert folder is not None
    kinds = {file.name.rpartition("_")[0] for file in folder.path.glob("*_0.db")}
    used = {
        f"gauge_{metric._multiprocess_mode}" if isinstance(metric, Gauge) else metric._type
        for metric in vars(metrics).values()
        if isinstance(metric, (Counter, Gauge, Histogram))
    }
    assert used == kinds


def test_every_page_is_there_before_it_is_mapped(tmp_path: Path) -> None:
    folder = begin(2, [str(tmp_path)])
    assert folder is not None
    for file in folder.path.glob("*.db"):
        assert file.stat().st_blocks * 512 >= file.stat().st_size > 0, file


@pytest.mark.parametrize("fails", ["mkdtemp", "fallocate"])
def test_without_room_the_next_place_is_taken_and_at_last_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    full, good = tmp_path / "full", tmp_path / "good"
    good.mkdir()
    if fails == "fallocate":
        full.mkdir()
        allocate = os.posix_fallocate

        def fallocate(fd: int, offset: int, size: int) -> None:
            if str(full) in os.readlink(f"/proc/self/fd/{fd}"):
                raise OSError(28, "No space left on device")
            allocate(fd, offset, size)

        monkeypatch.setattr(os, "posix_fallocate", fallocate)
    folder = begin(1, [str(full), str(good)])
    assert folder is not None and folder.path.parent == good
    assert not full.exists() or os.listdir(full) == []

    before = values.ValueClass
    assert begin(1, [str(full)]) is None
    assert "PROMETHEUS_MULTIPROC_DIR" not in os.environ
    assert values.ValueClass is before


@contextmanager
def locked(path: Path) -> Iterator[None]:
    with open(path, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def test_folders_of_dead_masters_are_swept_and_no_others(tmp_path: Path) -> None:
    for name in ("portal-metrics-dead", "portal-metrics-live", "portal-metrics-new", "other"):
        (tmp_path / name).mkdir()
    for name in ("portal-metrics-dead", "other"):
        (tmp_path / name / "lock").touch()
    (tmp_path / "portal-metrics-dead" / "counter_1.db").write_bytes(bytes(9))
    with locked(tmp_path / "portal-metrics-live" / "lock"):
        folder = begin(1, [str(tmp_path)])
    assert folder is not None
    left = {"portal-metrics-live", "portal-metrics-new", "other", folder.path.name}
    assert set(os.listdir(tmp_path)) == left


def test_a_folder_is_in_use_as_long_as_a_worker_lives(tmp_path: Path) -> None:
    folder = begin(1, [str(tmp_path)])
    assert folder is not None
    begun, ended = os.pipe()
    # A worker that outlives its master.
    pid = forked(lambda: (os.close(ended), os.read(begun, 1)))
    os.close(begun)
    os.close(folder._lock)
    metrics_folder._sweep(str(tmp_path))
    assert folder.path.exists()
    os.close(ended)
    os.waitpid(pid, 0)
    metrics_folder._sweep(str(tmp_path))
    assert not folder.path.exists()


def test_no_folder_at_all_costs_metrics_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(metrics_folder, "_SHARED_MEMORY", str(tmp_path / "nowhere"))
    monkeypatch.setattr("tempfile.gettempdir", none)
    assert begin(1) is None
