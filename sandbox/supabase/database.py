"""The connections to Postgres: a transaction per request, in the role of whoever asks."""

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg

from sandbox.connections import Connections
from sandbox.faults import Faults
from sandbox.supabase.answers import refusal
from sandbox.supabase.negotiation import schema


class Database:
    """Connections that the server's threads share. A request is one transaction."""

    def __init__(self, url: str, faults: Faults) -> None:
        self._connections = Connections(url)
        self._faults = faults
        self._pool_size = threading.BoundedSemaphore(10)  # PostgREST's default

    @contextmanager
    def transaction(self, claims: dict[str, Any]) -> Iterator[psycopg.Connection]:
        """A transaction of the claims' role, in which policies can read the claims."""
        with self._pool_size, ExitStack() as stack:
            connection = self._begun(stack)
            connection.execute(
                "select set_config('role', %s, true), set_config('search_path', %s, true),"
                " set_config('request.jwt.claims', %s, true)",
                (claims["role"], f'"{schema()}", public, extensions', json.dumps(claims)),
            )
            yield connection

    def close(self) -> None:
        self._connections.close()

    def _begun(self, stack: ExitStack) -> psycopg.Connection:
        try:
            if self._faults.database == "down":
                raise psycopg.OperationalError("the sandbox was told so")
            return stack.enter_context(self._connections.transaction())
        except psycopg.OperationalError as error:
            message = "Database connection error. Retrying the connection."
            raise refusal(503, "PGRST000", message, str(error)) from error
