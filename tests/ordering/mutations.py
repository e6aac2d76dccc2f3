"""Seeded bugs: the mirror or its function in Postgres, with one line changed."""

import inspect
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


_GUARD = "then s.as_of <= said.as_of - interval '60 seconds'"
_SWAP = "else s.revision = upsert_subscription.expected_revision end"
_NEXT = "nextval('public.subscriptions_revision_seq')"
_IS_NEW_ROW = "if upsert_subscription.expected_revision = 0 then"
_UPDATE = "update public.subscriptions s set"
_WHERE = "where s.stripe_subscription_id = said.stripe_subscription_id\n      and case"


def _insert_where_the_row_is_gone(function: str) -> str:
    """One `insert … on conflict do update` for both: a new row, and one over a revision."""
    assignments, found, _ = function.partition(_UPDATE)[2].partition(_WHERE)
    if not found:
        raise DoesNotApply("the update is not as it was")
    update = f"do update set{assignments}where s.revision = upsert_subscription.expected_revision"
    return _edits(
        Edit(_IS_NEW_ROW, "if upsert_subscription.expected_revision >= 0 then"),
        Edit(
            "on conflict (stripe_subscription_id) do nothing",
            f"on conflict (stripe_subscription_id) {update}",
        ),
    )(function)


def _where_news(new: str, old: str) -> str:
    """`old` where a refresh finds nothing new."""
    return (
        "case when upsert_subscription.expected_revision is null"
        f" or jsonb_populate_record(s, content) *<> s then {new} else {old} end"
    )


IN_POSTGRES: dict[str, Callable[[str], str]] = {
    "no guard on the fast path": _edits(Edit(_GUARD, "then true")),
    "no margin: not older is enough": _edits(Edit(_GUARD, "then s.as_of <= said.as_of")),
    "no margin: later is enough": _edits(Edit(_GUARD, "then s.as_of < said.as_of")),
    "a margin smaller than the lateness of stamps": _edits(Edit("60 seconds", "10 seconds")),
    "no compare-and-swap": _edits(Edit(_SWAP, "else true end")),
    "a refresh writes nothing when nothing is new": _edits(
        Edit("said.as_of),\n", _where_news("said.as_of", "s.as_of") + "),\n"),
        Edit(f"revision = {_NEXT}", f"revision = {_where_news(_NEXT, 's.revision')}"),
    ),
    "a new row is taken from the event": _edits(
        Edit(
            _IS_NEW_ROW,
            "if upsert_subscription.expected_revision = 0"
            " or upsert_subscription.expected_revision is null and not exists (select"
            " from public.subscriptions x"
            " where x.stripe_subscription_id = said.stripe_subscription_id) then",
        )
    ),
    "a refresh inserts where the row is gone": _insert_where_the_row_is_gone,
    "revisions count from 1 in each new row": _edits(
        Edit(f"{_NEXT}, now(), now())", "1, now(), now())"),
        Edit(f"revision = {_NEXT}", "revision = s.revision + 1"),
    ),
    "a row is not linked to its user": _edits(
        Edit("if billing_private.claim(", "if false and billing_private.claim(")
    ),
    "a refresh nulls the link": _edits(
        Edit(
            f"revision = {_NEXT},",
            "user_id = case when upsert_subscription.expected_revision is null then s.user_id end,"
            f"revision = {_NEXT},",
        )
    ),
}

IN_PYTHON: dict[str, tuple[ModuleType, Callable[[str], str]]] = {
    "a delivery joins a refresh whose question is sent": (
        single_flight,
        _edits(Edit("                del self._boarding[key]\n", "")),
    ),
    "the revision is read after asking Stripe": (
        mirror,
        _edits(
            Edit(
                "        return self._upsert(new_row, owner,",
                '        row = self._database.row(new_row["stripe_subscription_id"])\n'
                "        return self._upsert(new_row, owner,",
            )
        ),
    ),
    "who lost the compare-and-swap does not start again": (
        mirror,
        _edits(
            Edit("for _ in deadline.rounds():", "for _ in range(1):"),
            Edit(
                '        raise ServiceError("database_unavailable")\n',
                "        return Change('unchanged')\n",
            ),
        ),
    ),
    "snapshots of another release are trusted": (
        mirror,
        _edits(Edit("if whole and release == OUR_RELEASE and ", "if whole and ")),
    ),
    "a snapshot that shows only the first of its items is trusted": (
        mirror,
        _edits(Edit("whole = not has_more_items(subscription)", "whole = True")),
    ),
}


@dataclass(frozen=True)
class Seeded:
    """A bug in a file of the package, and the tests that it must turn red."""

    file: str
    edit: Edit
    tests: str


IN_THE_PACKAGE = {
    "an ended row is written again": Seeded(
        "portal_service/mirror.py",
        Edit("if row is not None and over and not differences(row, new_row):", "if False:"),
        "tests/money/test_rows_by_hand.py::"
        "test_an_ended_one_whose_row_says_so_is_not_written_again",
    ),
    "the key of a checkout names the wish": Seeded(
        "portal_service/open_session.py",
        Edit(
            "_key(services, customer, ours), listed",
            "_key(services, customer, ours) + fingerprint, listed",
        ),
        "tests/money/test_open_sessions.py::"
        "test_two_different_wishes_at_once_leave_one_open_session",
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
