"""The connections to Postgres: a transaction per request, in the role of whoever asks."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg

from sandbox.faults import Faults
from sandbox.supabase.answers import refusal
from sandbox.supabase.negotiation import schema


class Database:
    """Connections that the server's threads share. A request is one transaction."""

    def __init__(self, url: str, faults: Faults) -> None:
        self._url = url
        self._faults = faults
        self._idle: list[psycopg.Connection] = []
        self._pool_size = threading.BoundedSemaphore(10)  # PostgREST's default

    @contextmanager
    def transaction(self, claims: dict[str, Any]) -> Iterator[psycopg.Connection]:
        """A transaction of the claims' role, in which policies can read the claims."""
        with self._pool_size:
            connection = self._connection()
            try:
                with connection.transaction():
                    connection.execute(
                        "select set_config('role', %s, true), set_config('search_path', %s, true),"
                        " set_config('request.jwt.claims', %s, true)",
                        (claims["role"], f'"{schema()}", public, extensions', json.dumps(claims)),
                    )
                    yield connection
            finally:
                if not connection.closed:
                    self._idle.append(connection)

    def close(self) -> None:
        while connection := self._waiting():
            connection.close()

    def _waiting(self) -> psycopg.Connection | None:
        with suppress(IndexError):
            return self._idle.pop()
        return None

    def _connection(self) -> psycopg.Connection:
        try:
            if self._faults.database == "down":
                raise psycopg.OperationalError("the sandbox was told so")
            while connection := self._waiting():
                with suppress(psycopg.OperationalError):  # Postgres was restarted meanwhile
                    connection.execute("select")
                    return connection
                connection.close()
            # Nothing is prepared: tables may change under the sandbox.
            connection = psycopg.connect(self._url, autocommit=True, prepare_threshold=None)
            connection.execute("set time zone 'UTC'")
            return connection
        except psycopg.OperationalError as error:
            message = "Database connection error. Retrying the connection."
            raise refusal(503, "PGRST000", message, str(error)) from error
