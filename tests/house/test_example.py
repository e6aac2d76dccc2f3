"""The parts of `make example` fit together; that it works is clicked through in shipped/browser."""

import json
import re
from pathlib import Path

import pytest

from sandbox import example, guest

EXAMPLE = Path(__file__).parents[2] / "examples" / "nextjs"
SOURCES = [
    *(
        path
        for folder in ("app", "components", "lib")
        for path in (EXAMPLE / folder).rglob("*.ts*")
    ),
    *EXAMPLE.glob("*.ts"),
]
PATHS = [name for name in example.DEFAULTS if name.endswith("_PATH")]


@pytest.mark.parametrize("name", PATHS)
def test_there_is_a_page_where_people_come_back_to(name: str) -> None:
    path = example.DEFAULTS[name]
    assert (EXAMPLE / "app" / path.strip("/") / "page.tsx").is_file()
    assert f"{name}={path}" in (EXAMPLE / "README.md").read_text()


def test_every_variable_is_explained_and_the_sandbox_sets_it() -> None:
    read = {
        name
        for path in SOURCES
        if path.name != "next-env.d.ts"
        for name in re.findall(r"process\.env\.(\w+)", path.read_text())
    }
    explained = (EXAMPLE / ".env.example").read_text()
    assert read
    for name in read:
        assert re.search(rf"^#?{name}=", explained, re.MULTILINE), name
        assert re.search(rf"^(# )?{name}=", guest._ENV, re.MULTILINE), name


def test_nothing_of_it_knows_the_sandbox() -> None:
    for path in SOURCES:
        assert "sandbox" not in path.read_text().lower(), path


@pytest.mark.parametrize("folder", ["examples/nextjs", "frontend"])
def test_the_lock_names_no_registry(folder: str) -> None:
    lock = json.loads((EXAMPLE.parents[1] / folder / "package-lock.json").read_text())
    resolved = {place.get("resolved", "file:") for place in lock["packages"].values()}
    assert all(address.startswith("file:") for address in resolved)


@pytest.mark.parametrize("across", [False, True])
def test_one_variable_chooses_how_browsers_reach_the_service(across: bool) -> None:
    said = "BILLING_URL=http://x\n# A word.\n# NEXT_PUBLIC_BILLING_URL=http://x/api/stripe\n"
    values = example._values(f'{said}CLERK_JWT_KEY="a\\nb"\n', across)
    assert values == {
        "BILLING_URL": "http://x",
        "NEXT_PUBLIC_BILLING_URL": "http://x/api/stripe" if across else "",
        "CLERK_JWT_KEY": "a\nb",
    }
