"""What a hosted Supabase project has before anybody's migrations, and how ours are applied."""

from pathlib import Path

import psycopg

MIGRATIONS = Path(__file__).parents[2] / "supabase" / "migrations"

AUTHENTICATOR_PASSWORD = "sandbox"  # of PostgREST's role, in every sandbox

# Roles belong to the whole server.
ROLES = f"""
create role postgres login createdb createrole replication bypassrls password %(password)s;
grant pg_monitor, pg_read_all_data, pg_signal_backend to postgres;
create role anon nologin noinherit;
create role authenticated nologin noinherit;
create role service_role nologin noinherit bypassrls;
create role authenticator login noinherit password '{AUTHENTICATOR_PASSWORD}';
grant anon, authenticated, service_role to authenticator;
grant anon, authenticated, service_role, authenticator to postgres with admin option;
"""

# What a new hosted project has had since 2026-10: the old `grant all`, then the revokes. So
# TRUNCATE, REFERENCES and TRIGGER stay on tables, UPDATE on sequences, and EXECUTE on functions
# for PUBLIC, which a revoke limited to a schema does not reach.
HOSTED = """
grant usage on schema public to anon, authenticated, service_role;
alter default privileges for role postgres in schema public
    grant all on tables to anon, authenticated, service_role;
alter default privileges for role postgres in schema public
    grant all on sequences to anon, authenticated, service_role;
alter default privileges for role postgres in schema public
    grant all on functions to anon, authenticated, service_role;
alter default privileges for role postgres in schema public
    revoke select, insert, update, delete on tables from anon, authenticated, service_role;
alter default privileges for role postgres in schema public
    revoke usage, select on sequences from anon, authenticated, service_role;
alter default privileges for role postgres in schema public
    revoke execute on functions from anon, authenticated, service_role;
"""

# The app's own table, as in the Next.js tutorial, whose server reads it and writes who is new.
USERS = """
create table public.users (
    id uuid primary key default gen_random_uuid(),
    clerk_id text unique,
    email text
);
alter table public.users enable row level security;
grant select, insert, update on public.users to service_role;
"""


def migrate(url: str, folder: Path = MIGRATIONS) -> list[str]:
    """Apply every migration of the folder in order; return what they had to say."""
    notices: list[str] = []
    with psycopg.connect(url, autocommit=True) as connection:
        connection.add_notice_handler(lambda notice: notices.append(notice.message_primary or ""))
        for path in sorted(folder.glob("*.sql")):
            connection.execute(path.read_bytes())
    return notices


def reset(connection: psycopg.Connection) -> None:
    """Empty every table of the main database."""
    # Not TRUNCATE, which would wait for every open transaction that has read a table.
    connection.execute(
        "delete from subscriptions; delete from billing_customers;"
        " delete from gone_customers; delete from users;"
        " delete from billing_private.sync_leases; delete from billing_private.syncs"
    )
