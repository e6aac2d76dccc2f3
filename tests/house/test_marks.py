"""What a test looks for where it must not be can't be there by chance: a request id is 32 random
hexadecimal digits, which hold `ada` about once in 140 times.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
BY_CHANCE = re.compile(r"[0-9a-f]{1,8}", re.IGNORECASE)


def marks_by_chance(code: str) -> Iterator[str]:
    """The short hexadecimal texts that some function says are `not in` something, unless it takes
    the request id out first.
    """
    for function in ast.walk(ast.parse(code)):
        if not isinstance(function, ast.FunctionDef):
            continue
        marks = [(node.lineno, mark) for node in ast.walk(function) if (mark := short_mark(node))]
        if marks and "request_id" not in ast.unparse(function):
            yield from (f"{function.name}, line {line}: {mark}" for line, mark in marks)


def short_mark(node: ast.AST) -> str | None:
    """What a comparison says is not in something, if chance could put it there."""
    if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.NotIn):
        mark = getattr(node.left, "value", None)
        if isinstance(mark, str) and BY_CHANCE.fullmatch(mark):
            return mark
    return None


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("def f():\n    assert 'ada' not in text", ["f, line 2: ada"]),
        ("def f():\n    assert '6666' not in answer.text", ["f, line 2: 6666"]),
        ("def f():\n    assert 'user_ada' not in text", []),
        ("def f():\n    assert 'ada' in text", []),
        ("def f():\n    said = line | {'request_id': ''}\n    assert 'ada' not in said", []),
    ],
)
def test_such_a_mark_is_found(code: str, found: list[str]) -> None:
    assert list(marks_by_chance(code)) == found


def test_no_test_looks_for_a_mark_that_a_request_id_may_hold() -> None:
    found = {
        str(file.relative_to(TESTS)): marks
        for file in TESTS.rglob("*.py")
        if (marks := list(marks_by_chance(file.read_text())))
    }
    assert found == {}
