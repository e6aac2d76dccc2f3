"""Our migrations for a schema of their own, beside an app's `public.subscriptions` that is
something else. Rewrites text; knows no database.
"""

import re
from collections.abc import Iterable

# Of Postgres, and those that Supabase keeps for itself.
_TAKEN = re.compile(
    "pg_.*|information_schema|auth|storage|realtime|_realtime|vault|extensions|graphql"
    "|graphql_public|cron|net|pgsodium|pgsodium_masks|pgbouncer|pgmq|supabase_.*|_analytics"
)
# Words that can't name a schema without quotes: pg_get_keywords(), catcode R and T, Postgres 18.
_RESERVED = """
    all analyse analyze and any array as asc asymmetric authorization binary both case cast check
    collate collation column concurrently constraint create cross current_catalog current_date
    current_role current_schema current_time current_timestamp current_user default deferrable desc
    distinct do else end except false fetch for foreign freeze from full grant group having ilike in
    initially inner intersect into is isnull join lateral leading left like limit localtime
    localtimestamp natural not notnull null offset on only or order outer overlaps placing primary
    references returning right select session_user similar some symmetric system_user table
    tablesample then to trailing true union unique user using variadic verbose when where window
    with
"""
_PRIVATE = "billing_private"
_MADE = re.compile(
    r"^\s*create (?:or replace )?(?:table|sequence|function|procedure|view|type|domain)"
    r" (?:if not exists )?public\.(\w+)",
    re.MULTILINE,
)


def checked_schema(name: str) -> str:
    """The name, if a schema of ours can have it. Raises ValueError, which says why not."""
    longest = 63 - len("_private")
    if not re.fullmatch(r"[a-z_][a-z0-9_]*", name) or len(name) > longest:
        raise ValueError(f"a plain name is needed: small letters, digits and _, at most {longest}")
    if _TAKEN.fullmatch(name) or name in _RESERVED.split():
        raise ValueError(f"{name} belongs to Postgres or Supabase, take another name")
    return name


def own_names(migrations: Iterable[str]) -> frozenset[str]:
    """What these migrations make in the schema public, by name."""
    return frozenset(name for text in migrations for name in _MADE.findall(text))


def in_schema(migration: str, names: frozenset[str], schema: str) -> str:
    """The migration, with the objects of these names in `schema` instead of public.

    Anything else keeps its place, the app's public.users too. A name that the SQL itself puts in
    (public.%I), or cuts off ('public.'), is one of ours. What the API must not expose moves from
    billing_private to <schema>_private.
    """
    if schema == "public":
        return migration
    ours = "|".join([*(rf"{name}\b" for name in sorted(names)), "%", "'"])
    moved = re.sub(rf"\bpublic\.(?={ours})", f"{schema}.", migration)
    moved = re.sub(rf"\b{_PRIVATE}\b", f"{schema}_private", moved)
    return re.sub(r"^begin;\n", rf"\g<0>{_create(schema)}", moved, count=1, flags=re.MULTILINE)


def _create(schema: str) -> str:
    """Signed-in users read their own rows there, by a policy; the service does the rest."""
    return (
        "\n"
        "set local client_min_messages = warning;\n"
        f"create schema if not exists {schema};\n"
        "set local client_min_messages to default;\n"
        f"grant usage on schema {schema} to authenticated, service_role;\n"
    )
