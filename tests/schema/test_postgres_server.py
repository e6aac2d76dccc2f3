"""The server of the sandbox comes back after whatever happened to the last one."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from sandbox.postgres import Postgres, migrate, reset
from sandbox.postgres import server as module

# Starts a server and says its process id; ends when its input does, or when it is killed.
SANDBOX = """
import sys
from pathlib import Path
from sandbox.postgres import Postgres
server = Postgres(Path(sys.argv[1])).start()
with open(server.data_dir / "data" / "postmaster.pid") as file:
    print(file.readline(), flush=True)
sys.stdin.read()
"""


def sandbox(data_dir: Path) -> tuple[subprocess.Popen[str], int]:
    process = subprocess.Popen(
        [sys.executable, "-c", SANDBOX, data_dir],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def marks(server: Postgres) -> int:
    with psycopg.connect(server.url) as connection:
        connection.execute("create table if not exists marks (id serial)")
        connection.execute("insert into marks default values")
        return connection.execute("select count(*) from marks").fetchone()[0]


def test_it_starts_again_with_its_data_whatever_happened(tmp_path):
    data_dir = tmp_path / "with a space" / "postgres"
    with Postgres(data_dir) as server:
        assert marks(server) == 1
        assert server.start() is server

    with Postgres(data_dir) as server:
        assert marks(server) == 2

    # The sandbox was killed: its server ends by itself.
    process, _ = sandbox(data_dir)
    kill(process)
    with Postgres(data_dir) as server:
        assert marks(server) == 3

    # Both were killed, and the process id is that of somebody else by now.
    process, pid = sandbox(data_dir)
    os.kill(pid, signal.SIGKILL)
    kill(process)
    stale = data_dir / "data" / "postmaster.pid"
    stale.write_text(stale.read_text().replace(str(pid), str(os.getpid()), 1))
    with Postgres(data_dir) as server:
        assert marks(server) == 4

    # The sandbox came to its end without a word.
    process, pid = sandbox(data_dir)
    process.communicate("")
    assert process.returncode == 0
    assert not is_alive(pid)


def test_an_interrupted_first_start_is_made_good(tmp_path):
    (tmp_path / "data" / "base").mkdir(parents=True)
    (tmp_path / "data" / "base" / "half").touch()
    with (
        Postgres(tmp_path) as server,
        psycopg.connect(server.url.replace("/app", "/hosted"), autocommit=True) as connection,
    ):
        connection.execute("alter database app rename to making_app")
    with Postgres(tmp_path) as server:
        assert marks(server) == 1


def test_two_never_share_their_data(postgres, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 0)
    with pytest.raises(RuntimeError, match="is in use by another server"):
        Postgres(postgres.data_dir).start()
    with psycopg.connect(postgres.url) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_a_server_that_cannot_start_says_why(tmp_path, monkeypatch):
    monkeypatch.setitem(module._FAST, "shared_buffers", "lots")
    with pytest.raises(RuntimeError, match='invalid value for parameter "shared_buffers"'):
        Postgres(tmp_path).start()


def test_the_owner_is_no_superuser_as_in_a_hosted_project(postgres):
    with psycopg.connect(postgres.url) as connection:
        found = connection.execute(
            "select current_database(), rolname, rolsuper"
            " from pg_roles where rolname = current_user"
        )
        assert found.fetchone() == ("app", "postgres", False)


def test_postgrests_role_becomes_the_others_and_is_nothing_itself(postgres):
    url = postgres.url.replace(postgres.url.split("@")[0], "postgresql://authenticator:sandbox", 1)
    with psycopg.connect(url, autocommit=True) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select * from users")
        for role in ("anon", "authenticated", "service_role"):
            connection.execute(f"set role {role}")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("set role postgres")


def test_a_new_table_and_a_new_function_have_the_rights_of_a_hosted_project(postgres):
    with psycopg.connect(postgres.create_database("hosted_defaults")) as connection:
        connection.execute("create table t (id serial)")
        connection.execute("create function f() returns int language sql as 'select 1'")
        for role in ("anon", "authenticated", "service_role"):
            rights = connection.execute(
                "select array(select p from unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE',"
                " 'TRUNCATE', 'REFERENCES', 'TRIGGER']) p where has_table_privilege(%s, 't', p)),"
                " array(select p from unnest(array['USAGE', 'SELECT', 'UPDATE']) p"
                " where has_sequence_privilege(%s, 't_id_seq', p)),"
                " has_function_privilege(%s, 'f()', 'EXECUTE')",
                [role] * 3,
            )
            assert rights.fetchone() == (["TRUNCATE", "REFERENCES", "TRIGGER"], ["UPDATE"], True)


def test_reset_empties_every_table(postgres):
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        migrate(postgres.url)
        connection.execute(
            "insert into users (clerk_id) values ('user_ann');"
            "insert into subscriptions (stripe_subscription_id) values ('sub_1');"
            "insert into billing_customers values ('user_ann', false, 'cus_1')"
        )
        reset(connection)
        for table in ("users", "subscriptions", "billing_customers"):
            assert connection.execute(f"select from {table}").fetchall() == []
