"""What a call costs this service in one thread, without a server: CPU by `time.process_time`, or
where it goes.

    python -m bench.one_thread portal|webhook|subscription|checkout [--profile tottime|cumulative]

For the change that is being made: on a busy machine it tells 5% apart, which whole servers do not.
"""

import argparse
import cProfile
import io
import os
import pstats
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from bench import calls
from bench.processes import free_port
from bench.rounds import CALLS

_ROUNDS, _CALLS = 80, 100  # the best of many short ones: what else runs disturbs some of them


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("call", choices=CALLS)
    parser.add_argument("--profile", choices=("tottime", "cumulative"))
    chosen = parser.parse_args()
    signer, ports = calls.Signer(), (free_port(), free_port())
    os.environ.update(calls.environment(signer, *ports))
    command = [sys.executable, "-m", "bench.upstreams", *map(str, ports)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as upstreams:
        try:
            call = _caller(signer, chosen.call)
            call(2 * calls.USERS)  # also so that every token was seen
            if chosen.profile:
                profile = cProfile.Profile(time.process_time)
                profile.runcall(call, 10 * _CALLS)
                pstats.Stats(profile).sort_stats(chosen.profile).print_stats(60)
            else:
                print(f"{chosen.call}: {min(_timed(call) for _ in range(_ROUNDS)):.3f} ms of CPU")
        finally:
            upstreams.terminate()


def _caller(signer: calls.Signer, name: str) -> Callable[[int], None]:
    """Makes so many calls."""
    from portal_service import create_app  # noqa: PLC0415  (with the environment above)
    from portal_service.services import services_of  # noqa: PLC0415

    sys.stderr = open(os.devnull, "w")  # noqa: SIM115  (of the log's lines; as long as this runs)
    app = create_app()
    services_of(app).warm()
    asked = calls.calls(signer)[name]

    def call(number: int) -> None:
        for turn in range(number):
            told: list[str] = []
            environ = _environ(asked.wires[turn % len(asked.wires)])
            answer = app(environ, lambda status, *_: told.append(status))  # noqa: B023
            body = b"".join(answer)
            if not told[0].startswith("200") or asked.expected not in body:
                sys.stderr = sys.__stderr__
                raise RuntimeError(f"{told}: {body!r}")

    return call


def _timed(call: Callable[[int], None]) -> float:
    """Milliseconds for each call."""
    began = time.process_time()
    call(_CALLS)
    return (time.process_time() - began) / _CALLS * 1000


def _environ(wire: bytes) -> dict[str, Any]:
    head, _, body = wire.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    method, path, _ = first.split(" ")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method, "PATH_INFO": path, "SERVER_NAME": "localhost",
        "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body), "wsgi.errors": sys.stderr,
    }  # fmt: skip
    for line in lines:
        name, _, value = line.partition(": ")
        name = name.upper().replace("-", "_")
        environ[name if name.startswith("CONTENT_") else f"HTTP_{name}"] = value
    return environ


if __name__ == "__main__":
    main()
