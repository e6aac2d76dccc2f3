"""docs/licences.md names every package that is shipped, as pinned, under a licence looked at."""

from email.message import Message
from importlib.metadata import version

import licences
import pytest


def test_what_is_listed_is_what_is_pinned() -> None:
    """`make licences` after `make lock`."""
    assert licences.document() == licences.LIST.read_text()


def test_what_is_installed_is_what_is_pinned() -> None:
    """Else the list would be about other versions."""
    assert {name: version(name) for name in licences.pinned()} == licences.pinned()


def test_every_pin_has_a_hash() -> None:
    for lock in (*licences.LOCKS, "requirements-tracing.txt", "requirements-dev.txt"):
        pins = (licences.ROOT / lock).read_text().replace("\\\n", " ").splitlines()
        for pin in pins:
            if pin.strip() and not pin.lstrip().startswith("#"):
                assert "==" in pin and " --hash=sha256:" in pin, f"{lock}: {pin}"


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
