"""A sandbox for the tests over HTTP."""

from collections.abc import Iterator

import pytest
from started import StartedSandbox


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartedSandbox]:
    with StartedSandbox(tmp_path_factory.mktemp("sandbox")) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(started: StartedSandbox) -> StartedSandbox:
    """Everything runs, and nothing has happened yet."""
    started.post("/reset")
    return started
