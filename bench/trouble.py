"""What the service does when vendors accept and never answer, and after 200,000 requests. Of this
service alone.
"""

import asyncio
import math
import time
from collections.abc import Iterable
from typing import Any

from bench import calls
from bench.load import Call, Result, load, run
from bench.processes import Server
from bench.rounds import CALLS, FREE_CLIENTS, Bench

PROBES = ("/healthz", "/readyz", "/metrics")
HANGING_CLIENTS, HANGING_PAUSE = 100, 1.0  # who call; seconds between two calls of each
_PROBE_PAUSE = 0.05  # seconds between two probes of one path
_PORTION = 2_000
_REST = 6.0  # seconds after which a vendor that was left alone is asked again
_ORDER = ("the database", "Stripe", "Clerk")  # of Bench.delay
# Which vendors hang -> whom the clients' calls make the service ask.
HANGS = {
    "Stripe": ("portal",),
    "the database": ("subscription",),
    "Clerk": ("unknown",),
    "all three": ("portal", "subscription", "unknown"),
}


def hanging(server: Server, bench: Bench, seconds: float, hangs: Iterable[str]) -> dict[str, Any]:
    """p99 in milliseconds of what must not suffer, while all is quiet and while vendors hang, and
    what those got whose calls hang. Of a service that fetches Clerk's keys.

    hangs: of HANGS, in turn.
    """
    bench.delay(0.0, 0.0)
    bench.warm_up(200, [server])
    quiet, _ = asyncio.run(_probed(server, bench, seconds, ()))
    found: dict[str, Any] = {"quiet": _p99(quiet)}
    for who in hangs:
        hung = _ORDER if who == "all three" else (who,)
        bench.delay(*(math.inf if name in hung else 0.0 for name in _ORDER))
        probed, callers = asyncio.run(_probed(server, bench, seconds, HANGS[who]))
        bench.delay(0.0, 0.0)
        time.sleep(_REST)
        refused = [taken for result in callers for taken in result.refused]
        found[who] = _p99(probed) | {
            "wrong": {name: dict(result.wrong) for name, result in probed.items() if result.wrong},
            "refused": len(refused),
            "slowest": max(refused, default=0.0),
            "quick": sum(taken < 0.5 for taken in refused),
        }
    return found


def _p99(results: dict[str, Result]) -> dict[str, Any]:
    """Of every answer: readiness says 503 while the database hangs, and at once."""
    found = {}
    for name, result in results.items():
        every = Result(seconds=result.seconds + result.refused)
        found[name] = every.percentile(0.99) * 1000 if every.answers else None
    return found


async def _probed(
    server: Server, bench: Bench, seconds: float, hang: tuple[str, ...]
) -> tuple[dict[str, Result], list[Result]]:
    """One client for each probe, and so many whose calls hang; these begin a little earlier. The
    status is left out where it is theirs.
    """
    probes: list[Call] = [*map(calls.plain, PROBES)]
    if "subscription" not in hang:
        probes.append(bench.call("subscription"))
    callers = [
        asyncio.ensure_future(
            load(
                server.port,
                bench.call(name),
                HANGING_CLIENTS // len(hang),
                seconds + 2,
                pause=HANGING_PAUSE,
            )
        )
        for name in hang
    ]
    await asyncio.sleep(1)
    found = await asyncio.gather(
        *(load(server.port, probe, 1, seconds, pause=_PROBE_PAUSE) for probe in probes)
    )
    named = {probe.name: r for probe, r in zip(probes, found, strict=True)}
    return named, list(await asyncio.gather(*callers))


def memory(server: Server, bench: Bench, requests: int) -> list[tuple[int, float]]:
    """(answers so far, PSS of all processes in MB), the four calls in turn. Workers recycle."""
    taken, done = [(0, server.pss / 1e6)], 0
    while done < requests:
        for name in CALLS:
            most = min(_PORTION, requests)
            done += run(server.port, bench.call(name), FREE_CLIENTS, 120, most=most).answers
        taken.append((done, server.pss / 1e6))
    return taken
