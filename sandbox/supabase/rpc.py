"""Calls of the database's functions: POST /rest/v1/rpc/<name>."""

import json
from difflib import get_close_matches
from typing import Any

import psycopg
from flask import Response, request
from psycopg import sql
from psycopg.rows import dict_row
from werkzeug.exceptions import HTTPException

from sandbox.supabase.answers import refusal, response, unknown
from sandbox.supabase.negotiation import schema
from sandbox.supabase.rows import rows

_FUNCTIONS = """
    select coalesce(p.proargnames[:p.pronargs], '{}') as names, p.pronargdefaults as defaults,
           array(select format_type(oid, null) from unnest(p.proargtypes) oid) as types,
           p.proretset as many, p.prorettype = 2278 as void,
           t.typtype = 'c' or coalesce(p.proargmodes && '{o,b,t}', false) as composite,
           case when p.provolatile <> 'v' then set_config('transaction_read_only', 'on', true) end
    from pg_proc p join pg_type t on t.oid = p.prorettype
    where p.pronamespace = to_regnamespace(quote_ident(%s)) and p.proname = %s
      and p.prokind = 'f' and t.typname not in ('trigger', 'event_trigger')
"""


def call(connection: psycopg.Connection, name: str) -> Response:
    if request.args:
        raise unknown("a function with a query string")
    text, arguments = _arguments()
    function = _function(connection, name, arguments)
    query, values = _call_query(name, function, arguments), [text] if arguments else []
    if function["void"]:
        connection.execute(query, values)
        return response(204)
    element = "_t" if function["composite"] else "_t._value"
    return rows(connection, query, values, element=element, one=not function["many"])


def _arguments() -> tuple[str, dict[str, Any]]:
    """The JSON of the arguments, as it came and read."""
    try:
        text = request.get_data().decode() or "{}"
        arguments = json.loads(text)
    except ValueError as error:
        raise refusal(400, "PGRST102", "Empty or invalid json") from error
    if not isinstance(arguments, dict) or request.mimetype not in ("", "application/json"):
        raise unknown("arguments other than a JSON object")
    return text, arguments


def _function(connection: psycopg.Connection, name: str, arguments: dict) -> dict[str, Any]:
    with connection.cursor(row_factory=dict_row) as cursor:
        functions = cursor.execute(_FUNCTIONS, (schema(), name)).fetchall()
    if len(functions) > 1:
        raise unknown("overloaded functions")
    if functions and _takes(functions[0], arguments):
        return functions[0]
    raise _no_function(f"{schema()}.{name}", sorted(arguments), functions)


def _no_function(name: str, given: list[str], functions: list[dict]) -> HTTPException:
    listed, without, hint = ", ".join(given), " without parameters", None
    with_them = f" with parameter{'s' if len(given) > 1 else ''} {listed}"
    message = f"Could not find the function {name}{f'({listed})' if given else without}"
    details = (
        f"Searched for the function {name}{with_them if given else without} or with a single"
        " unnamed json/jsonb parameter, but no matches were found in the schema cache."
    )
    signatures = [
        f"({', '.join(sorted(function['names']))})" for function in functions if function["names"]
    ]
    if near := get_close_matches(f"({listed})", signatures, 1, 0.5):
        hint = f"Perhaps you meant to call the function {name}{near[0]}"  # PostgREST has more hints
    return refusal(404, "PGRST202", f"{message} in the schema cache", details, hint)


def _takes(function: dict[str, Any], arguments: dict) -> bool:
    names = function["names"]
    required = names[: len(function["types"]) - function["defaults"]]
    named = len(names) == len(function["types"])
    return named and set(required) <= set(arguments) <= set(names)


def _call_query(name: str, function: dict[str, Any], arguments: dict) -> sql.Composed:
    """The call; Postgres itself takes the JSON, the query's parameter, apart and casts it."""
    typed, passed = [], []
    for argument, kind in zip(function["names"], function["types"], strict=True):
        if argument in arguments:
            typed.append(sql.SQL("{} " + kind).format(sql.Identifier(argument)))
            passed.append(sql.SQL("{0} := _body.{0}").format(sql.Identifier(argument)))
    body = sql.SQL("json_to_record(%s::json) as _body({}), ").format(sql.SQL(", ").join(typed))
    return sql.SQL("select _result.* from {}{}({}) as _result{}").format(
        body if typed else sql.SQL(""),
        sql.Identifier(schema(), name),
        sql.SQL(", ").join(passed),
        sql.SQL("" if function["composite"] else "(_value)"),
    )
