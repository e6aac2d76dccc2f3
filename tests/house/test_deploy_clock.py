"""The shell words by which deploy/ runs `sync` by the clock, run by a shell: what it calls."""

import os
import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from portal_service.commands.sync import sync

DEPLOY = Path(__file__).parents[2] / "deploy"


def of_compose() -> list[str]:
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    return [word.replace("$$", "$") for word in services["sync"]["command"]]


def of_kubernetes(name: str) -> list[str]:
    jobs = yaml.safe_load_all((DEPLOY / "kubernetes" / "cronjobs.yaml").read_text())
    (job,) = (job for job in jobs if job["metadata"]["name"] == name)
    (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    command: list[str] = container["command"]
    return command


def called(command: list[str], folder: Path, hour: str, status: int = 0) -> list[list[str]]:
    """The arguments of each call of Python, in one turn of the clock that strikes this hour."""
    calls = folder / "calls"
    scripts = {
        "python": f'echo "$@" >>{calls}; exit {status}',
        # The clock strikes once, and ends the second time.
        "sleep": f"test ! -e {folder}/struck && touch {folder}/struck",
        "date": f'for word; do [ "$word" = +%H ] && echo {hour} && exit; done; exec /bin/date "$@"',
    }
    for name, text in scripts.items():
        script = folder / name
        script.write_text(f"#!/bin/sh\n{text}\n")
        script.chmod(0o755)
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(command, env={"PATH": path}, check=False, timeout=60)
    return [line.split() for line in calls.read_text().splitlines()]


def since(arguments: list[str]) -> datetime:
    assert arguments[:4] == ["-m", "portal_service", "sync", "--since"]
    with sync.make_context("sync", arguments[3:]) as context:
        found: datetime = context.params["since"]
    return found


@pytest.mark.parametrize("status", [0, 1])
def test_compose_looks_at_the_last_two_hours(tmp_path: Path, status: int) -> None:
    (arguments,) = called(of_compose(), tmp_path, "14", status)
    assert datetime.now(UTC) - since(arguments) < timedelta(hours=2, minutes=2)


def test_compose_looks_at_everything_once_in_the_night(tmp_path: Path) -> None:
    assert called(of_compose(), tmp_path, "03") == [["-m", "portal_service", "sync"]]


def test_kubernetes_looks_at_the_last_two_hours(tmp_path: Path) -> None:
    (arguments,) = called(of_kubernetes("portal-service-sync-recent"), tmp_path, "14")
    assert datetime.now(UTC) - since(arguments) < timedelta(hours=2, minutes=2)


def test_kubernetes_looks_at_everything(tmp_path: Path) -> None:
    command = of_kubernetes("portal-service-sync-all")
    assert called(command, tmp_path, "14") == [["-m", "portal_service", "sync"]]
    assert not re.search("since", " ".join(command))
