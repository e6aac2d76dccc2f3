"""What the files of `portal migrate` make in a real database, and what its other words are worth
there. Over HTTP it is tests/conformance/test_http_own_schema.py.
"""

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner

from portal_service.commands import migrate as write_migrations
from portal_service.commands.own_schema import checked_schema
from sandbox.postgres import Postgres, _wheel, migrate

USERS = "create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique)"
SUBSCRIPTIONS = """
    create table subscriptions (
        id uuid primary key default gen_random_uuid(),
        user_id uuid not null unique references users (id) on delete cascade,
        stripe_customer_id text not null unique,
        stripe_subscription_id text unique,
        status text not null default 'active',
        plan text not null default 'free',
        current_period_end timestamptz not null default now(),
        updated_at timestamptz not null default now()
    )
"""

Make = Callable[..., str]
Written = tuple[Path, str]
Write = Callable[..., Written]


@pytest.fixture
def make(postgres: Postgres, request: pytest.FixtureRequest) -> Iterator[Make]:
    """make(sql): the address of a new database in which an app has made its tables."""
    made = 0

    def make(*tables: str) -> str:
        nonlocal made
        made += 1
        name = re.sub(r"\W", "_", request.node.name.removeprefix("test_"))[:50]
        url = postgres.create_database(f"{name}_{made}")
        with psycopg.connect(url) as connection:
            for statement in tables:
                connection.execute(statement)
        return url

    yield make


@pytest.fixture
def written(tmp_path: Path) -> Write:
    """written(…): the command with these options; the folder, and what it said."""

    def written(*options: str) -> Written:
        folder = tmp_path / " ".join(["migrations", *options])
        folder.mkdir()
        result = CliRunner().invoke(write_migrations, ["--to", str(folder), *options])
        assert result.exit_code == 0, result.output
        return folder, result.output

    return written


def all_of(url: str, query: str) -> list[tuple]:
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchall()


def dumped(url: str, *schemas: str) -> list[str]:
    """What the database holds in these schemas, as statements, without grants."""
    command = [_wheel() / "pginstall" / "bin" / "pg_dump", "--schema-only", "--no-acl"]
    command += [f"--schema={name}" for name in schemas]
    dump = subprocess.run([*command, url], check=True, capture_output=True, text=True).stdout
    lines = [
        line for line in dump.splitlines() if not re.match(r"--|\\|$|(CREATE|ALTER) SCHEMA ", line)
    ]
    return sorted(lines)


def test_in_a_schema_of_its_own_all_is_as_it_is_in_public(make: Make, written: Write) -> None:
    public, own = make(USERS), make(USERS)
    migrate(public, written()[0])
    migrate(own, written("--schema", "pay")[0])

    def of_users(line: str) -> bool:
        return bool(re.search(r"public\.users\b", line))

    expected = sorted(
        re.sub(r"\bbilling_private\b", "pay_private", line if of_users(line) else
               re.sub(r"\bpublic\.", "pay.", line))
        for line in dumped(public, "public", "billing_private")
    )  # fmt: skip
    assert "CREATE TABLE pay.subscriptions (" in expected
    assert dumped(own, "public", "pay", "pay_private") == expected


def test_nothing_of_ours_is_left_in_public(make: Make, written: Write) -> None:
    url = make("create table subscriptions (email text primary key)")
    migrate(url, written("--schema", "pay")[0])

    kinds = "select relname from pg_class where relnamespace = 'public'::regnamespace"
    assert all_of(url, f"{kinds} and relkind <> 'i'") == [("subscriptions",)]
    assert not all_of(url, "select from pg_proc where pronamespace = 'public'::regnamespace")
    assert not all_of(url, "select from pg_namespace where nspname = 'billing_private'")


def test_it_can_be_run_again(make: Make, written: Write) -> None:
    url = make(USERS)
    folder, _ = written("--schema", "pay")
    migrate(url, folder)
    before = dumped(url)
    migrate(url, folder)
    assert dumped(url) == before


def test_every_word_that_sql_keeps_for_itself_is_refused(make: Make) -> None:
    url = make()
    kept = all_of(url, "select word from pg_get_keywords() where catcode in ('R', 'T')")
    for (word,) in kept:
        with pytest.raises(ValueError, match=word):
            checked_schema(word)
    free = all_of(url, "select word from pg_get_keywords() where catcode not in ('R', 'T')")
    with psycopg.connect(url) as connection:
        for name in (checked_schema(word) for (word,) in free if word != "storage"):
            connection.execute(f"create schema {name}; create table {name}.t (n int)")


def test_the_indexes_that_it_tells_of_are_those_that_the_migration_makes(
    make: Make, written: Write
) -> None:
    indexes = "select indexname, indexdef from pg_indexes where tablename = 'subscriptions'"
    plain, big = make(USERS, SUBSCRIPTIONS), make(USERS, SUBSCRIPTIONS)
    folder, said = written()
    migrate(plain, folder)
    lines = re.findall(r"^  (create .*index concurrently .*;)$", said, re.MULTILINE)
    assert lines

    with psycopg.connect(big, autocommit=True) as connection:
        for line in lines:
            connection.execute(line)
    made = set(all_of(big, indexes))
    migrate(big, folder)
    after = set(all_of(big, indexes))
    assert after == set(all_of(plain, indexes))
    new = after - made
    assert not new, "the migration made these itself"
