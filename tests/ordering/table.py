"""A table of subscriptions without HTTP, over psycopg."""

import json

import psycopg
from psycopg.rows import scalar_row

from portal_service.subscription import Row


def connect(url: str, role: str | None = None) -> psycopg.Connection:
    connection = psycopg.connect(url, autocommit=True, row_factory=scalar_row)
    if role:
        connection.execute("select set_config('role', %s, false)", [role])
    return connection


class PlainDatabase:
    """The table through its one function, without HTTP: what portal_service.supabase_db does."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection

    def row(self, subscription_id: str) -> Row | None:
        query = "select to_jsonb(s) from subscriptions s where stripe_subscription_id = %s"
        return self._connection.execute(query, [subscription_id]).fetchone()

    def upsert(self, row: Row, owner: str | None, expected: int | None) -> Row | None:
        query = "select to_jsonb(s) from upsert_subscription(%s, %s, %s) s"
        return self._connection.execute(query, [json.dumps(row), owner, expected]).fetchone()

    def knows_customer(self, customer: str) -> bool:
        query = """
            select exists (select from subscriptions where stripe_customer_id = %(c)s)
                or exists (select from billing_customers where stripe_customer_id = %(c)s)
        """
        return self._connection.execute(query, {"c": customer}).fetchone()
