"""docs/entitlement.md is what the function says: each status, reason, scheduled cancel, pause."""

import itertools
import re
from pathlib import Path

import pytest
from given import ENTITLED, PLANS, account, row

from portal_service.entitlement import is_running, status_object
from portal_service.subscription import KNOWN_STATUSES

DOCUMENT = Path(__file__).parents[2] / "docs" / "entitlement.md"
REASONS = {
    "pause_requested", "trial_end_without_payment_method", "first_payment_failure",
    "final_payment_failure", "system", "none",
}  # fmt: skip
# What must change nothing: a scheduled cancel in either form, and paused collection.
BESIDE = [
    {"cancel_at": cancel_at, "cancel_at_period_end": at_period_end, "pause_collection": pause}
    for cancel_at, at_period_end, pause in itertools.product(
        (None, "2026-12-01T00:00:00+00:00"),
        (False, True),
        (None, "void", "keep_as_draft", "mark_uncollectible"),
    )
]


def documented() -> list[list[str]]:
    lines = re.findall(r"^\| (.+) \|$", DOCUMENT.read_text(), re.MULTILINE)
    cells = [[cell.strip() for cell in line.split("|")] for line in lines]
    return [line for line in cells if line[0] != "status" and not line[0].startswith("-")]


def test_the_table_has_every_status_and_every_reason() -> None:
    statuses = {line[0] for line in documented()}
    assert statuses == KNOWN_STATUSES | {"unknown"}
    assert {line[1] for line in documented() if line[0] == "paused"} == REASONS


@pytest.mark.parametrize("line", documented(), ids=lambda line: " ".join(line[:2]).strip())
def test_the_table_says_what_the_function_says(line: list[str]) -> None:
    status, reason, subscribed, needs_payment, running, plan, why = line
    yes = [answer == "yes" for answer in (subscribed, needs_payment, running)]
    assert why
    for beside in BESIDE:
        given = row(
            status="new_at_stripe" if status == "unknown" else status,
            paused_reason=None if reason in ("", "none") else reason,
            **beside,
        )
        shown = status_object(account(given), PLANS, ENTITLED, livemode=False)
        runs = is_running(given, PLANS, ENTITLED)
        answers = (shown["subscribed"], shown["needs_payment"], runs, shown["plan"])
        assert shown["can_checkout"] is not runs, beside
        assert answers == (*yes, "pro" if plan == "its plan" else "free"), beside
