"""An environment that holds the service's packages and OpenTelemetry's, as docs/tracing.md says.
Only with --traced: `make traced`.
"""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
LOCKS = ("requirements.txt", "requirements-tracing.txt")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without the flag one test stands for all, and one line says why."""
    if config.getoption("--traced", default=False):
        return
    ours = [item for item in items if item.path.parent == Path(__file__).parent]
    for item in ours[:1]:
        item.add_marker(pytest.mark.skip("`make traced` installs OpenTelemetry and uses it"))
    items[:] = [item for item in items if item not in ours[1:]]


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of its commands."""
    folder = tmp_path_factory.mktemp("traced")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    commands = folder / "venv" / "bin"
    pip = [sys.executable, "-m", "pip", "--python", str(commands / "python"), "install", "--quiet"]
    wanted = [word for lock in LOCKS for word in ("-r", str(ROOT / lock))]
    said = subprocess.run(
        [*pip, "--disable-pip-version-check", "--require-hashes", "--only-binary=:all:", *wanted],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert said.returncode == 0, said.stderr
    return commands
