"""Connections that are kept between questions: a new one costs Postgres a process, which takes
longer than most questions do.
"""

import select
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

_BEGIN = sql.SQL("begin")


class Connections:
    """Of one database, for any number of threads; as many as are in use at once, and none is closed
    before `close`.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._idle: list[psycopg.Connection] = []

    @contextmanager
    def transaction(self, begin: sql.SQL | sql.Composed = _BEGIN) -> Iterator[psycopg.Connection]:
        """A connection in a transaction, which is committed unless the block raises.

        begin: the statement, and what else goes to the server with it: each question that is asked
        by itself wakes two processes.
        """
        connection = self._connection()
        try:
            connection.execute(begin)
            yield connection
            connection.execute("commit")
        finally:
            with suppress(psycopg.OperationalError):  # it ended with the server
                if connection.info.transaction_status != TransactionStatus.IDLE:
                    connection.execute("rollback")
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
            if _is_quiet(connection):
                return connection
            connection.close()
        # Nothing is prepared: tables may change under the sandbox.
        connection = psycopg.connect(self._url, autocommit=True, prepare_threshold=None)
        connection.execute("set time zone 'UTC'")
        return connection


def _is_quiet(connection: psycopg.Connection) -> bool:
    """Whether the server said nothing since: when it stops, it says so, or the socket ends."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return not poll.poll(0)
