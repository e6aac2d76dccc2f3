"""The first commands of the runbook, run by a shell over a log as the service writes it: each finds
the line that it is after, and trips over none of Gunicorn's.
"""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
SOURCES = "\n".join(path.read_text() for path in (ROOT / "portal_service").glob("*.py"))
# How Compose's log becomes lines of JSON.
READ = re.search(r"--no-log-prefix service \| (jq .*?); }", RUNBOOK)
COMMANDS = re.findall(r"^logs \|.*$", RUNBOOK, re.MULTILINE)

Json = dict[str, Any]
BAD_SIGNATURE = "webhook with a bad signature: is STRIPE_WEBHOOK_SECRET this one's?"
UNKNOWN = "a live subscription is unknown at Stripe: is STRIPE_SECRET_KEY another account's?"
NOBODYS = "a subscription belongs to nobody: whoever pays for it is on the free plan"
TWICE = "an owner has two running subscriptions, and pays for both"
LINES: list[Json] = [
    {"level": "INFO", "message": "request", "request_id": "r1", "route": "/healthz", "status": 200},
    {"level": "ERROR", "message": "stripe call failed", "request_id": "…", "call": "GET /v1/x"},
    {"level": "INFO", "message": "request", "request_id": "…", "event": "evt_1", "status": 503},
    {"level": "WARNING", "message": BAD_SIGNATURE, "request_id": "r3"},
    {"level": "CRITICAL", "message": UNKNOWN, "request_id": "r4", "subscription": "sub_4"},
    {"level": "WARNING", "message": NOBODYS, "request_id": "r5", "customer": "cus_5"},
    {"level": "ERROR", "message": TWICE, "request_id": "r6", "subscriptions": ["sub_6", "sub_7"]},
]
# What each command must show of it, by a part of the command.
FINDS = {
    '"ERROR"': "stripe call failed",
    ".status >= 500": "evt_1",
    "request_id ==": "GET /v1/x",
    "grep -c": "1",
    "CRITICAL": "sub_4",
    "belongs to nobody": "cus_5",
    "two running": "sub_7",
}


@pytest.mark.parametrize("message", [BAD_SIGNATURE, UNKNOWN, NOBODYS, TWICE, "stripe call failed"])
def test_the_service_has_such_a_line(message: str) -> None:
    assert f'"{message}"' in SOURCES


@pytest.mark.skipif(not shutil.which("jq"), reason="jq is not installed")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_first_command_finds_its_line(command: str, tmp_path: Path) -> None:
    assert READ is not None
    log = tmp_path / "log"
    others = ["[2026-11-27 18:00:00 +0000] [7] [INFO] Booting worker with pid: 7", "", "null", "17"]
    log.write_text("\n".join([*others, *(json.dumps(line) for line in LINES)]) + "\n")
    script = f"logs() {{ {READ[1]} <{log}; }}\n{command}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    (found,) = (shown for part, shown in FINDS.items() if part in command)
    assert found in done.stdout
    assert "Booting" not in done.stdout


def test_every_first_command_is_among_them() -> None:
    assert len(COMMANDS) == len(FINDS)
