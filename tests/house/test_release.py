"""What is released under one version: the package, its changelog, its contract, and its pins."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from portal_service import __version__

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def pins(lock: str) -> dict[str, Version]:
    found = re.findall(r"^([A-Za-z0-9][\w.-]*)==([^\s;]+)", (ROOT / lock).read_text(), re.MULTILINE)
    return {canonicalize_name(name): Version(version) for name, version in found}


def test_the_version_is_that_of_the_changelog() -> None:
    """A release has its own heading; work on the next one stands under Unreleased."""
    changelog = (ROOT / "CHANGELOG.md").read_text()
    unreleased = changelog.partition("## [Unreleased]")[2].partition("\n## [")[0].strip()
    released = re.findall(r"^## \[(\d[^\]]*)\] - \d{4}-\d\d-\d\d$", changelog, re.MULTILINE)
    version, newest = Version(__version__), Version(released[0]) if released else Version("0")
    if unreleased:
        assert version.is_devrelease and version > newest
    else:
        assert version == newest


def test_the_contract_has_the_version_too() -> None:
    contract = (ROOT / "portal_service" / "openapi.json").read_text()
    assert f'"version": "{Version(__version__).base_version}"' in contract


def test_each_pin_is_within_its_range() -> None:
    """Else somebody changed a range and forgot `make lock`."""
    pinned = pins("requirements.txt")
    ranges = [Requirement(text) for text in PROJECT["dependencies"]]
    for wanted in ranges:
        assert wanted.specifier.contains(pinned[canonicalize_name(wanted.name)]), wanted
        assert {spec.operator for spec in wanted.specifier} == {">=", "<"}, wanted
    blocks = re.split(r"^(?=\S+==)", (ROOT / "requirements.txt").read_text(), flags=re.MULTILINE)
    direct = {block.partition("==")[0] for block in blocks if "(pyproject.toml)" in block}
    assert direct == {canonicalize_name(wanted.name) for wanted in ranges}


# On an older Python than that of the locks, where they have to have a pin.
ASKED_FOR_BY_OTHERS = {"async-timeout"}


@pytest.mark.parametrize("extra", ["redis", "sentry"])
def test_an_extra_is_what_its_lock_adds(extra: str) -> None:
    lines = (ROOT / f"requirements-{extra}.in").read_text().splitlines()
    wanted = [line.partition("#")[0].strip() for line in lines if line and line[0] not in "#-"]
    ours = [one for one in wanted if one not in ASKED_FOR_BY_OTHERS]
    assert ours == PROJECT["optional-dependencies"][extra]


def test_what_builds_it_is_pinned_for_make_dist() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]
    (wanted,) = map(Requirement, build["requires"])
    assert wanted.specifier.contains(pins("requirements-dev.txt")[wanted.name])
