"""The image, built once, and the service started from it. Only with --image."""

from collections.abc import Iterator
from pathlib import Path

import podman
import pytest
from imaged import Service, untidy_checkout


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    wanted = config.getoption("--image", default=False)
    reason = podman.why_not() if wanted else "`make image` builds the image and runs it"
    if reason:
        for item in items:
            if item.path.parent == Path(__file__).parent:
                item.add_marker(pytest.mark.skip(reason))


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Its name."""
    return podman.build(untidy_checkout(tmp_path_factory.mktemp("checkout")))


@pytest.fixture(
    scope="module",
    params=["--tmpfs=/tmp", "--env=HOME=/nowhere"],
    ids=["with /tmp", "without /tmp"],
)
def service(request: pytest.FixtureRequest, image: str) -> Iterator[Service]:
    """The service on a read-only file system, first with the folder that the docs give it."""
    with Service.started(image, request.param) as service:
        yield service
