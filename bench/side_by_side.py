"""The service beside others that do the same work, in one run on one machine.

    python -m bench.side_by_side [--short] [--out .artifacts/bench.json]

bench/README.md says what is compared and how to read it. Writes docs/performance.md unless it is
the short form, which only shows that all of this works.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import calls, rounds
from bench.processes import Server, cores, free_port
from bench.rounds import Bench
from bench.subjects import ROOT, prepare_node, subjects


@dataclass(frozen=True)
class Extent:
    """How long everything goes on. seconds: of one load."""

    users: int
    warm_up: int
    starts: int
    seconds: float
    rounds: int
    clients: tuple[int, ...]


FULL = Extent(1_000, 400, 3, 3.0, 3, (50, 200, 1_000))
SHORT = Extent(20, 20, 1, 0.5, 1, (20,))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="under a minute, figures of no use")
    parser.add_argument("--out", type=Path, default=ROOT / ".artifacts" / "bench.json")
    chosen = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        found = measure(SHORT if chosen.short else FULL, Path(folder))
    chosen.out.parent.mkdir(exist_ok=True)
    chosen.out.write_text(json.dumps(found, indent=1))
    return 0


def measure(extent: Extent, folder: Path) -> dict[str, Any]:
    _, others = cores()
    os.sched_setaffinity(0, others)
    signer = calls.Signer()
    ports = free_port(), free_port()
    environment = calls.environment(signer, *ports)
    why_not = prepare_node(environment)
    if why_not:
        print(f"Next.js and Fastify are left out: {why_not}.")
    listen = [sys.executable, "-m", "bench.upstreams", *map(str, ports)]
    log = folder / "upstreams.log"
    with ExitStack() as stack:
        stack.enter_context(Server("upstreams", listen, {}, log, others, ROOT, None, port=ports[0]))
        servers = subjects(environment, folder, with_node=why_not is None)
        found: dict[str, Any] = {"cold_start": cold_starts(servers, extent.starts)}
        for server in servers:
            stack.enter_context(server)
        bench = Bench(servers, signer, ports, extent.users)
        bench.warm_up(extent.warm_up)
        found["free"] = bench.compared(
            rounds.CALLS, rounds.FREE_CLIENTS, extent.seconds, extent.rounds, floor=True
        )
        print(json.dumps(found, indent=1))
        found["memory"] = {server.name: server.pss for server in servers}
    return found


def cold_starts(servers: list[Server], times: int) -> dict[str, float]:
    """Seconds until the first 200 on /healthz, the median of several starts in turn."""
    taken: dict[str, list[float]] = {server.name: [] for server in servers}
    for _ in range(times):
        for server in servers:
            with server:
                taken[server.name].append(server.cold_start)
    return {name: statistics.median(each) for name, each in taken.items()}


if __name__ == "__main__":
    sys.exit(main())
