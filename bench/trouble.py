"""What the service does when Stripe accepts and never answers, and after 200,000 requests. Of this
service alone.
"""

import asyncio
import math
from typing import Any

from bench import calls
from bench.load import Call, Result, load, run
from bench.processes import Server
from bench.rounds import CALLS, FREE_CLIENTS, Bench

PROBES = ("/healthz", "/readyz", "/metrics")
HANGING_CLIENTS, HANGING_PAUSE = 100, 1.0  # who call the portal; seconds between two of their calls
_PROBE_PAUSE = 0.05  # seconds between two probes of one path
_PORTION = 2_000


def hanging(server: Server, bench: Bench, seconds: float) -> dict[str, Any]:
    """p99 in milliseconds of what must not suffer, while all is quiet and while Stripe hangs, and
    what the portal's callers got.
    """
    bench.delay(0.0, 0.0)
    quiet, _ = asyncio.run(_probed(server, bench, seconds, clients=0))
    bench.delay(0.0, math.inf)
    hung, portal = asyncio.run(_probed(server, bench, seconds, HANGING_CLIENTS))
    bench.delay(0.0, 0.0)
    return {
        "quiet_p99": {name: result.percentile(0.99) * 1000 for name, result in quiet.items()},
        "hanging_p99": {name: result.percentile(0.99) * 1000 for name, result in hung.items()},
        "wrong": {name: dict(result.wrong) for name, result in hung.items() if result.wrong},
        "portal": {
            "refused": len(portal.refused),
            "answered": len(portal.seconds),
            "slowest": max(portal.refused, default=0.0),
            "quick": sum(seconds < 0.5 for seconds in portal.refused),
            "wrong": dict(portal.wrong),
        },
    }


async def _probed(
    server: Server, bench: Bench, seconds: float, clients: int
) -> tuple[dict[str, Result], Result]:
    """One client for each probe, and so many who call the portal; these begin a little earlier."""
    probes: list[Call] = [*map(calls.plain, PROBES), bench.call("subscription")]
    callers = asyncio.ensure_future(
        load(server.port, bench.call("portal"), clients, seconds + 2, pause=HANGING_PAUSE)
    )
    await asyncio.sleep(1)
    found = await asyncio.gather(
        *(load(server.port, probe, 1, seconds, pause=_PROBE_PAUSE) for probe in probes)
    )
    return {probe.name: r for probe, r in zip(probes, found, strict=True)}, await callers


def memory(server: Server, bench: Bench, requests: int) -> list[tuple[int, float]]:
    """(answers so far, PSS of all processes in MB), the four calls in turn. Workers recycle."""
    taken, done = [(0, server.pss / 1e6)], 0
    while done < requests:
        for name in CALLS:
            most = min(_PORTION, requests)
            done += run(server.port, bench.call(name), FREE_CLIENTS, 120, most=most).answers
        taken.append((done, server.pss / 1e6))
    return taken
