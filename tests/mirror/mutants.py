"""Each part of the ordering rule is there for a reason: a mirror without it is found to be wrong by
the very lives that test_property.py plays. `make mutants`.
"""

import pytest
from hypothesis import Phase, given, seed, settings
from lives import SCRIPTS
from mutations import IN_POSTGRES, IN_PYTHON, in_postgres, in_python
from simulation import Stage, WrongRow

# Hypothesis varies what it has tried; beginning anew is what makes lives different.
ROUNDS = 60
LIVES = 60


def lives_until_wrong(stage: Stage) -> int | None:
    """How many it takes until one ends in a wrong row; None where all end well."""

    @settings(max_examples=LIVES, database=None, deadline=None, phases=[Phase.generate])
    @given(SCRIPTS)
    def play(script):
        stage.play(script)

    for n in range(ROUNDS):
        try:
            seed(n)(play)()
        except WrongRow:
            return stage.played
    return None


@pytest.mark.parametrize("bug", IN_POSTGRES)
def test_a_bug_in_the_function_is_found(stage, bug: str) -> None:
    here = stage()
    with in_postgres(here.owner, bug):
        assert lives_until_wrong(here)


@pytest.mark.parametrize("bug", IN_PYTHON)
def test_a_bug_in_the_mirror_is_found(stage, bug: str) -> None:
    assert lives_until_wrong(stage(**in_python(bug)))


def test_without_a_bug_all_is_well(stage) -> None:
    assert lives_until_wrong(stage()) is None
