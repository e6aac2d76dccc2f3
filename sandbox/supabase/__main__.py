"""`python -m sandbox.supabase`: Supabase's REST API on its own, over a Postgres that exists."""

import argparse
import sys

import psycopg

from sandbox import control_requests
from sandbox.command_line import CannotStart, parser, serve
from sandbox.faults import Faults
from sandbox.supabase import JWT_SECRET, api
from sandbox.supabase.tokens import ROLES, api_key

DESCRIPTION = """A stand-in for Supabase's REST API over your own Postgres: reading tables and
calling functions, as PostgREST 14 answers them, with row level security. It does not write to
tables and has no Auth, Storage or Realtime; what it does not know it refuses."""

WELCOME = """\
Supabase's stand-in is at {url} (Ctrl-C stops it; the database stays as it is)

  service_role key  {service_role}
  anon key          {anon}
  Python            supabase.create_client("{url}", "<one of the keys>")
  By hand           curl {url}/rest/v1/<table> -H "apikey: <one of the keys>"
  Faults            curl {url}/_sandbox/faults -d '{{"database": "down"}}'"""

MISSING_ROLES = """\
The database has no role {roles} that its user may take, and Supabase's API works in these. As a
superuser, once:
  create role anon nologin; create role authenticated nologin;
  create role service_role nologin bypassrls;
  grant anon, authenticated, service_role to {user};"""


def main(arguments: list[str] | None = None) -> int:
    options = _options().parse_args(arguments)
    faults = Faults()
    schemas = tuple(name.strip() for name in options.schemas.split(","))
    app = api.create_app(options.database_url, options.jwt_secret, faults, schemas)
    app.register_blueprint(control_requests.blueprint(faults))

    def welcome(url: str) -> str:
        return WELCOME.format(
            url=url,
            service_role=api_key("service_role", options.jwt_secret),
            anon=api_key("anon", options.jwt_secret),
        )

    return serve(app, options, welcome, lambda: _check_database(options.database_url))


def _options() -> argparse.ArgumentParser:
    options = parser("sandbox.supabase", DESCRIPTION, port=54321)
    options.add_argument(
        "--database-url",
        required=True,
        metavar="URL",
        help="the Postgres to serve: postgresql://user:password@host:5432/database",
    )
    options.add_argument(
        "--schemas",
        default="public",
        help="schemas that are exposed, separated by commas (default: %(default)s)",
    )
    options.add_argument(
        "--jwt-secret",
        default=JWT_SECRET,
        metavar="SECRET",
        help="what tokens are signed with, by HS256 (default: a fixed one that is no secret)",
    )
    return options


def _check_database(url: str) -> None:
    """Raises CannotStart for a database that can't be reached, or without Supabase's roles."""
    query = """
        select current_user, coalesce(string_agg(role, ', '), '')
        from unnest(%s::text[]) role left join pg_roles on rolname = role
        where rolname is null or not pg_has_role(oid, 'member')
    """
    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            found = connection.execute(query, (list(ROLES),)).fetchone()
    except psycopg.ProgrammingError as error:  # its text would show the whole address
        raise CannotStart(
            "--database-url is no address such as postgresql://user:password@host:5432/database"
        ) from error
    except psycopg.Error as error:
        raise CannotStart(f"The database can't be used: {str(error).strip()}") from error
    user, missing = found or ("", "")
    if missing:
        raise CannotStart(MISSING_ROLES.format(roles=missing, user=user))


if __name__ == "__main__":
    sys.exit(main())
