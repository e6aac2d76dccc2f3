"""What is answered while the database can't be reached.

Each test has a server and a database of its own, since PostgREST takes a while to recover.
"""

import contextlib

import psycopg
import pytest
from psycopg import sql

from sandbox.postgres import Postgres


@pytest.fixture
def closed(postgres: Postgres, own_database: str):
    """While it lasts, the database has no connections and takes no new one."""
    name = psycopg.conninfo.conninfo_to_dict(own_database)["dbname"]
    allow = sql.SQL("alter database {} allow_connections {}")
    end = "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = %s"

    @contextlib.contextmanager
    def closed():
        with psycopg.connect(postgres.url, autocommit=True) as connection:
            connection.execute(allow.format(sql.Identifier(name), False))
            connection.execute(end, [name])
            yield
            connection.execute(allow.format(sql.Identifier(name), True))

    return closed


# Which of them it is depends in PostgREST on what it notices first; here it is always PGRST000.
LOST = {
    "57P01": "terminating connection due to administrator command",
    "PGRST000": "Database connection error. Retrying the connection.",
    "PGRST001": "Database client error. Retrying the connection.",
    "PGRST002": "Could not query the database for the schema cache. Retrying.",
}


def test_a_lost_database_is_503_until_it_is_back(own_api, closed):
    assert own_api.rpc("probe_null").status_code == 200

    with closed():
        answers = [own_api.rpc("probe_null") for _ in range(5)]

    assert [answer.status_code for answer in answers] == [503] * 5
    assert all("Retry-After" in answer.headers for answer in answers)
    for body in [answer.json() for answer in answers]:
        assert body["message"] == LOST[body["code"]]
    assert recovers(own_api)


@pytest.mark.parametrize("code", ["08006", "53300", "57P01"])
def test_errors_of_postgres_that_mean_the_same(own_api, code):
    answer = own_api.rpc("probe_fail", code=code)

    body = {"code": code, "message": "it failed", "details": "a detail", "hint": "a hint"}
    assert (answer.status_code, answer.json()) == (503, body)
    assert "Retry-After" in answer.headers
    assert recovers(own_api)


def recovers(api):
    return any(api.rpc("probe_null").status_code == 200 for _ in range(20_000))
