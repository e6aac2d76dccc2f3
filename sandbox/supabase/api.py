"""Supabase's REST API over a real Postgres: as much of PostgREST as the service and its tests use.

Statuses and bodies are those of PostgREST 14, which hosted projects run. A request that it
would understand and this does not is refused with the code SANDBOX, never answered by a guess.
"""

import time
import weakref
from collections.abc import Callable

import psycopg
from flask import Flask, Response, request
from flask_cors import CORS
from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.http import http_date

from sandbox import faults as switches
from sandbox.supabase import rpc, tables
from sandbox.supabase.answers import no_method, no_path, translated
from sandbox.supabase.database import Database
from sandbox.supabase.negotiation import check_headers, negotiated, profile, schema
from sandbox.supabase.tokens import api_key, claims_of_request

__all__ = ["api_key", "create_app"]


def create_app(
    database_url: str,
    jwt_secret: str,
    faults: switches.Faults,
    schemas: tuple[str, ...] = ("public",),
    third_party: Callable[[], str] | None = None,
) -> Flask:
    """schemas: those that are exposed; a request that names none gets the first.

    third_party: the public key of an issuer besides Supabase whose tokens count.
    """
    app = Flask(__name__)
    CORS(app, send_wildcard=True)  # frontends may read Supabase directly
    database = Database(database_url, faults)
    weakref.finalize(app, database.close)

    @app.post("/rest/v1/rpc/<name>")
    def call_function(name: str) -> Response:
        with database.transaction(claims_of_request(jwt_secret, third_party)) as connection:
            return rpc.call(connection, name)

    @app.get("/rest/v1/<name>")
    def read_table(name: str) -> Response:
        claims = claims_of_request(jwt_secret, third_party)
        with database.transaction(claims, read_only=True) as connection:
            return tables.read(connection, name)

    @app.before_request
    def begin() -> None:
        if faults.database == "slow":
            time.sleep(switches.SLOW_SECONDS)
        if faults.database_latency_ms:
            time.sleep(faults.database_latency_ms / 1000)
        check_headers()
        request.environ["sandbox.schema"] = negotiated(schemas)

    @app.after_request
    def tell_time(response: Response) -> Response:
        response.headers["Date"] = http_date()
        return response

    @app.after_request
    def tell_schema(response: Response) -> Response:
        if response.status_code < 300 and (profile() or len(schemas) > 1):
            response.headers["Content-Profile"] = schema()
        return response

    _translate_errors(app)
    return app


def _translate_errors(app: Flask) -> None:
    app.register_error_handler(psycopg.Error, translated)
    app.register_error_handler(NotFound, no_path)
    app.register_error_handler(MethodNotAllowed, no_method)
