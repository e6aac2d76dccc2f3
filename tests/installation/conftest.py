"""All of an installation, right, until a test breaks something."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from installation import Installation
from watch import cheap_apps, no_label_leaks, nothing_leaks  # noqa: F401  (each test is watched)

from portal_service import Settings, create_app
from sandbox.web import Server
from sandbox.world import World


@pytest.fixture
def installation(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Installation]:
    monkeypatch.chdir(tmp_path)  # where there is no .env
    monkeypatch.setattr(world.stripe, "clock", world.stripe.clock)  # a test's own ends with it
    made = Installation(world)
    with Server(create_app(Settings.from_environment(made.environment))) as server:
        made.service_url = server.url
        world.deliver_to(server.url)
        yield made
        world.webhooks.url = None
