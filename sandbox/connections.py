"""Connections that are kept between questions: a new one costs Postgres a process, which takes
longer than most questions do.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg


class Connections:
    """Of one database, for any number of threads; as many as are in use at once, and none is closed
    before `close`.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._idle: list[psycopg.Connection] = []

    @contextmanager
    def transaction(self) -> Iterator[psycopg.Connection]:
        """A connection in a transaction, which is committed unless the block raises."""
        connection = self._connection()
        try:
            with connection.transaction():
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
        while connection := self._waiting():
            with suppress(psycopg.OperationalError):  # Postgres was restarted meanwhile
                connection.execute("select")
                return connection
            connection.close()
        # Nothing is prepared: tables may change under the sandbox.
        connection = psycopg.connect(self._url, autocommit=True, prepare_threshold=None)
        connection.execute("set time zone 'UTC'")
        return connection
