"""What `flask portal sync` found, for people and for machines."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

import click

from portal_service.errors import ServiceError


@dataclass(frozen=True)
class Difference:
    """One column of one row that is not what Stripe says."""

    row: str
    column: str
    here: Any
    stripe: Any


@dataclass
class Report:
    """unclaimed: subscriptions that belong to nobody, each with its customer.
    running_of_customer: those that charge. last: the last one that was dealt with.
    """

    seen: int = 0
    differences: list[Difference] = field(default_factory=list)
    unclaimed: dict[str, str | None] = field(default_factory=dict)
    repaired: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    running_of_customer: dict[str, list[str]] = field(default_factory=dict)
    last: str | None = None

    @property
    def two_running(self) -> dict[str, list[str]]:
        return {c: names for c, names in self.running_of_customer.items() if len(names) > 1}

    @property
    def differing_rows(self) -> int:
        return len({difference.row for difference in self.differences})

    def show_stopped(self, error: ServiceError, can_go_on: bool) -> None:
        """What ended the run, and how to go on where that is possible."""
        self._show_failed()
        where = f" with --starting-after {self.last}" if self.last and can_go_on else ""
        click.echo(f"Stopped: {error.sentence} ({error.code}). Run it again{where}.", err=True)

    def show(self, dry_run: bool, as_json: bool) -> None:
        if as_json:
            shown = asdict(self) | {
                "dry_run": dry_run,
                "unclaimed": list(self.unclaimed),
                "customers_with_two_running": self.two_running,
            }
            del shown["running_of_customer"]
            click.echo(json.dumps(shown))
            return
        if dry_run and self.differences:
            self._show_differences()
        for customer, names in self.two_running.items():
            click.echo(f"{customer} has {len(names)} running subscriptions: {', '.join(names)}")
        for name, owner in self.unclaimed.items():
            claim = f"flask portal link <Clerk's id of whoever pays> {owner}"
            click.echo(f"{name} belongs to nobody. Claim it: {claim}")
        self._show_failed()
        done = "a dry run" if dry_run else f"{self.repaired} refreshed, {len(self.failed)} failed"
        click.echo(
            f"{self.seen} subscriptions at Stripe; {self.differing_rows} rows differ, "
            f"{len(self.unclaimed)} belong to nobody yet; {done}."
        )

    def _show_failed(self) -> None:
        for name, code in self.failed.items():
            click.echo(f"{name} could not be refreshed: {code}", err=True)

    def _show_differences(self) -> None:
        cells = [("row", "column", "here", "Stripe")]
        cells += [(d.row, d.column, _shown(d.here), _shown(d.stripe)) for d in self.differences]
        widths = [max(len(line[n]) for line in cells) for n in range(4)]
        for line in cells:
            padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            click.echo("  ".join(padded).rstrip())


def _shown(value: Any) -> str:
    return "-" if value is None else str(value)
