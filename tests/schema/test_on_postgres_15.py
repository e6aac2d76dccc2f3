"""The oldest Postgres of hosted projects runs the same migrations: Debian's, where it is there.

Every shape and the rest of this folder run on it too: `pytest --postgres-15 tests/schema`.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from postgres_15 import running, why_not
from project import Project
from psycopg.types.json import Jsonb
from schema_database import USERS, Database
from shape import SHAPES
from test_existing_table import TUTORIAL, works
from test_shapes import findings

from sandbox.postgres import Postgres

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not() or "")
CHOSEN = ["works_tutorial", "a_vercel_starter", "a_several_not_null", "b_customers", "c_tracker"]


@pytest.fixture(scope="module")
def older() -> Iterator[Postgres]:
    with running() as server:
        yield server


@pytest.mark.parametrize("tables", ["", USERS, TUTORIAL], ids=["nothing", "users", "tutorial"])
def test_a_project_works_and_a_second_run_changes_nothing(older, subscription, tables, request):
    db = Database(older.create_database(f"project_{abs(hash(request.node.name))}"))
    if tables:
        db.owner(tables)
    first = db.migrate()
    assert db.owner("show server_version_num")[0]["server_version_num"].startswith("15")
    rows = works(db, subscription)
    assert {row["clerk_owner_id"] for row in rows} == {"user_ann"}
    assert len(db.account("user_ann")["subscriptions"]) >= 3
    with db.connect("authenticated", sub="user_ann") as reader:
        assert len(reader.execute("select from subscriptions").fetchall()) >= 3
    assert "Dropped" not in db.migrate()
    assert db.owner("select notice from billing_notices()")
    assert [db.row(row["stripe_subscription_id"]) for row in rows] == rows
    assert first or not tables
    db.close()


@pytest.mark.parametrize("shape", [s for s in SHAPES if s.name in CHOSEN], ids=lambda s: s.name)
def test_a_shape_ends_as_on_the_newest(older, shape):
    project = Project(older, f"shape_{shape.name}", shape)
    assert list(findings(project, shape)) == []
    project.drop()


def test_unclaimed_rows_written_at_once_do_not_deadlock(older: Postgres, subscription) -> None:
    db = Database(older.create_database("at_once"))
    db.owner(USERS)
    db.migrate()
    user = db.user("user_ann")
    names = [f"sub_{n}" for n in range(8)]
    rows = [db.write(subscription | {"stripe_subscription_id": name}) for name in names]
    connections = [db.connect("service_role") for _ in names]

    def write(connection: psycopg.Connection, name: str, revision: int):
        one = Jsonb(subscription | {"stripe_subscription_id": name})
        statement = "select * from upsert_subscription(%s, 'user_ann', %s)"
        return connection.execute(statement, [one, revision]).fetchone()

    with ThreadPoolExecutor(len(names)) as pool:
        written = pool.map(write, connections, names, [row["revision"] for row in rows])
        assert {row["user_id"] for row in written} == {user}
    for connection in connections:
        connection.close()
    db.close()
