"""bench/ still runs, and measures what it says; its figures are no test's business. What many
writers at once must never do is: it is shown here in short, on both servers.
"""

import re
from collections.abc import Iterator

import psycopg
import pytest
from postgres_15 import running, why_not

from bench.many_writers import broken, fight
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


@pytest.fixture(params=["as configured", "15"])
def server(request: pytest.FixtureRequest, postgres: Postgres) -> Iterator[Postgres]:
    if request.param == "as configured":
        yield postgres
        return
    if reason := why_not():
        pytest.skip(reason)
    if request.config.getoption("--postgres-15", default=False):
        pytest.skip("all of this runs on Postgres 15 already")
    with running() as older:
        yield older


def test_eight_writers_at_once_break_nothing(server: Postgres) -> None:
    url = server.create_database("eight_writers")
    result = fight(url, turns=250)
    assert broken(url, result) == []
    taken = {name: count for name, count in result.calls.items() if name.endswith(" taken")}
    assert min(taken[f"{name} taken"] for name in ("insert", "event", "refresh", "link")) > 10


# What somebody does behind the back of those who wrote, and what has to be found.
SPOILED = {
    "update subscriptions set quantity = 0": "the last write is lost",
    "update subscriptions set user_id = 'x'": "user_id did not stay",
    "update billing_customers set clerk_owner_id = 'y' || clerk_owner_id": "linked to another than",
    # Of each customer all rows, or that would be found as well.
    "update subscriptions set clerk_owner_id = 'z' || clerk_owner_id": "owner_id did not stay",
    "update subscriptions set stripe_customer_id = 'cus_0'": "cus_0 has ",
    "delete from subscriptions": "it was written, and is lost",
}


def test_what_would_be_broken_is_found(postgres: Postgres) -> None:
    url = postgres.create_database("spoiled")
    result = fight(url, turns=60)
    for statement, finding in SPOILED.items():
        assert not [each for each in broken(url, result) if finding in each]
        with psycopg.connect(url) as connection:
            connection.execute(statement)
        assert [each for each in broken(url, result) if finding in each], statement
    once = result.writes[0]
    result.writes.append(once)
    assert f"revision {once.row['revision']} was given twice" in broken(url, result)
