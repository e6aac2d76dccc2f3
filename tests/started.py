"""The sandbox as a person starts it: a process of its own, spoken to over HTTP alone."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import requests

ROOT = Path(__file__).parents[1]
START_SECONDS = 60.0

T = TypeVar("T")


def wait_for(look: Callable[[], T | None], seconds: float = 60.0, every: float = 0.05) -> T:
    """What `look` finds, as soon as it finds something."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(every)
    raise AssertionError(f"waited {seconds} s in vain")


def command(data: Path, **environment: str) -> "subprocess.Popen[str]":
    """`python -m sandbox`, with its data in a folder of the test and on a free port."""
    ours = {"SANDBOX_DATA": str(data), "SANDBOX_PORT": "0"} | environment
    return subprocess.Popen(
        [sys.executable, "-m", "sandbox"],
        cwd=ROOT,
        env=os.environ | ours,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


class StartedSandbox:
    """A started sandbox."""

    def __init__(self, data: Path, **environment: str) -> None:
        self.process = command(data, **environment)
        self.url = self._printed_address()
        self.info: dict[str, str] = self.get("/info")

    def _printed_address(self) -> str:
        assert self.process.stdout is not None
        watch = threading.Timer(START_SECONDS, self.process.kill)
        watch.start()
        try:
            for line in self.process.stdout:
                if found := re.search(r"The sandbox is at +(http://\S+)", line):
                    return found[1]
        finally:
            watch.cancel()
        raise AssertionError(f"the sandbox ended at its start: {self.process.wait()}")

    def get(self, path: str) -> Any:
        answer = requests.get(f"{self.url}/_sandbox{path}", timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, **body: Any) -> Any:
        answer = requests.post(f"{self.url}/_sandbox{path}", json=body, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def stop(self, number: int = signal.SIGINT) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            self.process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
        return self.process.returncode

    def __enter__(self) -> "StartedSandbox":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Caller:
    """A signed-in user of the sandbox, calling the service as a frontend does."""

    def __init__(self, sandbox: StartedSandbox, name: str) -> None:
        self._sandbox = sandbox
        self._name = name

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> requests.Response:
        token = self._sandbox.post("/session", user=self._name)["token"]
        return requests.request(
            method,
            f"{self._sandbox.info['service_url']}/api/stripe{path}",
            headers={"Authorization": f"Bearer {token}", "Origin": self._sandbox.url},
            json=body,
            timeout=60,
        )

    def subscription(self) -> dict[str, Any]:
        answer = self.call("GET", "/subscription")
        assert answer.status_code == 200, answer.text
        status: dict[str, Any] = answer.json()
        return status

    def url_of(self, path: str, body: dict[str, Any] | None = None) -> str:
        answer = self.call("POST", path, body)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["url"])
