"""An older table can have policies of the team's own, and policies add up: one that shows every row
to everybody would undo ours, once the migration lets signed-in users read the table.
"""

from collections.abc import Iterator

import pytest
from schema_database import USERS, Database

from sandbox.postgres import Postgres

OLD_TABLE = """
    create table subscriptions (id serial primary key, user_id text, stripe_customer_id text);
    alter table subscriptions enable row level security;
"""


@pytest.fixture
def old(postgres: Postgres, request: pytest.FixtureRequest) -> Iterator[Database]:
    database = Database(postgres.create_database(f"policies_{abs(hash(request.node.name))}"))
    database.owner(USERS + ";" + OLD_TABLE)
    yield database
    database.close()


@pytest.mark.parametrize(
    "policy",
    [
        "for select using (true)",
        "for select to authenticated using (true)",
        "using (true)",
        "for all to public using (user_id is not null)",
    ],
)
def test_a_policy_that_shows_others_rows_is_named(old: Database, policy: str) -> None:
    old.owner(f'create policy "Everybody reads" on subscriptions {policy}')
    notices = old.migrate()
    old.user("user_ann")
    old.store("bob's", user_id=old.user("user_bob"), stripe_customer_id="cus_bob")

    with old.connect("authenticated", sub="user_ann") as ann:
        seen = ann.execute("select stripe_subscription_id from subscriptions").fetchall()
    assert seen == [] or "Everybody reads" in notices


@pytest.mark.parametrize(
    "policy",
    ["for select to service_role using (true)", "as restrictive for select using (true)",
     "for insert to authenticated with check (true)"],
)  # fmt: skip
def test_a_policy_that_shows_nothing_is_not(old: Database, policy: str) -> None:
    old.owner(f'create policy "Harmless" on subscriptions {policy}')
    assert "Harmless" not in old.migrate()


def test_ours_is_not_named_when_the_migration_runs_again(old: Database) -> None:
    old.migrate()
    assert "Signed-in users read" not in old.migrate()
