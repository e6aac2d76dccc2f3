"""Debian's Postgres 15: where it is, why not, if it isn't, and one that runs."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox.postgres import Postgres

PROGRAMS = Path("/usr/lib/postgresql/15/bin")


def why_not() -> str | None:
    if not (PROGRAMS / "initdb").exists():
        return f"Postgres 15 is not in {PROGRAMS} (Debian 12: apt install postgresql-15)"
    return None


@contextmanager
def running() -> Iterator[Postgres]:
    with tempfile.TemporaryDirectory() as folder:
        # Its programs change their folder and come back, as another account where root starts them.
        Path(folder).chmod(0o711)
        with Postgres(Path(folder), programs=PROGRAMS) as server:
            yield server
