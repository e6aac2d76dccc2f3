"""Seeded bugs: the mirror or its function in Postgres, with one line changed."""

import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType

import psycopg

from portal_service import mirror, single_flight

FUNCTION = "public.upsert_subscription(jsonb, text, bigint)"


class DoesNotApply(Exception):
    """The text that the bug would change is not there, or not that often, any more."""


@dataclass(frozen=True)
class Edit:
    """before: a text; it stands there `times` times. after: what stands there instead."""

    before: str
    after: str
    times: int = 1

    def apply(self, text: str) -> str:
        if text.count(self.before) != self.times:
            raise DoesNotApply(f"{text.count(self.before)} times, not {self.times}: {self.before}")
        return text.replace(self.before, self.after)


def _edits(*edits: Edit) -> Callable[[str], str]:
    def apply(text: str) -> str:
        for edit in edits:
            text = edit.apply(text)
        return text

    return apply


_GUARD = "and s.as_of <= said.as_of - interval '60 seconds'"
_SWAP = "and s.revision = upsert_subscription.expected_revision"
_NEXT = "nextval('public.subscriptions_revision_seq')"
_FAST = f"as_of = said.as_of,\n      revision = {_NEXT},"
_OVER_A_REVISION = "\n  else\n    update public.subscriptions s set"


def _over_a_revision(edit: Edit) -> Callable[[str], str]:
    """A change of the third statement alone."""

    def apply(function: str) -> str:
        if function.count(_OVER_A_REVISION) != 1:
            raise DoesNotApply("the statement over a revision is not where it was")
        before, middle, after = function.partition(_OVER_A_REVISION)
        return before + middle + edit.apply(after)

    return apply


def _insert_where_the_row_is_gone(function: str) -> str:
    """One `insert … on conflict do update` for both: a new row, and one over a revision."""
    statement = function.partition(_OVER_A_REVISION)[2]
    assignments, found, _ = statement.partition("    where s.stripe_subscription_id")
    if not found:
        raise DoesNotApply("the statement over a revision is not as it was")
    update = f"do update set{assignments}where s.revision = upsert_subscription.expected_revision"
    return _edits(
        Edit("expected_revision = 0 then", "expected_revision >= 0 then"),
        Edit(
            "on conflict (stripe_subscription_id) do nothing",
            f"on conflict (stripe_subscription_id) {update}",
        ),
    )(function)


def _write_only_news(function: str) -> str:
    found = re.search(r"\(s\.stripe_customer_id, [^()]*\) is distinct from\s*\([^()]*\)", function)
    if not found:
        raise DoesNotApply("the function does not compare the content any more")
    new = f"case when {found[0]} then {{}} else {{}} end"
    return _over_a_revision(
        Edit(
            _FAST,
            f"as_of = {new.format('said.as_of', 's.as_of')},"
            f"revision = {new.format(_NEXT, 's.revision')},",
        )
    )(function)


IN_POSTGRES: dict[str, Callable[[str], str]] = {
    "no guard on the fast path": _edits(Edit(_GUARD, "")),
    "no margin: not older is enough": _edits(Edit(_GUARD, "and s.as_of <= said.as_of")),
    "no margin: later is enough": _edits(Edit(_GUARD, "and s.as_of < said.as_of")),
    "a margin smaller than the lateness of stamps": _edits(Edit("60 seconds", "10 seconds")),
    "no compare-and-swap": _edits(Edit(_SWAP, "")),
    "a refresh writes nothing when nothing is new": _write_only_news,
    "a new row is taken from the event": _edits(
        Edit(
            "elsif upsert_subscription.expected_revision = 0 then",
            "end if; if upsert_subscription.expected_revision = 0"
            " or (upsert_subscription.expected_revision is null and not found) then",
        ),
        Edit(_OVER_A_REVISION, _OVER_A_REVISION.replace(
            "else", "elsif upsert_subscription.expected_revision > 0 then")),
    ),
    "a refresh inserts where the row is gone": _insert_where_the_row_is_gone,
    "revisions count from 1 in each new row": _edits(
        Edit(f"said.as_of, {_NEXT}", "said.as_of, 1"),
        Edit(f"revision = {_NEXT}", "revision = s.revision + 1", times=2),
    ),
    "a row is not linked to its user": _edits(Edit("if owner is not null and", "if false and")),
    "a refresh nulls the link": _over_a_revision(Edit(_FAST, f"user_id = null, {_FAST}")),
}  # fmt: skip

IN_PYTHON: dict[str, tuple[ModuleType, Callable[[str], str]]] = {
    "a delivery joins a refresh whose question is sent": (
        single_flight,
        _edits(Edit("                del self._boarding[key]\n", "")),
    ),
    "the revision is read after asking Stripe": (
        mirror,
        _edits(
            Edit(
                "        return self._database.upsert(new_row, owner,",
                '        row = self._database.row(new_row["stripe_subscription_id"])\n'
                "        return self._database.upsert(new_row, owner,",
            )
        ),
    ),
    "who lost the compare-and-swap does not start again": (
        mirror,
        _edits(
            Edit("for _ in _rounds():", "for _ in range(1):"),
            Edit(
                '        raise ServiceError("database_unavailable")\n',
                "        return 'unchanged'\n",
            ),
        ),
    ),
    "snapshots of another release are trusted": (
        mirror,
        _edits(Edit("if release == OUR_RELEASE and ", "if ")),
    ),
}


@contextmanager
def in_postgres(owner: psycopg.Connection, name: str) -> Iterator[None]:
    """The function with this bug, until the block ends."""
    query = f"select pg_get_functiondef('{FUNCTION}'::regprocedure)"
    function = owner.execute(query).fetchone()
    owner.execute(IN_POSTGRES[name](function))
    try:
        yield
    finally:
        owner.execute(function)


def in_python(name: str) -> dict[str, ModuleType]:
    """A copy of the module with this bug, by its name."""
    module, change = IN_PYTHON[name]
    copy = ModuleType(module.__name__)
    exec(compile(change(inspect.getsource(module)), f"<{name}>", "exec"), copy.__dict__)
    return {module.__name__.rpartition(".")[2]: copy}
