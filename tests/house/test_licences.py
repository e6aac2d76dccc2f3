"""docs/licences.md names every package that is shipped, as pinned, under a licence looked at."""

import re
from email.message import Message
from importlib.metadata import PackageNotFoundError, requires, version

import licences
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ALL_LOCKS = (*licences.LOCKS, "requirements-tracing.txt", "requirements-dev.txt")


def test_what_is_listed_is_what_is_pinned() -> None:
    """`make licences` after `make lock`."""
    assert licences.document() == licences.LIST.read_text()


def test_what_is_installed_is_what_is_pinned() -> None:
    """Else the list would be about other versions."""
    assert {name: version(name) for name in licences.pinned()} == licences.pinned()


def test_every_pin_has_a_hash() -> None:
    for lock in ALL_LOCKS:
        pins = (licences.ROOT / lock).read_text().replace("\\\n", " ").splitlines()
        for pin in pins:
            if pin.strip() and not pin.lstrip().startswith("#"):
                assert "==" in pin and " --hash=sha256:" in pin, f"{lock}: {pin}"


def test_the_oldest_python_needs_nothing_that_is_not_pinned() -> None:
    """Locks are made on a later one, where some packages ask for less; with hashes, pip would
    install nothing then.
    """
    text = "".join((licences.ROOT / lock).read_text() for lock in ALL_LOCKS)
    pins = set(re.findall(r"^([a-z0-9.-]+)==", text, re.MULTILINE))
    oldest = {"python_version": "3.11", "python_full_version": "3.11.0", "extra": ""}
    missing = {f"{name} needs {one.name}" for name in pins for one in needs(name, oldest)
               if canonicalize_name(one.name) not in pins}  # fmt: skip
    assert not missing
    assert "async-timeout" in {one.name for one in needs("redis", oldest)}


def needs(package: str, environment: dict[str, str]) -> list[Requirement]:
    """What a package asks for there; of one that is not installed here, nothing is known."""
    try:
        asked = map(Requirement, requires(package) or [])
    except PackageNotFoundError:
        return []
    return [one for one in asked if one.marker is None or one.marker.evaluate(environment)]


@pytest.mark.parametrize(
    "field, said",
    [
        ("License-Expression", "GPL-3.0-only"),
        ("License-Expression", "MIT AND AGPL-3.0-or-later"),
        ("License", "LGPL"),
        ("License", "Proprietary"),
        ("Classifier", "License :: OSI Approved :: GNU General Public License v3 (GPLv3)"),
        ("Classifier", "Programming Language :: Python"),
    ],
)
def test_a_licence_that_nobody_has_looked_at_is_refused(
    monkeypatch: pytest.MonkeyPatch, field: str, said: str
) -> None:
    about = Message()
    about[field] = said
    monkeypatch.setattr(licences, "metadata", lambda package: about)
    with pytest.raises(licences.NotAccepted, match="a_package"):
        licences.licence("a_package")
