"""Each part of the ordering rule is there for a reason: a mirror without it is found to be wrong by
the very lives that test_property.py plays. What no life can show, as a write too many or a second
open session, other tests find. `make mutants`.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import Phase, given, seed, settings
from lives import SCRIPTS
from mutations import IN_POSTGRES, IN_PYTHON, IN_THE_PACKAGE, in_postgres, in_python
from simulation import Stage
from steps import WrongRow

# Hypothesis varies what it has tried; beginning anew is what makes lives different.
ROOT = Path(__file__).parents[2]
ROUNDS = 60
LIVES = 60


def lives_until_wrong(stage: Stage, rounds: Iterable[int] = range(ROUNDS)) -> int | None:
    """How many it takes until one ends in a wrong row; None where all end well."""

    @settings(max_examples=LIVES, database=None, deadline=None, phases=[Phase.generate])
    @given(SCRIPTS)
    def play(script):
        stage.play(script)

    for n in rounds:
        # Or plans that were made for an empty table read all rows that there are by now.
        stage.owner.execute("analyze users, subscriptions, billing_customers")
        try:
            seed(n)(play)()
        except WrongRow:
            return stage.played
    return None


@pytest.mark.parametrize("third", range(3))  # the longest first: cores are busy to the end
def test_without_a_bug_all_is_well(stage, third: int) -> None:
    assert lives_until_wrong(stage(), range(third, ROUNDS, 3)) is None


@pytest.mark.parametrize("bug", IN_POSTGRES)
def test_a_bug_in_the_function_is_found(stage, bug: str) -> None:
    here = stage()
    with in_postgres(here.owner, bug):
        assert lives_until_wrong(here)


@pytest.mark.parametrize("bug", IN_PYTHON)
def test_a_bug_in_the_mirror_is_found(stage, bug: str) -> None:
    assert lives_until_wrong(stage(**in_python(bug)))


@pytest.mark.parametrize("bug", IN_THE_PACKAGE)
def test_a_bug_in_the_package_turns_its_tests_red(bug: str, tmp_path: Path) -> None:
    """In a copy of everything, since these tests import the package by its name."""
    seeded, copy = IN_THE_PACKAGE[bug], tmp_path / "copy"
    left_out = shutil.ignore_patterns(".*", "node_modules")
    shutil.copytree(ROOT, copy, ignore=left_out)

    def run() -> int:
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
        return subprocess.run([*command, seeded.tests], cwd=copy).returncode

    assert run() == pytest.ExitCode.OK
    file = copy / seeded.file
    file.write_text(seeded.edit.apply(file.read_text()))
    assert run() == pytest.ExitCode.TESTS_FAILED
