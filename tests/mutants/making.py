"""What can be changed in the package, one thing at a time: mutmut's operators, and four of our own.

Left out is what changes nothing when it runs: annotations, docstrings, imports, `Literal`, the
message of a line of the log, the help of a metric or of an option.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import libcst as cst
import libcst.matchers as m
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation.mutators import mutation_operators

_SKIPPED = (
    m.Annotation()
    | m.Import()
    | m.ImportFrom()
    | m.Expr(m.SimpleString() | m.ConcatenatedString())
    | m.Subscript(m.Name("Literal"))
    | m.Arg(m.OneOf(m.SimpleString(), m.ConcatenatedString()), keyword=m.Name("help"))
)
_TELLING = m.Call(m.OneOf(m.Name("log"), m.Name("Counter"), m.Name("Histogram"), m.Name("TypeVar")))


def removed(node: cst.SimpleStatementLine) -> Iterator[cst.CSTNode]:
    """Nothing is done: no call, no refusal, no addition."""
    if m.matches(node.body[0], m.Expr(m.Call()) | m.Raise() | m.AugAssign() | m.Del()):
        yield node.with_changes(body=[cst.Pass()])


def answers_none(node: cst.Return) -> Iterator[cst.CSTNode]:
    if node.value and not m.matches(node.value, m.Name("None")):
        yield node.with_changes(
            value=cst.Name("None"), whitespace_after_return=cst.SimpleWhitespace(" ")
        )


def negated(node: cst.If | cst.While | cst.CompIf) -> Iterator[cst.CSTNode]:
    inner = node.test.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
    test = cst.UnaryOperation(cst.Not(), inner)
    changes = {"test": test} | (
        {"whitespace_before_test": cst.SimpleWhitespace(" ")} if isinstance(node, cst.If) else {}
    )
    yield node.with_changes(**changes)


def one_condition(node: cst.BooleanOperation) -> Iterator[cst.CSTNode]:
    """`a and b` without the one, and without the other."""
    yield node.left
    yield node.right


_OPERATORS = [
    *mutation_operators,
    (cst.SimpleStatementLine, removed),
    (cst.Return, answers_none),
    ((cst.If, cst.While, cst.CompIf), negated),
    (cst.BooleanOperation, one_condition),
]


@dataclass(frozen=True)
class Mutant:
    """One change. occurrence: which of what the operator makes in this function. text, becomes:
    the line, before and after."""

    file: str
    function: str
    operator: str
    occurrence: int
    line: int
    text: str
    becomes: str = ""


class _Finder(cst.CSTVisitor):
    METADATA_DEPENDENCIES = (PositionProvider,)

    def __init__(self) -> None:
        self.found: list[tuple[str, str, int, int, cst.CSTNode, cst.CSTNode]] = []
        self._inside: list[str] = []
        self._count: Counter[tuple[str, str]] = Counter()

    def on_visit(self, node: cst.CSTNode) -> bool:
        if m.matches(node, _SKIPPED):
            return False
        if isinstance(node, (cst.FunctionDef, cst.ClassDef)):
            self._inside.append(node.name.value)
        function, is_telling = ".".join(self._inside), m.matches(node, _TELLING)
        for kind, operator in _OPERATORS:
            if not isinstance(node, kind) or is_telling:
                continue
            for new in operator(node):
                name = operator.__name__.removeprefix("operator_")
                line = self.get_metadata(PositionProvider, node).start.line
                self.found.append((function, name, self._count[function, name], line, node, new))
                self._count[function, name] += 1
        if is_telling:  # its words do not matter, its fields do
            for arg in node.args:
                if not m.matches(arg.value, m.SimpleString() | m.ConcatenatedString()):
                    arg.visit(self)
            return False
        return True

    def on_leave(self, node: cst.CSTNode) -> None:
        if isinstance(node, (cst.FunctionDef, cst.ClassDef)):
            self._inside.pop()


class Package:
    """root: a checkout."""

    def __init__(self, root: Path) -> None:
        self.mutants: list[Mutant] = []
        self._change: dict[Mutant, tuple[cst.Module, cst.CSTNode, cst.CSTNode]] = {}
        for path in sorted((root / "portal_service").rglob("*.py")):
            wrapper, finder = MetadataWrapper(cst.parse_module(path.read_text())), _Finder()
            wrapper.visit(finder)
            lines = path.read_text().splitlines()
            for function, name, occurrence, line, node, new in finder.found:
                text = lines[line - 1].strip()
                file = str(path.relative_to(root))
                mutant = Mutant(file, function, name, occurrence, line, text)
                self.mutants.append(mutant)
                self._change[mutant] = wrapper.module, node, new

    def source_with(self, mutant: Mutant) -> str:
        module, node, new = self._change[mutant]
        return module.deep_replace(node, new).code
