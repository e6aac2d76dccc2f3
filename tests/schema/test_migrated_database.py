"""What the files of `portal migrate` make in a real database, and what its other words are worth
there. Over HTTP it is tests/stand_ins/test_http_own_schema.py.
"""

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner

from bench.statements import split
from portal_service.commands.migrate import BEFORE_A_BIG_TABLE
from portal_service.commands.migrate import migrate as write_migrations
from portal_service.commands.own_schema import checked_schema
from sandbox.postgres import Postgres, migrate, program

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
    command = [program("pg_dump"), "--schema-only", "--no-acl"]
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


HISTORY = """
    create schema supabase_migrations;
    create table supabase_migrations.schema_migrations (
        version text primary key, statements text[], name text
    )
"""


def push(url: str, folder: Path) -> list[str]:
    """What `supabase db push` does: for each file one batch of its statements and, as the last one,
    the line of the history; notices are shown (supabase/cli, pkg/migration/file.go).
    """
    notices: list[str] = []
    with psycopg.connect(url, autocommit=True) as connection:
        connection.add_notice_handler(lambda notice: notices.append(notice.message_primary))
        for path in sorted(folder.glob("*.sql")):
            version, _, name = path.stem.partition("_")
            statements = split(path.read_text())
            with connection.pipeline():
                for statement in statements:
                    connection.execute(statement)
                connection.execute(
                    "insert into supabase_migrations.schema_migrations values (%s, %s, %s)",
                    [version, statements, name],
                )
    return notices


@pytest.mark.parametrize("options", [[], ["--schema", "pay"]])
def test_supabase_db_push(make: Make, written: Write, options: list[str]) -> None:
    pushed, run = make(USERS, SUBSCRIPTIONS, HISTORY), make(USERS, SUBSCRIPTIONS)
    folder, _ = written(*options)

    said = push(pushed, folder)
    assert said == migrate(run, folder)
    assert not [notice for notice in said if "transaction" in notice]
    assert dumped(pushed, "public", "*_private") == dumped(run, "public", "*_private")
    names = [path.name for path in sorted(folder.glob("*.sql"))]
    query = "select version || '_' || name || '.sql' from supabase_migrations.schema_migrations"
    assert all_of(pushed, f"{query} order by 1") == [(name,) for name in names]


def test_a_push_that_fails_changes_nothing(make: Make, written: Write) -> None:
    url = make(USERS, SUBSCRIPTIONS, HISTORY)
    before = dumped(url, "*")
    folder, _ = written()
    first = min(folder.glob("*.sql"))
    first.write_text(first.read_text().replace("\ncommit;", "\nselect 1 / 0;\ncommit;"))

    with pytest.raises(psycopg.errors.DivisionByZero):
        push(url, folder)
    assert dumped(url, "*") == before
    assert all_of(url, "select from supabase_migrations.schema_migrations") == []


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


def test_nothing_is_left_to_build_where_the_statements_before_were_run(
    make: Make, written: Write
) -> None:
    definitions = "select replace(indexdef, indexname, '') from pg_indexes where tablename ~ '^sub'"
    plain, big = make(USERS, SUBSCRIPTIONS), make(USERS, SUBSCRIPTIONS)
    folder, said = written()
    migrate(plain, folder)

    with psycopg.connect(big, autocommit=True) as connection:
        for statement in BEFORE_A_BIG_TABLE:
            assert f"\n  {statement}\n" in said
            connection.execute(statement)
    made = all_of(big, definitions)
    migrate(big, folder)
    after = all_of(big, definitions)
    assert set(after) <= set(made)
    assert sorted(after) == sorted(all_of(plain, definitions))
