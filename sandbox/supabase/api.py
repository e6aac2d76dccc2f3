"""Supabase's REST API over a real Postgres: as much of PostgREST as the service and its tests use.

Statuses and bodies are those of PostgREST 14, which hosted projects run. A request that it
would understand and this does not is refused with the code SANDBOX, never answered by a guess.
"""

import csv
import json
import re
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from typing import Any

import jwt
import psycopg
from flask import Flask, Response, request
from flask_cors import CORS
from psycopg import sql
from psycopg.rows import dict_row
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from sandbox import faults as switches

ROLES = ("anon", "authenticated", "service_role")
OBJECT = "application/vnd.pgrst.object+json"
ARRAYS = ("application/json", "application/vnd.pgrst.array+json", "application/*", "*/*")
COMPARISONS = {"eq": "=", "neq": "<>", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
STATUSES = {  # of Postgres' error codes, or else of their class, or else 400
    **dict.fromkeys(("09", "21", "25", "2D", "38", "39", "3B", "40", "42P17", "53400"), 500),
    **dict.fromkeys(("54", "55", "57", "58", "F0", "HV", "P0", "XX"), 500),
    **dict.fromkeys(("08", "53", "57P01"), 503),
    **dict.fromkeys(("0L", "0P", "28", "42501"), 403),
    **dict.fromkeys(("42883", "42P01"), 404),
    **dict.fromkeys(("23503", "23505"), 409),
    **{"25006": 405, "P0001": 400},
}

_FUNCTIONS = """
    select coalesce(p.proargnames[:p.pronargs], '{}') as names, p.pronargdefaults as defaults,
           array(select format_type(oid, null) from unnest(p.proargtypes) oid) as types,
           p.proretset as many, p.provolatile = 'v' as writes, p.prorettype = 2278 as void,
           t.typtype = 'c' or coalesce(p.proargmodes && '{o,b,t}', false) as composite
    from pg_proc p join pg_type t on t.oid = p.prorettype
    where p.pronamespace = to_regnamespace(quote_ident(%s)) and p.proname = %s
      and p.prokind = 'f' and t.typname not in ('trigger', 'event_trigger')
"""
_TABLES = """
    select relname from pg_class
    where relnamespace = to_regnamespace(quote_ident(%s)) and relkind in ('r', 'p', 'v', 'm', 'f')
"""


def api_key(role: str, jwt_secret: str) -> str:
    """The anon or service_role key of a project, as Supabase makes the older kind."""
    claims = {"iss": "supabase", "ref": "sandbox", "role": role, "exp": 4102444800}
    return jwt.encode(claims, jwt_secret, algorithm="HS256")


def create_app(
    database_url: str,
    jwt_secret: str,
    faults: switches.Faults,
    schemas: tuple[str, ...] = ("public",),
) -> Flask:
    """schemas: those that are exposed; a request that names none gets the first."""
    app = Flask(__name__)
    CORS(app, send_wildcard=True)  # frontends may read Supabase directly
    database = _Database(database_url, faults)
    weakref.finalize(app, database.close)

    @app.post("/rest/v1/rpc/<name>")
    def rpc(name: str) -> Response:
        with database.transaction(_claims(jwt_secret)) as connection:
            return _call(connection, name)

    @app.get("/rest/v1/<name>")
    def table(name: str) -> Response:
        with database.transaction(_claims(jwt_secret)) as connection:
            return _table(connection, name)

    @app.before_request
    def begin() -> None:
        if faults.database == "slow":
            time.sleep(switches.SLOW_SECONDS)
        if faults.database_latency_ms:
            time.sleep(faults.database_latency_ms / 1000)
        _check_headers()
        request.environ["sandbox.schema"] = _negotiated(schemas)

    @app.after_request
    def tell_schema(response: Response) -> Response:
        if response.status_code < 300 and (_profile() or len(schemas) > 1):
            response.headers["Content-Profile"] = _schema()
        return response

    app.register_error_handler(psycopg.Error, _translated)
    app.register_error_handler(NotFound, _no_path)
    app.register_error_handler(MethodNotAllowed, lambda _: _unknown("this method here", 405))
    return app


# Answers that are not what was asked for; raised within a transaction, they undo it


def _refusal(
    status: int, code: str, message: str, details: str | None = None, hint: str | None = None
) -> HTTPException:
    body = {"code": code, "details": details, "hint": hint, "message": message}
    response = _response(status, json.dumps(body))
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    if status == 503:
        response.headers["Retry-After"] = "0"
    return HTTPException(message, response)


def _unknown(what: str, status: int = 400) -> HTTPException:
    message = f"The stand-in for PostgREST does not know {what}"
    return _refusal(status, "SANDBOX", message, f"{request.method} {request.full_path}")


def _no_path(_: NotFound) -> HTTPException:
    return _refusal(404, "PGRST125", "Invalid path specified in request URL")


def _translated(error: psycopg.Error) -> HTTPException:
    code, diag = error.sqlstate, error.diag
    if code is None and isinstance(error, psycopg.DataError):
        return _unknown(f"such a value: {error}")
    if code is None:
        message = "Database client error. Retrying the connection."
        return _refusal(503, "PGRST001", message, str(error))
    status = STATUSES.get(code) or STATUSES.get(code[:2], 400)
    if code == "42501" and request.environ["sandbox.role"] == "anon":
        status = 401
    if code.startswith("PT") and code[2:].isdecimal():  # raised by a function to set the status
        status = int(code[2:])
    message = diag.message_primary or ""
    return _refusal(status, code, message, diag.message_detail, diag.message_hint)


# Who is asking, and Postgres


def _claims(jwt_secret: str) -> dict[str, Any]:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        token = request.headers.get("apikey", "")  # Supabase's gateway passes the key on
    claims = _verified(token.strip(), jwt_secret) if token else {}
    role = request.environ["sandbox.role"] = claims.setdefault("role", "anon")
    if role not in ROLES:
        raise _refusal(403, "42501", f'permission denied to set role "{role}"')
    return claims


def _verified(token: str, jwt_secret: str) -> dict[str, Any]:
    if (parts := token.count(".") + 1) != 3:
        raise _refusal(401, "PGRST301", f"Expected 3 parts in JWT; got {parts}")
    try:
        return jwt.decode(
            token,
            jwt_secret,
            algorithms=["HS256"],
            leeway=30,
            options={"verify_aud": False, "verify_sub": False, "verify_jti": False},
        )
    except jwt.ExpiredSignatureError as error:
        raise _refusal(401, "PGRST303", "JWT expired") from error
    except jwt.ImmatureSignatureError as error:
        raise _refusal(401, "PGRST303", "JWT not yet valid") from error
    except jwt.PyJWTError as error:
        details = "None of the keys was able to decode the JWT"
        raise _refusal(401, "PGRST301", "No suitable key or wrong key type", details) from error


class _Database:
    """Connections that the server's threads share. A request is one transaction."""

    def __init__(self, url: str, faults: switches.Faults) -> None:
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
                        (claims["role"], f'"{_schema()}", public, extensions', json.dumps(claims)),
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
            raise _refusal(503, "PGRST000", message, str(error)) from error


# Functions


def _call(connection: psycopg.Connection, name: str) -> Response:
    if request.args:
        raise _unknown("a function with a query string")
    text, arguments = _arguments()
    function = _function(connection, name, arguments)
    if not function["writes"]:
        connection.execute("set transaction read only")
    query, values = _call_query(name, function, arguments), [text] if arguments else []
    if function["void"]:
        connection.execute(query, values)
        return _response(204)
    element = "_t" if function["composite"] else "_t._value"
    return _rows(connection, query, values, element=element, one=not function["many"])


def _function(connection: psycopg.Connection, name: str, arguments: dict) -> dict[str, Any]:
    with connection.cursor(row_factory=dict_row) as cursor:
        functions = cursor.execute(_FUNCTIONS, (_schema(), name)).fetchall()
    if len(functions) > 1:
        raise _unknown("overloaded functions")
    if functions and _takes(functions[0], arguments):
        return functions[0]
    raise _no_function(f"{_schema()}.{name}", sorted(arguments), functions)


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
    return _refusal(404, "PGRST202", f"{message} in the schema cache", details, hint)


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
        sql.Identifier(_schema(), name),
        sql.SQL(", ").join(passed),
        sql.SQL("" if function["composite"] else "(_value)"),
    )


# Tables


def _table(connection: psycopg.Connection, name: str) -> Response:
    if (name,) not in connection.execute(_TABLES, (_schema(),)).fetchall():
        message = f"Could not find the table '{_schema()}.{name}' in the schema cache"
        raise _refusal(404, "PGRST205", message)
    connection.execute("set transaction read only")
    condition, values = _condition(name)
    query = sql.SQL("select {} from {} where {}{}{}").format(
        _selected(name), sql.Identifier(_schema(), name), condition, _order(name), _page()
    )
    return _rows(connection, query, values, first=int(request.args.get("offset", 0)))


def _selected(table: str) -> sql.Composed:
    everything = sql.SQL("{}.*").format(sql.Identifier(_schema(), table))
    names = [name.strip() for name in _items(request.args.get("select") or "*")]
    return sql.SQL(", ").join(everything if n == "*" else _column(table, n) for n in names)


def _column(table: str, name: str) -> sql.Identifier:
    if not re.fullmatch(r"[\w$]+", name):
        raise _unknown(f"the column {name}")
    return sql.Identifier(_schema(), table, name)


def _condition(table: str) -> tuple[sql.Composed, list[str]]:
    conditions, values = [sql.SQL("true").format()], []
    for name, text in request.args.items(multi=True):
        if name in ("select", "order", "limit", "offset"):
            continue
        operator, _, value = text.partition(".")
        if operator in COMPARISONS:
            test, compared = sql.SQL(f"{{}} {COMPARISONS[operator]} %s"), [value]
        elif operator == "is" and value.lower() in ("null", "true", "false"):
            test, compared = sql.SQL(f"{{}} is {value}"), []
        elif operator == "in" and re.fullmatch(r"\(.*\)", value):
            compared = _items(value[1:-1])
            places = ", ".join(["%s"] * len(compared)) or "null"
            test = sql.SQL(f"{{}} in ({places})")
        else:
            raise _unknown(f"the filter {text}")
        conditions.append(test.format(_column(table, name)))
        values += compared
    return sql.SQL(" and ").join(conditions), values


def _order(table: str) -> sql.Composed:
    keys = []
    for item in _items(request.args.get("order", "")):
        match = re.fullmatch(r"([\w$]+)(?:\.(asc|desc))?(?:\.nulls(first|last))?", item)
        if not match:
            raise _unknown(f"the order {item}")
        name, direction, nulls = match.groups()
        words = f"{{}} {direction or 'asc'}" + (f" nulls {nulls}" if nulls else "")
        keys.append(sql.SQL(words).format(_column(table, name)))
    return sql.SQL(" order by {}" if keys else "").format(sql.SQL(", ").join(keys))


def _page() -> sql.SQL:
    clauses = ""
    for name in ("limit", "offset"):
        number = request.args.get(name)
        if number is not None and not re.fullmatch("[0-9]{1,9}", number):
            raise _unknown(f"the {name} {number}")
        clauses += f" {name} {number}" if number else ""
    return sql.SQL(clauses)


def _items(text: str) -> list[str]:
    """The parts of a comma-separated list; in double quotes a part may hold anything."""
    try:
        return next(csv.reader([text], doublequote=False, escapechar="\\", strict=True))
    except csv.Error as error:
        raise _unknown(f"the list {text}") from error


# Headers, bodies and answers


def _check_headers() -> None:
    for name in ("Prefer", "Range"):
        if name in request.headers:
            raise _unknown(f"the header {name}")


def _profile() -> str | None:
    """The schema that the request names; reading has another header than writing."""
    reads = request.method in ("GET", "HEAD")
    return request.headers.get("Accept-Profile" if reads else "Content-Profile")


def _negotiated(schemas: tuple[str, ...]) -> str:
    if (schema := _profile() or schemas[0]) not in schemas:
        hint = f"Only the following schemas are exposed: {', '.join(schemas)}"
        raise _refusal(406, "PGRST106", f"Invalid schema: {schema}", hint=hint)
    return schema


def _schema() -> str:
    """Where this request's table or function is."""
    return str(request.environ["sandbox.schema"])


def _wants_object() -> bool:
    accept = request.headers.get("Accept", "*/*")
    wanted = [kind for kind in re.split(r"\s*,\s*", accept) if kind in (OBJECT, *ARRAYS)]
    if not wanted:
        raise _refusal(406, "PGRST107", f"None of these media types are available: {accept}")
    return wanted[0] == OBJECT


def _arguments() -> tuple[str, dict[str, Any]]:
    """The JSON of the arguments, as it came and read."""
    try:
        text = request.get_data().decode() or "{}"
        arguments = json.loads(text)
    except ValueError as error:
        raise _refusal(400, "PGRST102", "Empty or invalid json") from error
    if not isinstance(arguments, dict) or request.mimetype not in ("", "application/json"):
        raise _unknown("arguments other than a JSON object")
    return text, arguments


def _rows(
    connection: psycopg.Connection,
    query: sql.Composed,
    values: list[str],
    *,
    first: int = 0,
    element: str = "_t",
    one: bool = False,
) -> Response:
    """Run the query and answer its rows, or its `one` value, in Postgres' own JSON."""
    array = f"coalesce(json_agg({element}), '[]')"
    answer = f"with _t as ({{}}) select {array}::text, ({array} -> 0)::text, count(*) from _t"
    row = connection.execute(sql.SQL(answer).format(query), values).fetchone()
    assert row is not None
    rows, single, count = row
    as_object = _wants_object()
    if as_object and not one and element != "_t":
        raise _unknown("an object of values that are no rows")
    if as_object and count != 1:
        message = "Cannot coerce the result to a single JSON object"
        raise _refusal(406, "PGRST116", message, f"The result contains {count} rows")
    response = _response(200, (single or "null") if one or as_object else rows)
    if as_object:
        response.content_type = f"{OBJECT}; charset=utf-8"
    page = f"{first}-{first + count - 1}" if count else "*"
    response.headers["Content-Range"] = f"{page}/*"
    return response


def _response(status: int, body: str | None = None) -> Response:
    response = Response(body, status, content_type="application/json; charset=utf-8")
    if body is None:
        del response.headers["Content-Type"]
    return response
