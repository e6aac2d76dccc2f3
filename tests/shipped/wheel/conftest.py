"""What can be installed, built and installed once. Only with --wheel: `make dist`."""

from pathlib import Path

import pytest
from built import build_anew, install


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without the flag one test stands for all, and one line says why."""
    if config.getoption("--wheel", default=False):
        return
    ours = [item for item in items if item.path.parent == Path(__file__).parent]
    for item in ours[:1]:
        item.add_marker(pytest.mark.skip("`make dist` builds the wheel and installs it"))
    items[:] = [item for item in items if item not in ours[1:]]


@pytest.fixture(scope="session")
def wheel() -> Path:
    return build_anew()


@pytest.fixture(scope="session")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of an environment that holds the wheel."""
    return install(wheel, tmp_path_factory.mktemp("installed"))
