"""docs/configuration.md is what Settings declares and .env.example explains: `make settings`."""

from dataclasses import fields

import pytest
from configuration_page import EXPLAINED, PAGE, Entry, entries, page

from portal_service import Settings

TEXT = EXPLAINED.read_text()
# What is a value there, and no placeholder.
WRITTEN = [entry for entry in entries(TEXT) if entry.value and "…" not in entry.value]


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == page(TEXT), "run `make settings`"


def test_a_variable_without_an_explanation_is_refused() -> None:
    with pytest.raises(ValueError, match="PORT"):
        list(entries("# Explains the first alone.\n#THREADS=64\n#PORT=8000\n"))


@pytest.mark.parametrize("entry", WRITTEN, ids=lambda entry: entry.name)
def test_every_value_that_is_shown_is_one_that_is_taken(entry: Entry) -> None:
    for field in fields(Settings):
        if entry.name in field.metadata["names"]:
            field.metadata["parse"](entry.value)
