"""SQL files as the Supabase CLI runs them, statement by statement, and what they cost."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

import psycopg

from sandbox.postgres import MIGRATIONS

# A statement: up to a semicolon that stands in no comment, no string and no $…$ body.
_STATEMENT = re.compile(
    r"""(?:--[^\n]*|'(?:[^']|'')*'|\$(\w*)\$.*?\$\1\$|[^;'$-]|-(?!-)|\$)+;""", re.S
)


@dataclass(frozen=True)
class Cost:
    """seconds; buffers touched and bytes of WAL, of one connection alone."""

    seconds: float
    buffers: int
    wal: int

    def __str__(self) -> str:
        return f"{self.seconds:.2f} s, {self.buffers:,} buffers, {self.wal / 1e6:.1f} MB of WAL"

    @classmethod
    def of(cls, connection: psycopg.Connection, work: Callable[[], object]) -> "Cost":
        buffers, wal = _counters(connection)
        began = time.monotonic()
        work()
        seconds = time.monotonic() - began
        after = _counters(connection)
        return cls(seconds, after[0] - buffers, after[1] - wal)


@dataclass(frozen=True)
class Run:
    cost: Cost
    slowest: list[tuple[float, str]]


def run_migrations(connection: psycopg.Connection) -> Run:
    """Every file of supabase/migrations, in order. They hold their own begin and commit."""
    took: list[tuple[float, str]] = []

    def run() -> None:
        for path in sorted(MIGRATIONS.glob("*.sql")):
            for number, statement in enumerate(split(path.read_text()), 1):
                began = time.monotonic()
                connection.execute(statement)
                name = f"{path.name.partition('_')[2]}, statement {number}: {_gist(statement)}"
                took.append((time.monotonic() - began, name))

    cost = Cost.of(connection, run)
    return Run(cost, sorted(took, reverse=True)[:3])


def split(text: str) -> list[str]:
    return [match[0].strip() for match in _STATEMENT.finditer(text)]


def _gist(statement: str) -> str:
    """Its last comment above it, or its first line."""
    lines = statement.splitlines()
    code = [line for line in lines if line and not line.startswith("--")]
    comments = [line for line in lines[: lines.index(code[0])] if re.match(r"-- \w", line)]
    return (comments[-1][3:] if code[0].startswith("do $") and comments else code[0])[:90]


def _counters(connection: psycopg.Connection) -> tuple[int, int]:
    """Of this connection, since it began. Postgres 18 counts by backend."""
    connection.execute("select pg_stat_force_next_flush()")
    query = """
        select (select sum(hits + reads + extends)::bigint
                from pg_stat_get_backend_io(pg_backend_pid())),
               wal_bytes::bigint
        from pg_stat_get_backend_wal(pg_backend_pid())
    """
    buffers, written = connection.execute(query).fetchone()
    return buffers, written
