"""Every seeded bug of mutants.py still has its place: a text that moved shows at once, not only by
`make mutants`.
"""

from pathlib import Path

import pytest
from mutations import IN_POSTGRES, IN_PYTHON, IN_THE_PACKAGE, in_postgres, in_python

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("bug", IN_POSTGRES)
def test_a_bug_in_the_function_can_be_seeded(stage, bug: str) -> None:
    with in_postgres(stage().owner, bug):
        pass


@pytest.mark.parametrize("bug", IN_PYTHON)
def test_a_bug_in_the_mirror_can_be_seeded(bug: str) -> None:
    assert in_python(bug)


@pytest.mark.parametrize("bug", IN_THE_PACKAGE)
def test_a_bug_in_the_package_can_be_seeded(bug: str) -> None:
    seeded = IN_THE_PACKAGE[bug]
    text = (ROOT / seeded.file).read_text()
    assert seeded.edit.apply(text) != text
    assert (ROOT / seeded.tests.partition("::")[0]).exists()
