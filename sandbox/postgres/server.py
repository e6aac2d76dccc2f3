"""The server: a process that ends with the one that started it, and its databases."""

import atexit
import contextlib
import fcntl
import os
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import psycopg
from psycopg import sql

from sandbox.postgres import hosted
from sandbox.postgres import programs as installed

PATIENCE = 10  # seconds for a server to stop, one whose sandbox was killed too

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
    # Whoever forgets a transaction holds nobody up for ever.
    "idle_in_transaction_session_timeout": "60s",
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
        self._bin = programs or installed.folder()
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
        if not made.exists():
            installed.create_cluster(self._bin, self._data, self.data_dir / "password")
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
        server = [str(self._bin / "postgres"), "-D", installed.working_directory(self._data)]
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
                **installed.run_as(installed.account()),
            )
        os.close(held)
        self._process = process
        self._wait_until_ready(process)
        self.url = self._url("postgres", "app")

    def _wait_until_ready(self, process: "subprocess.Popen[bytes]") -> None:
        last_chance = time.monotonic() + 30
        while True:
            try:
                self._admin().close()
                return
            except psycopg.OperationalError as error:
                if process.poll() is not None or time.monotonic() > last_chance:
                    end = "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])
                    raise RuntimeError(f"Postgres did not start:\n{end}") from error
                time.sleep(0.02)

    def _create_hosted(self) -> None:
        with self._admin() as admin:
            if admin.execute("select 1 from pg_database where datname = 'app'").fetchone():
                return
            for unfinished in ("making_app", "hosted"):  # of an interrupted first start
                admin.execute(f"drop database if exists {unfinished}")
            if not admin.execute("select 1 from pg_roles where rolname = 'postgres'").fetchone():
                with admin.transaction(), psycopg.ClientCursor(admin) as cursor:
                    cursor.execute(hosted.ROLES, {"password": self._password})
            admin.execute("create database hosted owner postgres")
        with self._admin("hosted") as admin:
            admin.execute(hosted.HOSTED)
        app = self.create_database("making_app")
        with psycopg.connect(app) as connection:
            connection.execute(hosted.USERS)
        with self._admin() as admin:  # the name says that it is complete
            admin.execute("alter database making_app rename to app")

    @property
    def _password(self) -> str:
        return (self.data_dir / "password").read_text()

    def _admin(self, database: str = "template1") -> psycopg.Connection:
        url = self._url("supabase_admin", database)
        return psycopg.connect(url, autocommit=True, connect_timeout=5)

    def _url(self, role: str, database: str) -> str:
        return f"postgresql://{role}:{self._password}@127.0.0.1:{self._port}/{database}"


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


def _free_port() -> int:
    with contextlib.closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
