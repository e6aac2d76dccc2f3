"""Answers as PostgREST gives them, and its refusals: status codes, error codes and bodies."""

import json

import psycopg
from flask import Response, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

STATUSES = {  # of Postgres' error codes, or else of their class, or else 400
    **dict.fromkeys(("09", "21", "25", "2D", "38", "39", "3B", "40", "42P17", "53400"), 500),
    **dict.fromkeys(("54", "55", "57", "58", "F0", "HV", "P0", "XX"), 500),
    **dict.fromkeys(("08", "53", "57P01"), 503),
    **dict.fromkeys(("0L", "0P", "28", "42501"), 403),
    **dict.fromkeys(("42883", "42P01"), 404),
    **dict.fromkeys(("23503", "23505"), 409),
    **{"25006": 405, "P0001": 400},
}


def response(status: int, body: str | None = None) -> Response:
    answer = Response(body, status, content_type="application/json; charset=utf-8")
    if body is None:
        del answer.headers["Content-Type"]
    return answer


def refusal(
    status: int, code: str, message: str, details: str | None = None, hint: str | None = None
) -> HTTPException:
    """An answer that is not what was asked for; raised within a transaction, it undoes it."""
    body = {"code": code, "details": details, "hint": hint, "message": message}
    answer = response(status, json.dumps(body))
    if status == 401:
        answer.headers["WWW-Authenticate"] = "Bearer"
    if status == 503:
        answer.headers["Retry-After"] = "0"
    return HTTPException(message, answer)


def unknown(what: str, status: int = 400) -> HTTPException:
    """What PostgREST may understand and this stand-in does not."""
    message = f"The stand-in for PostgREST does not know {what}"
    return refusal(status, "SANDBOX", message, f"{request.method} {request.full_path}")


def no_path(_: NotFound) -> HTTPException:
    return refusal(404, "PGRST125", "Invalid path specified in request URL")


def no_method(_: MethodNotAllowed) -> HTTPException:
    return unknown("this method here", 405)


def translated(error: psycopg.Error) -> HTTPException:
    """What Postgres refused, in PostgREST's words."""
    code, diag = error.sqlstate, error.diag
    if code is None and isinstance(error, psycopg.DataError):
        return unknown(f"such a value: {error}")
    if code is None:
        message = "Database client error. Retrying the connection."
        return refusal(503, "PGRST001", message, str(error))
    status = STATUSES.get(code) or STATUSES.get(code[:2], 400)
    if code == "42501" and request.environ["sandbox.role"] == "anon":
        status = 401
    if code.startswith("PT") and code[2:].isdecimal():  # raised by a function to set the status
        status = int(code[2:])
    message = diag.message_primary or ""
    return refusal(status, code, message, diag.message_detail, diag.message_hint)
