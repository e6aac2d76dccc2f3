"""A Supabase project with a team's tables, from before the upgrade on."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import dict_row
from shape import Shape

from portal_service.commands.own_schema import in_schema, own_names
from sandbox.postgres import HOSTED, MIGRATIONS, Postgres

# What every project has beside public: Supabase's own schema for its users.
AUTH = """
create schema auth;
create table auth.users (id uuid primary key, email text, raw_user_meta_data jsonb);
create function auth.jwt() returns jsonb language sql stable as
  $$ select nullif(current_setting('request.jwt.claims', true), '')::jsonb $$;
create function auth.uid() returns uuid language sql stable as
  $$ select (auth.jwt() ->> 'sub')::uuid $$;
create function auth.role() returns text language sql stable as
  $$ select auth.jwt() ->> 'role' $$;
grant usage on schema auth to postgres, anon, authenticated, service_role;
grant select, references, trigger on auth.users to postgres;
"""

# The tables are older than the day on which projects stopped granting everything.
OLDER = """
alter default privileges for role postgres in schema public
    grant all on tables to anon, authenticated, service_role;
alter default privileges for role postgres in schema public
    grant all on sequences to anon, authenticated, service_role;
alter default privileges for role postgres in schema public
    grant all on functions to anon, authenticated, service_role;
"""

TEAMS_RELATIONS = """
select oid::regclass::text as name from pg_class
where relkind in ('r', 'v', 'm', 'p')
  and relnamespace::regnamespace::text !~ '^(pg_|information_schema$|auth$)'
order by 1
"""

# A printed statement: from its verb to its semicolon, quotes of either kind included.
STATEMENT = re.compile(
    r"\b((?:insert into|update \S+|delete from|(?:alter|drop|create) (?:or replace )?\w+|grant"
    r"|revoke|with \w+ as|do \$|select public\.|set local )(?:\$\$.*?\$\$|'(?:[^']|'')*'"
    r'|"[^"]*"|[^;$\'"])*;)',
    re.S | re.I,
)


class Refused(Exception):
    """The upgrade stopped: what it said, its detail and hint included."""

    def __init__(self, error: psycopg.Error) -> None:
        diag = error.diag
        self.hint = diag.message_hint or ""
        parts = [diag.message_primary or str(error), diag.message_detail or "", self.hint]
        super().__init__("\n".join(part for part in parts if part))


class Project:
    def __init__(self, postgres: Postgres, name: str, shape: Shape) -> None:
        self.shape = shape
        self.shown = ""
        self._path = "public"
        self.url = postgres.create_database(name)
        self.superuser = make_conninfo(self.url, user="supabase_admin")
        self._pg_dump = postgres._bin / "pg_dump"
        self._name = name
        with psycopg.connect(self.superuser) as connection:
            connection.execute(AUTH)
        with psycopg.connect(self.url) as connection:
            connection.execute(OLDER)
            connection.execute(shape.sql)
            connection.execute(HOSTED)
        if shape.as_superuser:
            with psycopg.connect(self.superuser) as connection:
                connection.execute(shape.as_superuser)

    def upgrade(self, schema: str = "public", after: int = 0) -> str:
        """Run every file of the migration as a team does; all that it told, by whichever way.

        `shown` is what the SQL editor would show of that. From then on our names are looked up in
        this schema, the team's in public. `after` so many files, which were run before.
        """
        files = [path.read_text() for path in sorted(MIGRATIONS.glob("*.sql"))]
        names = own_names(files)
        told: list[str] = []
        shown: list[str] = []
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.add_notice_handler(lambda notice: told.append(_text(notice)))
            for text in files[after:]:
                try:
                    cursor = connection.execute(in_schema(text, names, schema).encode())
                except psycopg.Error as error:
                    raise Refused(error) from None
                while True:
                    if cursor.description:
                        shown += [_line(row) for row in cursor.fetchall()]
                    if not cursor.nextset():
                        break
        self.shown = "\n".join(shown)
        self._path = schema
        return "\n".join(dict.fromkeys(told + shown))

    @contextmanager
    def trying(self) -> Iterator["Trying"]:
        """A transaction that is rolled back at the end, in whatever role."""
        with psycopg.connect(self.url, row_factory=dict_row) as connection:
            connection.prepare_threshold = None
            connection.execute(f"set timezone = 'UTC'; set search_path = {self._path}, public")
            try:
                yield Trying(connection)
            finally:
                connection.rollback()

    def run(self, statements: list[str]) -> None:
        """As somebody at the SQL editor."""
        for statement in statements:
            with psycopg.connect(self.url) as connection:
                connection.execute(statement)

    def dump(self) -> list[str]:
        """All of pg_dump, but how far sequences are, which no rollback takes back."""
        parts = conninfo_to_dict(self.superuser)
        what = ["--exclude-schema=auth", "--inserts", "--restrict-key=none"]
        done = subprocess.run(
            [str(self._pg_dump), self.superuser, *what],
            env=os.environ | {"PGPASSWORD": str(parts["password"])},
            capture_output=True,
            text=True,
            check=True,
        )
        return [line for line in done.stdout.splitlines() if "pg_catalog.setval" not in line]

    def rows(self) -> dict[str, list[dict[str, Any]]]:
        """Every row of every table and view of the team's."""
        found = {}
        with psycopg.connect(self.superuser, row_factory=dict_row, autocommit=True) as connection:
            connection.execute("set timezone = 'UTC'")
            names = [row["name"] for row in connection.execute(TEAMS_RELATIONS)]
            for name in names:
                query = f"select to_jsonb(the_row) as it from {name} as the_row"
                with suppress(psycopg.Error):  # a view of the team's that can't be read
                    found[name] = [row["it"] for row in connection.execute(query)]
        return found

    def drop(self) -> None:
        url = make_conninfo(self.superuser, dbname="template1")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"drop database {self._name} with (force)")


class Trying:
    """Statements in one transaction that will be rolled back."""

    def __init__(self, connection: psycopg.Connection[dict[str, Any]]) -> None:
        self._connection = connection

    def act(self, role: str, statement: str, *values: Any, clerk: str = "") -> list[dict[str, Any]]:
        """One statement as this role, in a savepoint, with all that waits for the commit."""
        claims = {"role": role} | ({"sub": clerk} if clerk else {})
        with self._connection.transaction():
            self._connection.execute(
                "select set_config('role', %s, true), set_config('request.jwt.claims', %s, true)",
                ["none" if role == "owner" else role, json.dumps(claims)],
            )
            cursor = self._connection.execute(statement, values or None)
            rows = cursor.fetchall() if cursor.description else []
            self._connection.execute("set constraints all immediate")
            self._connection.execute("set local role none")
        return rows

    @contextmanager
    def undone(self) -> Iterator[None]:
        """Take back what happens within."""
        with self._connection.transaction(force_rollback=True):
            yield

    def write(
        self, subscription: dict[str, Any], clerk: str | None, expected: int | None
    ) -> dict[str, Any] | None:
        rows = self.act(
            "service_role",
            "select * from upsert_subscription(%s, %s, %s)",
            json.dumps(subscription),
            clerk,
            expected,
        )
        return rows[0] if rows else None

    def accounts(self, clerk: str) -> list[dict[str, Any]]:
        """What is known of this owner, in each mode."""
        statement = "select billing_account(%s, %s) as it"
        return [
            self.act("service_role", statement, clerk, livemode)[0]["it"]
            for livemode in (True, False)
        ]


def printed(told: str) -> list[str]:
    """The statements that a message prints."""
    return [re.sub(r"^\s+", "", found) for found in STATEMENT.findall(told)]


def _text(notice: psycopg.errors.Diagnostic) -> str:
    parts = [notice.message_primary, notice.message_detail, notice.message_hint]
    return "\n".join(part for part in parts if part)


def _line(row: tuple[Any, ...]) -> str:
    return "\n".join(str(value) for value in row if value is not None)
