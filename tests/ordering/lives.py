"""Strategies for hypothesis: lives of a subscription, and what befalls the deliveries of them."""

from functools import cache
from typing import Any

from hypothesis import strategies as st
from simulation import Change, Script

CANCEL, RESUME = ("cancel_at_period_end", {}), ("resume", {})
FAIL, PAY = ("fail_payment", {}), ("pay", {})
TEAM, PRO = ("change_plan", {"price": "price_team"}), ("change_plan", {"price": "price_pro"})

ACTIONS = st.sampled_from(
    [
        *(CANCEL, RESUME, FAIL, PAY, TEAM, PRO),
        ("change_plan", {"quantity": 3}),
        ("fail_payment", {"status": "unpaid"}),
        ("pause", {}),
        ("pause", {"reason": "final_payment_failure"}),
        ("pause", {"reason": "trial_end_without_payment_method"}),
        ("pause", {"behavior": "void"}),
        ("advance_period", {}),
        ("expire", {}),
        ("cancel_now", {}),
    ]
)
# What was true before is true again: the hardest case.
THERE_AND_BACK = st.sampled_from([[CANCEL, RESUME], [FAIL, PAY], [TEAM, PRO]])
ACTIONS_OF_A_LIFE = st.one_of(THERE_AND_BACK, st.lists(ACTIONS, min_size=1, max_size=4))


@cache
def one(*values: Any) -> st.SearchStrategy[Any]:
    """Made once: to make a strategy takes longer than to draw from it."""
    return st.sampled_from(values)


@st.composite
def changes(draw: st.DrawFn) -> tuple[Change, ...]:
    """What the changes of a life have in common is drawn first: extremes are met more often so."""
    actions = draw(ACTIONS_OF_A_LIFE)
    after = draw(one((0,), (0, 1), (0, 1, 58, 61), (0, 61, 2_700_000)))
    late = draw(one((0,), (0, 20), (0, 1, 20)))
    copies = draw(one((1,), (1,), (1, 2, 3)))
    forms = draw(one(("s",), ("s",), ("o",), ("s", "t", "o", "os")))
    return tuple(
        Change(
            *action,
            after=draw(one(*after)),
            late=draw(one(*late)),
            copies=draw(one(*copies)),
            forms=draw(one(*forms)),
        )
        for action in actions
    )


# Anything may happen next.
WILD = (
    ["ask"] * 5 + ["change"] * 4 + ["step"] * 4 + ["run"] * 3 + ["start"] * 2
    + ["tick", "die", "sign up", "leave"]
)  # fmt: skip


UP_TO_11 = st.integers(0, 11)


def wild(names: list[str]) -> st.SearchStrategy:
    move = st.tuples(st.sampled_from(names), UP_TO_11)
    return st.lists(move, min_size=8, max_size=40).map(tuple)


@st.composite
def overtaken(draw: st.DrawFn, between: list[str | None]) -> tuple[tuple[str, int], ...]:
    """Deliveries that have asked Stripe before the next change, and are held back until the end."""
    moves = []
    for _ in range(draw(one(1, 1, 2, 3))):
        moves += [("ask", draw(UP_TO_11))] * draw(one(1, 1, 0, 2))
        other = draw(one(*between))
        moves += [(other, 0)] if other else []
        moves += [("change", 0)]
    return tuple(moves)


def scripts(deletes: bool) -> st.SearchStrategy[Script]:
    more = ["delete"] * (2 if deletes else 0)
    late = overtaken([None, None, "tick", "sign up", *more])
    return st.builds(
        Script,
        status=st.sampled_from(["active"] * 4 + ["trialing", "incomplete", "past_due"]),
        changes=changes(),
        moves=st.one_of(wild(WILD + more), late, late),
        user=st.sampled_from(["first", "between", "never"]),
        checkout=st.sampled_from([False, False, True]),
        add_ons=st.sampled_from([0, 0, 1, 10, 10]),
        settled=st.sampled_from([0, 0, 61, None]),
        last_first=st.booleans(),
        patient=st.sampled_from([True, True, False]),
        oldest_last=st.booleans(),
        delete_before_last=st.sampled_from([0, 0, 1, 1, 1, None]) if deletes else st.none(),
        processes=st.sampled_from([1, 2, 8, 8]),
    )


SCRIPTS = st.one_of(scripts(deletes=False), scripts(deletes=True))
