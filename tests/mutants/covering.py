"""Which tests run which line of the package, and how long they take: a pytest plugin that writes it
down (`-p covering`, started by sample.py), and `Covering`, which reads it.
"""

import ast
import json
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from coverage import Coverage

FOLDER = "MUTANTS_COVERING"
RC = """[run]
source_pkgs = portal_service
data_file = {folder}/lines
parallel = true
patch = subprocess
disable_warnings = no-data-collected,module-not-imported,module-not-measured
context = ${{PYTEST_CURRENT_TEST-}}
"""


class _Plugin:
    def __init__(self, folder: Path) -> None:
        self.folder, self.times, self.bad = folder, {}, set()
        self.coverage = Coverage(config_file=str(folder / "rc"), data_suffix=True)
        self.coverage.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        self.coverage.switch_context(item.nodeid)
        try:
            return (yield)
        finally:
            self.coverage.switch_context("")

    def pytest_runtest_logreport(self, report):
        self.times[report.nodeid] = self.times.get(report.nodeid, 0) + report.duration
        if not report.passed:
            self.bad.add(report.nodeid)

    def pytest_sessionfinish(self, session):
        self.coverage.stop()
        self.coverage.save()
        if not hasattr(session.config, "workerinput"):
            good = {test: took for test, took in self.times.items() if test not in self.bad}
            (self.folder / "times.json").write_text(json.dumps(good))


def pytest_configure(config):
    if FOLDER in os.environ:
        config.pluginmanager.register(_Plugin(Path(os.environ[FOLDER])), "covering-lines")


class Covering:
    """times: seconds by test, of those that pass where nothing is changed. green_alone: which of
    them do without the others, as far as known.
    """

    def __init__(self, folder: Path, root: Path) -> None:
        self.times: dict[str, float] = json.loads((folder / "times.json").read_text())
        self.green_alone: dict[str, bool] = {}
        whole = Coverage(data_file=folder / "whole", config_file=False)
        whole.combine([str(path) for path in folder.glob("lines.*")], keep=True)
        self._lines: dict[str, list[str]] = {}
        self._statements: dict[str, list[Statement]] = {}
        self._run_by: dict[tuple[str, int], set[str]] = {}  # lines of functions alone
        self._run_by_imports: set[tuple[str, int]] = set()
        self._reach: dict[str, Counter[str]] = defaultdict(Counter)  # lines by test and file
        for path in sorted((root / "portal_service").rglob("*.py")):
            file = str(path.relative_to(root))
            self._lines[file] = path.read_text().splitlines()
            self._statements[file] = list(_statements(ast.parse(path.read_text()), ""))
            by_line = whole.get_data().contexts_by_lineno(str(path))
            inside = [one for one in self._statements[file] if one.function]
            for line in {n for one in inside for n in range(one.first, one.last + 1)}:
                ran = {re.sub(r" \(\w+\)$", "", one) for one in by_line.get(line, ())}
                self._run_by[file, line] = ran & self.times.keys()
                if "" in ran:
                    self._run_by_imports.add((file, line))
                for test in self._run_by[file, line]:
                    self._reach[test][file] += 1

    def tests(self, file: str, line: int) -> set[str]:
        """Those that run the statement in this line; for one that an import runs, those that run
        what it defines, or what uses it.
        """
        around = [one for one in self._statements[file] if one.first <= line <= one.last]
        statement = min(around, key=lambda one: one.last - one.first)
        if statement.function:
            found = self._of(file, statement.first, statement.last)
            if not found and (file, line) in self._run_by_imports:
                return self._users(statement.function, set())
            return found
        end = statement.last if statement.is_simple else statement.node.end_lineno or line
        return self._of(file, statement.first, end) or self._users(statement.name, set())

    def nearness(self, test: str, file: str) -> float:
        """How much of what it runs is in this file: 0 to 1."""
        return self._reach[test][file] / max(1, self._reach[test].total())

    def _of(self, file: str, first: int, last: int) -> set[str]:
        return set().union(*(self._run_by.get((file, n), ()) for n in range(first, last + 1)))

    def _users(self, name: str, seen: set[str]) -> set[str]:
        """What runs the functions that have this name in them, or the name of what has it."""
        found: set[str] = set()
        if not name or name in seen:
            return found
        seen.add(name)
        for file, statements in self._statements.items():
            for one in statements:
                text = "\n".join(self._lines[file][one.first - 1 : one.last])
                if re.search(rf"\b{name}\b", text):
                    found |= (
                        self._of(file, one.first, one.last)
                        if one.function
                        else self._users(one.name, seen)
                    )
        return found


@dataclass(frozen=True)
class Statement:
    """first, last: its lines, without those of its body. function: whose call runs it, or ""."""

    node: ast.stmt | ast.ExceptHandler
    function: str

    @property
    def is_simple(self) -> bool:
        return not getattr(self.node, "body", None)

    @property
    def first(self) -> int:
        decorators = getattr(self.node, "decorator_list", ())
        return min([self.node.lineno, *(one.lineno for one in decorators)])

    @property
    def last(self) -> int:
        if self.is_simple:
            return self.node.end_lineno or self.node.lineno
        return max(self.node.lineno, self.node.body[0].lineno - 1)

    @property
    def name(self) -> str:
        """What it defines."""
        targets = getattr(self.node, "targets", None) or [getattr(self.node, "target", self.node)]
        return getattr(targets[0], "id", "") or getattr(targets[0], "name", "") or ""


def _statements(tree: ast.AST, function: str) -> Iterator[Statement]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.stmt, ast.ExceptHandler)):
            yield Statement(node, function)
        is_function = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        yield from _statements(node, node.name if is_function else function)
