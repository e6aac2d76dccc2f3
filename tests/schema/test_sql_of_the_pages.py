"""Every statement that a page shows runs, as it stands, where the migrations have run."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from schema_database import USERS, Database

PAGES = sorted((Path(__file__).parents[2] / "docs").glob("*.md"))
# What the samples take to be there.
OF_THE_APP = f"""
{USERS};
create table profiles (id uuid primary key, external_id text);
create table organizations (id uuid primary key, clerk_org_id text);
"""
BLOCKS = [
    pytest.param(block, id=f"{page.stem} {number}")
    for page in PAGES
    for number, (_, block) in enumerate(
        re.findall(r"^( *)```sql\n(.*?)^ *```$", page.read_text(), re.MULTILINE | re.DOTALL)
    )
]


def statements(block: str) -> list[str]:
    """Each ends with its line: no function of the pages has a semicolon in its body."""
    return [one for one in re.split(r";[ \t]*(?:--.*)?$", block, flags=re.MULTILINE) if one.strip()]


@pytest.mark.parametrize("block", BLOCKS)
def test_it_runs(make: Callable[..., Database], block: str) -> None:
    database = make(OF_THE_APP)
    database.migrate()
    for statement in statements(block):
        database.owner(statement)


def test_there_are_some() -> None:
    assert len(BLOCKS) >= 6
