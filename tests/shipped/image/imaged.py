"""What the image is built from and started with in the tests, and the service in it."""

import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import podman
import requests

DECOY = "sk_live_a_secret_that_lies_about"
SETTINGS = {
    "STRIPE_SECRET_KEY": "sk_test_image",
    "STRIPE_WEBHOOK_SECRET": "whsec_image",
    "STRIPE_PLANS": "pro=prod_X,price_a;team=price_c",
    "SUPABASE_URL": "http://127.0.0.1:9",
    "SUPABASE_SERVICE_ROLE_KEY": "sb_secret_image",
    "CLERK_ISSUER": "http://127.0.0.1:9",
    "APP_URL": "https://app.example.com",
}


def untidy_checkout(folder: Path) -> Path:
    """A copy of this one by somebody with umask 077, with secrets lying about in it."""
    ignored = shutil.ignore_patterns(".[!de]*", "__pycache__")  # but .dockerignore, .env.example
    shutil.copytree(podman.ROOT, folder, ignore=ignored, dirs_exist_ok=True)
    for path in (".env", ".git/config", "portal_service/__pycache__/decoy.cpython-311.pyc"):
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(DECOY)
    for found in folder.rglob("*"):
        found.chmod(0o700 if found.is_dir() else 0o600)
    return folder


def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


@dataclass
class Service:
    """A container of the image, and where it answers."""

    container: podman.Container
    port: int

    @classmethod
    @contextmanager
    def started(cls, image: str, *options: str) -> "Iterator[Service]":
        port = free_port()
        with podman.Container(image, SETTINGS | {"PORT": str(port)}, *options) as container:
            service = cls(container, port)
            service._wait_until_it_answers()
            yield service

    def get(self, path: str) -> requests.Response:
        return requests.get(f"http://127.0.0.1:{self.port}{path}", timeout=10)

    def _wait_until_it_answers(self, seconds: float = 30.0) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                self.get("/healthz")
                return
            except requests.ConnectionError:
                time.sleep(0.1)
        raise AssertionError(self.container.log())
