"""The rows of a query as an answer."""

import psycopg
from flask import Response
from psycopg import sql

from sandbox.supabase.answers import refusal, response, unknown
from sandbox.supabase.negotiation import OBJECT, wants_object


def rows(
    connection: psycopg.Connection,
    query: sql.Composed,
    values: list[str],
    *,
    first: int = 0,
    element: str = "_t",
    one: bool = False,
    total: int | None = None,
) -> Response:
    """Run the query and answer its rows, or its `one` value, in Postgres' own JSON.

    total: how many rows there are, whatever the page, where the request wants to know.
    """
    array = f"coalesce(json_agg({element}), '[]')"
    wrapped = f"with _t as ({{}}) select {array}::text, ({array} -> 0)::text, count(*) from _t"
    row = connection.execute(sql.SQL(wrapped).format(query), values).fetchone()
    assert row is not None
    array_text, single, count = row
    as_object = wants_object()
    if as_object and not one and element != "_t":
        raise unknown("an object of values that are no rows")
    if as_object and count != 1:
        message = "Cannot coerce the result to a single JSON object"
        raise refusal(406, "PGRST116", message, f"The result contains {count} rows")
    answer = response(200, (single or "null") if one or as_object else array_text)
    if as_object:
        answer.content_type = f"{OBJECT}; charset=utf-8"
    page = f"{first}-{first + count - 1}" if count else "*"
    answer.headers["Content-Range"] = f"{page}/{'*' if total is None else total}"
    if total is not None and total > count:
        answer.status_code = 206
    return answer
