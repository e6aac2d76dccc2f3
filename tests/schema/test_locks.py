"""What the migrations hold while they look about: nothing that anybody waits for."""

import psycopg
from schema_database import USERS

from bench.statements import split
from sandbox.postgres import MIGRATIONS

HELD = """
    select mode from pg_locks
    where pid = pg_backend_pid() and relation = 'public.subscriptions'::regclass
"""


def test_nobody_waits_while_it_looks_for_what_needs_a_decision(make):
    db = make(f"{USERS}; create table subscriptions (user_id uuid unique, stripe_customer_id text)")
    looks = 0
    with psycopg.connect(db.url, autocommit=True) as connection:
        for path in sorted(MIGRATIONS.glob("*.sql")):
            for statement in split(path.read_text()):
                connection.execute(statement)
                if "billing_says" in statement:
                    looks += 1
                    held = {mode for (mode,) in connection.execute(HELD).fetchall()}
                    assert held <= {"AccessShareLock"}, statement
    assert looks > 5
