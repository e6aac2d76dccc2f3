"""The upgrade of a team's own table ends in "works" or in "refused, by name, nothing changed".

The whole suite tries each eighth shape; `make conformance`, and whoever names this file, all.
"""

import re
from collections.abc import Iterator

import pytest
from outcome import (
    Before,
    answers_the_app,
    changes_nothing_again,
    is_guarded,
    keeps_the_teams,
    knows_the_buyer,
    left_alone,
    let_out,
    lets_read,
    lives_beside,
    recognizes_the_payer,
    refused_for_good_reason,
    stores_purchases,
    tells_again,
)
from project import Project, Refused
from shape import SHAPES, Shape


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "shape" in metafunc.fixturenames:
        named = any("test_shapes" in argument for argument in metafunc.config.args)
        shapes = SHAPES if named else SHAPES[::8]
        metafunc.parametrize("shape", shapes, ids=[shape.name for shape in shapes])


def test_it_works_or_is_refused_by_name(project: Project, shape: Shape) -> None:
    assert list(findings(project, shape)) == []


def findings(project: Project, shape: Shape) -> Iterator[str]:
    before = Before(project)
    try:
        told = project.upgrade()
    except Refused as refused:
        yield from untold(shape, str(refused))
        yield from refused_for_good_reason(shape, refused)
        yield from left_alone(project, before)
        if shape.way_out == "statements":
            yield from let_out(project, before, refused)
        if shape.way_out == "schema":
            yield from lives_beside(project, before)
        return
    yield from untold(shape, told)
    if shape.ends == "refused":
        yield f"it has to be refused, and was told this: {told}"
        return
    yield from tells_again(project)
    yield from keeps_the_teams(project, before)
    yield from stores_purchases(project, told)
    yield from recognizes_the_payer(project, told)
    yield from knows_the_buyer(project, told)
    yield from lets_read(project, told)
    yield from answers_the_app(project, before, told)
    yield from is_guarded(project, before)
    yield from changes_nothing_again(project)


def untold(shape: Shape, told: str) -> Iterator[str]:
    for pattern in shape.tells:
        if not re.search(pattern, told, re.I):
            yield f"nothing tells {pattern!r}: {told}"
