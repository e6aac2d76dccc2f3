"""`python -m sandbox.example`: the Next.js example on the sandbox, until Ctrl-C ends both. What is
installed for it is the matter of `make example`.
"""

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

from sandbox import guest
from sandbox.__main__ import main as run_sandbox
from sandbox.command_line import CannotStart, check_port
from sandbox.service import ROOT

APP = ROOT / "examples" / "nextjs"
DEFAULTS = {
    "SANDBOX_APP_URL": "http://localhost:3000",
    "PORTAL_RETURN_PATH": "/account",
    "CHECKOUT_SUCCESS_PATH": "/success",
    "CHECKOUT_CANCEL_PATH": "/pricing",
}
STOP_SECONDS = 10.0
_ACROSS = "# NEXT_PUBLIC_BILLING_URL="


def main(arguments: list[str] | None = None) -> int:
    chosen = argparse.ArgumentParser(prog="python -m sandbox.example", description=__doc__)
    chosen.add_argument(
        "--across-origins",
        action="store_true",
        help="the browser calls the service itself, with a Bearer token, not through rewrites",
    )
    across = chosen.parse_args(arguments).across_origins
    environ = DEFAULTS | dict(os.environ)
    try:
        url = guest.address(environ) or DEFAULTS["SANDBOX_APP_URL"]
        port = urlsplit(url).port or 3000
        check_port(port, "127.0.0.1", "Take another: SANDBOX_APP_URL=http://localhost:3001")
    except CannotStart as problem:
        print(problem, file=sys.stderr)
        return 1

    @contextmanager
    def app(env_local: str) -> Iterator[Callable[[], None]]:
        print(f"\nStarting the Next.js example: {url}\n", flush=True)
        with _started(_values(env_local, across), port) as process:

            def look() -> None:
                if process.poll() is not None:
                    raise CannotStart(
                        f"The Next.js example ended by itself ({process.returncode})."
                    )

            yield look

    return run_sandbox(environ, app)


def _values(env_local: str, across: bool) -> dict[str, str]:
    """What stands in an `.env.local`, as Next.js reads it."""
    if across:
        env_local = env_local.replace(_ACROSS, _ACROSS.removeprefix("# "))
    lines = (line.partition("=") for line in env_local.splitlines() if line and line[0] != "#")
    values = {name: value.strip('"').replace("\\n", "\n") for name, _, value in lines}
    return {"NEXT_PUBLIC_BILLING_URL": ""} | values


@contextmanager
def _started(values: Mapping[str, str], port: int) -> Iterator["subprocess.Popen[bytes]"]:
    """The app's dev server. What is set here wins over a `.env.local` that lies there."""
    command = ["node", "node_modules/next/dist/bin/next", "dev"]
    process = subprocess.Popen(
        [*command, "--hostname", "localhost", "--port", str(port)],
        cwd=APP,
        env=os.environ | values | {"NEXT_TELEMETRY_DISABLED": "1"},
        start_new_session=True,  # Ctrl-C is for the sandbox, which then stops this one
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        with suppress(ProcessLookupError):  # all of it ended by itself
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


if __name__ == "__main__":
    sys.exit(main())
