"""bench/migration.py still runs and measures what it says; its figures are no test's business."""

import re

import psycopg
import pytest

from bench.migration import measure
from bench.statements import split
from sandbox.postgres import MIGRATIONS, Postgres


def test_it_measures_every_run(postgres: Postgres, capsys: pytest.CaptureFixture[str]) -> None:
    with psycopg.connect(postgres.url) as connection:
        if connection.info.server_version < 180000:
            pytest.skip("what one connection touches is counted since Postgres 18")
    measure(postgres, 300)

    said = capsys.readouterr().out
    cost = r"\d+\.\d\d s, [\d,]+ buffers, \d+\.\d MB of WAL"
    for run in ("first run", "second run", "indexes made .* before", "first run after that"):
        assert re.search(f"^{run}: {cost}", said, re.MULTILINE), said
    assert len(re.findall(r"longest wait: reader \d+\.\d\d s, writer \d+\.\d\d s$", said,
                          re.MULTILINE)) == 4  # fmt: skip
    for asked in ("getSubscription", "billing_account", "upsert_subscription, fast path"):
        assert re.search(rf"{asked} +(\d+ \(\d+\.\d\)|-) +\d+ \(\d+\.\d\)$", said, re.MULTILINE)


@pytest.mark.parametrize("path", sorted(MIGRATIONS.glob("*.sql")), ids=lambda path: path.name)
def test_it_runs_the_whole_file(path) -> None:
    def dense(text: str) -> str:
        return re.sub(r"\s", "", text)

    statements = split(path.read_text())
    assert dense("".join(statements)) == dense(path.read_text())
    assert all(statement.endswith(";") for statement in statements)
    assert statements[0].endswith("begin;")
    assert "commit;" in statements
