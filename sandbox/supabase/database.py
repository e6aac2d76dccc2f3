"""The connections to Postgres: a transaction per request, in the role of whoever asks."""

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg
from psycopg import sql

from sandbox.connections import Connections
from sandbox.faults import Faults
from sandbox.supabase.answers import refusal
from sandbox.supabase.negotiation import schema

_BEGIN = """
    begin {mode};
    select set_config('role', {role}, true), set_config('search_path', {path}, true),
           set_config('request.jwt.claims', {claims}, true)
"""


class Database:
    """Connections that the server's threads share. A request is one transaction."""

    def __init__(self, url: str, faults: Faults) -> None:
        self._connections = Connections(url)
        self._faults = faults
        self._pool_size = threading.BoundedSemaphore(10)  # PostgREST's default

    @contextmanager
    def transaction(
        self, claims: dict[str, Any], *, read_only: bool = False
    ) -> Iterator[psycopg.Connection]:
        """A transaction of the claims' role, in which policies can read the claims."""
        begin = sql.SQL(_BEGIN).format(
            mode=sql.SQL("read only" if read_only else "read write"),
            role=sql.Literal(claims["role"]),
            path=sql.Literal(f'"{schema()}", public, extensions'),
            claims=sql.Literal(json.dumps(claims)),
        )
        with self._pool_size, ExitStack() as stack:
            yield self._begun(stack, begin)

    def close(self) -> None:
        self._connections.close()

    def _begun(self, stack: ExitStack, begin: sql.Composed) -> psycopg.Connection:
        try:
            if self._faults.database == "down":
                raise psycopg.OperationalError("the sandbox was told so")
            return stack.enter_context(self._connections.transaction(begin))
        except psycopg.OperationalError as error:
            message = "Database connection error. Retrying the connection."
            raise refusal(503, "PGRST000", message, str(error)) from error
