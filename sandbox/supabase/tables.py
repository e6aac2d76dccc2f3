"""Reading tables and views: GET /rest/v1/<name>, its query string turned into SQL."""

import csv
import re

import psycopg
from flask import Response, request
from psycopg import sql

from sandbox.supabase.answers import refusal, unknown
from sandbox.supabase.negotiation import schema, wants_count
from sandbox.supabase.rows import rows

COMPARISONS = {"eq": "=", "neq": "<>", "gt": ">", "gte": ">=", "lt": "<", "lte": "<=",
               "like": "like"}  # fmt: skip
_TABLES = """
    select relname from pg_class
    where relnamespace = to_regnamespace(quote_ident(%s)) and relkind in ('r', 'p', 'v', 'm', 'f')
"""


def read(connection: psycopg.Connection, name: str) -> Response:
    if (name,) not in connection.execute(_TABLES, (schema(),)).fetchall():
        message = f"Could not find the table '{schema()}.{name}' in the schema cache"
        raise refusal(404, "PGRST205", message)
    condition, values = _condition(name)
    query = sql.SQL("select {} from {} where {}{}{}").format(
        _selected(name), sql.Identifier(schema(), name), condition, _order(name), _page()
    )
    total = None
    if wants_count():
        counting = sql.SQL("select count(*) from {} where {}").format(
            sql.Identifier(schema(), name), condition
        )
        ((total,),) = connection.execute(counting, values).fetchall()
    first = int(request.args.get("offset", 0))
    return rows(connection, query, values, first=first, total=total)


def _selected(table: str) -> sql.Composed:
    everything = sql.SQL("{}.*").format(sql.Identifier(schema(), table))
    names = [name.strip() for name in _items(request.args.get("select") or "*")]
    return sql.SQL(", ").join(everything if n == "*" else _column(table, n) for n in names)


def _column(table: str, name: str) -> sql.Identifier:
    if not re.fullmatch(r"[\w$]+", name):
        raise unknown(f"the column {name}")
    return sql.Identifier(schema(), table, name)


def _condition(table: str) -> tuple[sql.Composed, list[str]]:
    conditions, values = [sql.SQL("true").format()], []
    for name, text in request.args.items(multi=True):
        if name in ("select", "order", "limit", "offset"):
            continue
        operator, _, value = text.partition(".")
        if operator in COMPARISONS:
            test = sql.SQL(f"{{}} {COMPARISONS[operator]} %s")
            compared = [value.replace("*", "%") if operator == "like" else value]
        elif operator == "is" and value.lower() in ("null", "true", "false"):
            test, compared = sql.SQL(f"{{}} is {value}"), []
        elif operator == "in" and re.fullmatch(r"\(.*\)", value):
            compared = _items(value[1:-1])
            places = ", ".join(["%s"] * len(compared)) or "null"
            test = sql.SQL(f"{{}} in ({places})")
        else:
            raise unknown(f"the filter {text}")
        conditions.append(test.format(_column(table, name)))
        values += compared
    return sql.SQL(" and ").join(conditions), values


def _order(table: str) -> sql.Composed:
    keys = []
    for item in _items(request.args.get("order", "")):
        match = re.fullmatch(r"([\w$]+)(?:\.(asc|desc))?(?:\.nulls(first|last))?", item)
        if not match:
            raise unknown(f"the order {item}")
        name, direction, nulls = match.groups()
        words = f"{{}} {direction or 'asc'}" + (f" nulls {nulls}" if nulls else "")
        keys.append(sql.SQL(words).format(_column(table, name)))
    return sql.SQL(" order by {}" if keys else "").format(sql.SQL(", ").join(keys))


def _page() -> sql.SQL:
    clauses = ""
    for name in ("limit", "offset"):
        number = request.args.get(name)
        if number is not None and not re.fullmatch("[0-9]{1,9}", number):
            raise unknown(f"the {name} {number}")
        clauses += f" {name} {number}" if number else ""
    return sql.SQL(clauses)


def _items(text: str) -> list[str]:
    """The parts of a comma-separated list; in double quotes a part may hold anything."""
    try:
        return next(csv.reader([text], doublequote=False, escapechar="\\", strict=True))
    except csv.Error as error:
        raise unknown(f"the list {text}") from error
