"""The process that runs the real service."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from sandbox.service import Service, ServiceFailed
from sandbox.world import World

APP_URL = "http://localhost:8000"


@pytest.fixture
def service(world: World, tmp_path: Path) -> Iterator[Service]:
    service = Service(world.environment(APP_URL), tmp_path)
    yield service
    service.close()


def port(service: Service) -> int:
    return int(service.url.rpartition(":")[2])


def refuses(service: Service) -> bool:
    with socket.socket() as trial:
        return trial.connect_ex(("127.0.0.1", port(service))) != 0


def test_it_starts_stops_and_starts_again_at_the_same_address(service: Service) -> None:
    service.start()
    assert requests.get(f"{service.url}/healthz", timeout=5).status_code == 200

    service.stop()
    assert refuses(service)

    service.start()
    assert requests.get(f"{service.url}/healthz", timeout=5).status_code == 200

    service.kill()
    assert not service.running
    assert refuses(service)
    service.restart()
    assert service.running


def test_a_start_that_fails_says_why_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APP_URL", "https://a-setting-of-the-developer.example")
    service = Service({}, tmp_path)
    with pytest.raises(ServiceFailed, match="APP_URL .*is missing"):
        service.start(timeout=30)
    assert not service.running
    assert refuses(service)
