"""A database under test, and the functions of the migration as the service calls them."""

import json
from typing import Any

import psycopg
from psycopg.rows import dict_row

from sandbox.postgres import migrate

# The app's own table, as in the tutorial.
USERS = "create table users (id uuid primary key default gen_random_uuid(), clerk_id text unique)"


class Database:
    """One database, as its owner and as the service role see it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.notices: list[str] = []
        self._connections: dict[str, psycopg.Connection] = {}

    def migrate(self) -> str:
        self.notices = migrate(self.url)
        return "\n".join(self.notices)

    def connect(self, role: str, **claims: Any) -> psycopg.Connection:
        connection = psycopg.connect(self.url, autocommit=True, row_factory=dict_row)
        connection.prepare_threshold = None  # tests change tables under its feet
        text = json.dumps(claims | {"role": role}) if claims else ""
        connection.execute(
            "select set_config('role', %s, false), set_config('request.jwt.claims', %s, false)",
            [role, text],
        )
        return connection

    def connection(self, role: str) -> psycopg.Connection:
        if role not in self._connections:
            self._connections[role] = self.connect(role)
        return self._connections[role]

    def _run(self, role: str, query: str, values: tuple[Any, ...]) -> list[dict[str, Any]]:
        cursor = self.connection(role).execute(query, values or None)
        return cursor.fetchall() if cursor.description else []

    def owner(self, query: str, *values: Any) -> list[dict[str, Any]]:
        """As somebody at the SQL editor."""
        return self._run("postgres", query, values)

    def service(self, query: str, *values: Any) -> list[dict[str, Any]]:
        return self._run("service_role", query, values)

    def write(
        self, subscription: dict[str, Any], expected: int | None = 0, clerk: str | None = None
    ) -> dict[str, Any] | None:
        rows = self.service(
            "select * from upsert_subscription(%s, %s, %s)",
            json.dumps(subscription),
            clerk,
            expected,
        )
        assert len(rows) < 2
        return rows[0] if rows else None

    def row(self, subscription_id: str = "sub_1") -> dict[str, Any]:
        rows = self.service(
            "select * from subscriptions where stripe_subscription_id = %s", subscription_id
        )
        return rows[0]

    def store(self, subscription_id: str | None, **columns: Any) -> None:
        """A row as somebody makes it by hand."""
        columns["stripe_subscription_id"] = subscription_id
        places = ", ".join(["%s"] * len(columns))
        self.owner(
            f"insert into subscriptions ({', '.join(columns)}) values ({places})", *columns.values()
        )

    def link(self, clerk: str, customer: str, livemode: bool = False) -> None:
        self.service("select link_customer(%s, %s, %s)", clerk, livemode, customer)

    def account(self, clerk: str, livemode: bool = False) -> dict[str, Any]:
        return self.service("select billing_account(%s, %s) as it", clerk, livemode)[0]["it"]

    def user(self, clerk: str) -> str:
        """The app's id of a new user."""
        found = self.owner("insert into users (clerk_id) values (%s) returning id::text", clerk)
        return found[0]["id"]

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()
