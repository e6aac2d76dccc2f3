"""Starting the service: at once, or with one message that names everything that is wrong. In
processes of their own, since the entry points read the environment.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from environments import GOOD

ROOT = Path(__file__).parents[2]

WSGI = [sys.executable, "-c", "import wsgi; print(wsgi.app.name)"]
GUNICORN = [sys.executable, "-m", "gunicorn", "-c", str(ROOT / "gunicorn.conf.py"), "wsgi:app"]
COMMAND = [sys.executable, "-m", "portal_service"]
SERVE, SYNC = [*COMMAND, "serve"], [*COMMAND, "sync"]
PACKAGE_THEN_WSGI = [
    sys.executable,
    "-c",
    """
import portal_service
try:
    portal_service.create_app()
except portal_service.ConfigError as error:
    print(error, end="\\n\\n")
import wsgi
print(wsgi.app.name)
""",
]
WRONG = {"APP_URL": "", "STRIPE_SECRET_KEY": "pk_test_hush", "URL_PREFIX": "api"}


def start(
    command: list[str], folder: Path, dotenv: dict[str, str], **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run it in a folder that holds this `.env`, with nothing else told but these variables."""
    lines = [f'{name}="{value}"\n' for name, value in dotenv.items()]
    (folder / ".env").write_text("".join(lines))
    return subprocess.run(
        command,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PORT": "0", **environ},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_wrong_environment_stops_gunicorn_with_the_whole_list(tmp_path: Path) -> None:
    ended = start(GUNICORN, tmp_path, GOOD | WRONG)
    assert ended.returncode != 0
    said = ended.stdout + ended.stderr
    assert all(said.count(f"  {variable} ") == 1 for variable in WRONG), said
    assert "Traceback" not in said
    assert "hush" not in said


@pytest.mark.parametrize("command", [WSGI, SERVE, SYNC], ids=["wsgi", "serve", "sync"])
def test_the_entry_point_reads_the_file_and_real_variables_win(
    command: list[str], tmp_path: Path
) -> None:
    ended = start(command, tmp_path, GOOD | WRONG, URL_PREFIX="/billing")
    assert [ended.returncode, ended.stdout] == [1, ""]
    assert all(ended.stderr.count(f"  {wrong} ") == 1 for wrong in ("APP_URL", "STRIPE_SECRET_KEY"))
    assert "URL_PREFIX" not in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "hush" not in ended.stderr


def test_the_file_is_enough_for_the_entry_point_and_never_read_by_the_package(
    tmp_path: Path,
) -> None:
    ended = start(PACKAGE_THEN_WSGI, tmp_path, GOOD)
    assert [ended.returncode, ended.stderr] == [0, ""]
    refused, _, served = ended.stdout.rpartition("\n\n")
    assert "STRIPE_SECRET_KEY" in refused
    assert served == "portal_service\n"


def test_gunicorns_settings_read_the_file_too_and_real_variables_win(tmp_path: Path) -> None:
    """And load neither what others may ask for, which then is there as ever, nor any command."""
    load = f"""
import runpy, sys
def load():
    return runpy.run_path({str(ROOT / "gunicorn.conf.py")!r})
conf = load()
import wsgi
print(conf["workers"], conf["threads"], "requests" in sys.modules)
print([name for name in sys.modules if name.startswith("portal_service.commands.")])
conf["on_exit"](None)
import requests
load()["on_exit"](None)
print(sys.modules["requests"] is requests, requests.get.__name__)
from storage3.types import VectorIndex
from pydantic import ValidationError
print(VectorIndex.__pydantic_complete__)
try:
    VectorIndex.model_validate({{}})
except ValidationError as error:
    print(error.title, VectorIndex.__pydantic_complete__)
"""
    told = GOOD | {"WEB_CONCURRENCY": "3", "THREADS": "5"}
    ended = start([sys.executable, "-c", load], tmp_path, told, THREADS="7")
    assert [ended.returncode, ended.stderr] == [0, ""]
    assert ended.stdout == "3 7 False\n[]\nTrue get\nFalse\nVectorIndex True\n"
