"""All of an installation, right, until a test breaks something."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from installation import Installation
from watch import cheap_apps, no_label_leaks, nothing_leaks  # noqa: F401  (each test is watched)

from sandbox.world import World


@pytest.fixture
def installation(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Installation]:
    monkeypatch.chdir(tmp_path)  # where there is no .env
    monkeypatch.setattr(world.stripe, "clock", world.stripe.clock)  # a test's own ends with it
    with ExitStack() as running:
        made = Installation(world, running, tmp_path)
        made.serve()
        yield made
        world.webhooks.url = None
