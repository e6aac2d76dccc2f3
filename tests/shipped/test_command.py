"""`python -m sandbox` as a command: what it says, keeps and leaves behind."""

import os
import re
import signal
import socket
from pathlib import Path
from urllib.parse import urlsplit

import requests
from started import Caller, StartedSandbox, command, wait_for


def refused(url: str) -> bool:
    parts = urlsplit(url)
    with socket.socket() as trial:
        return trial.connect_ex((parts.hostname or "", parts.port or 0)) != 0


def service_log(data: Path) -> str:
    return (data / "service.log").read_text()


def addresses(sandbox: StartedSandbox) -> list[str]:
    names = ("app_url", "service_url", "supabase_url", "stripe_url", "clerk_issuer", "database_url")
    return [sandbox.info[name] for name in names]


def assert_nothing_is_left(sandbox: StartedSandbox) -> None:
    wait_for(lambda: all(refused(address) for address in addresses(sandbox)))


def test_data_is_kept_and_nothing_is_left_running(tmp_path: Path) -> None:
    with StartedSandbox(tmp_path) as first:
        ada = Caller(first, "ada")
        subscription = first.post("/stripe/subscriptions", user="ada")["id"]
        wait_for(lambda: ada.subscription()["subscribed"])
        open_page = Caller(first, "grace").url_of("/checkout")
        assert not any(refused(address) for address in addresses(first))
        assert first.stop(signal.SIGINT) == 0
        assert_nothing_is_left(first)

    with StartedSandbox(tmp_path) as second:
        ada = Caller(second, "ada")
        assert ada.subscription()["subscribed"] is True
        second.post(f"/stripe/subscriptions/{subscription}", action="cancel_now")
        wait_for(lambda: ada.subscription()["status"] == "canceled")
        moved = second.info["stripe_url"] + urlsplit(open_page).path
        assert requests.get(moved, timeout=5).status_code == 200
        assert second.stop(signal.SIGTERM) == 0
        assert_nothing_is_left(second)


def test_nothing_is_left_of_a_sandbox_that_was_killed(tmp_path: Path) -> None:
    with StartedSandbox(tmp_path) as sandbox:
        sandbox.stop(signal.SIGKILL)
        assert_nothing_is_left(sandbox)


def test_a_service_that_was_stopped_on_purpose_starts_again_and_when_it_dies_all_ends(
    tmp_path: Path,
) -> None:
    with StartedSandbox(tmp_path) as sandbox:
        ada = Caller(sandbox, "ada")
        assert ada.subscription()["plan"] == "free"

        assert sandbox.post("/service", running=False) == {"running": False}
        assert refused(sandbox.info["service_url"])
        sandbox.post("/stripe/subscriptions", user="ada")  # its webhook is not answered

        assert sandbox.post("/service", running=True) == {"running": True}
        wait_for(lambda: ada.subscription()["subscribed"])

        *_, started = re.findall(r"\[(\d+)\] \[INFO\] Starting gunicorn", service_log(tmp_path))
        os.kill(int(started), signal.SIGKILL)
        said, _ = sandbox.process.communicate(timeout=60)

        assert sandbox.process.returncode == 1
        assert "The service stopped by itself" in said
        assert_nothing_is_left(sandbox)


def test_a_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        process = command(tmp_path, SANDBOX_PORT=port)
        said, _ = process.communicate(timeout=60)

    assert process.returncode == 1
    assert said.startswith(f"Port {port} is not free")
    assert said.count("\n") == 1


def test_a_port_that_is_none_is_one_clear_line(tmp_path: Path) -> None:
    process = command(tmp_path, SANDBOX_PORT="eighty")
    said, _ = process.communicate(timeout=60)

    assert process.returncode == 1
    assert said == "SANDBOX_PORT is a port number, not 'eighty'.\n"
