"""The service beside others that do the same work, in one run on one machine.

    python -m bench.side_by_side [--short] [--loaded] [--out .artifacts/bench.json]

bench/README.md says what is compared and how. Writes docs/performance.md and its picture, but in
the short form, which only shows that all of this works. Exits 1 where an answer was wrong.
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

from bench import calls, report, rounds, table_sizes, trouble
from bench.machine import described
from bench.processes import Server, cores, free_port
from bench.rounds import Bench
from bench.subjects import FASTIFY, NEXTJS, OURS, ROOT, prepare_node, prepare_python, subjects


@dataclass(frozen=True)
class Extent:
    """How long all goes on. seconds: of one load; requests: for the memory; rows: of tables."""

    users: int
    warm_up: int
    starts: int
    seconds: float
    rounds: int
    clients: tuple[int, ...]
    requests: int
    rows: tuple[int, ...]
    hangs: tuple[str, ...] = tuple(trouble.HANGS)


FULL = Extent(1_000, 400, 3, 2.5, 3, (50, 200, 1_000), 200_000, (10, 10_000, 1_000_000))
# For a machine that does other work too: less of everything, and the same figures less surely.
LOADED = Extent(300, 200, 2, 2.0, 2, (50, 200, 1_000), 5_000, (10, 10_000, 100_000))
SHORT = Extent(10, 10, 1, 0.3, 1, (20,), 40, (10,), ("all three",))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="under a minute, figures of no use")
    parser.add_argument("--loaded", action="store_true", help="half of everything, for a busy day")
    parser.add_argument("--out", type=Path, default=ROOT / ".artifacts" / "bench.json")
    chosen = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    extent = SHORT if chosen.short else LOADED if chosen.loaded else FULL
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        found = measured(extent, Path(folder), installs=not chosen.short)
    chosen.out.parent.mkdir(exist_ok=True)
    chosen.out.write_text(json.dumps(found, indent=1))
    if not chosen.short:
        report.write(found, ROOT / "docs")
    print(f"All figures are in {chosen.out}.")
    return report.wrong_answers(found)


def measured(extent: Extent, folder: Path, installs: bool) -> dict[str, Any]:
    """installs: whether npm may be asked for what is not there yet."""
    everything = os.sched_getaffinity(0)
    _, others = cores()
    os.sched_setaffinity(0, others)
    signer, ports = calls.Signer(), (free_port(), free_port(), free_port())
    environment = calls.environment(signer, *ports[:2])
    prepare_python(installs)
    why_not = prepare_node(environment, installs)
    if why_not:
        print(f"Next.js and Fastify are left out: {why_not}.")
    command = [sys.executable, "-m", "bench.upstreams", *map(str, ports)]
    log = folder / "upstreams.log"
    with ExitStack() as stack:
        keys = {"BENCH_KEY_SET": signer.key_set}
        vendors = Server("upstreams", command, keys, log, others, ROOT, None, port=ports[0])
        stack.enter_context(vendors)
        servers = subjects(environment, folder, with_node=why_not is None)
        print("Cold starts …")
        found = {"machine": described(), "cold_start": cold_starts(servers, extent.starts)}
        for server in servers:
            stack.enter_context(server)
        bench = Bench(servers, signer, ports, extent.users)
        found |= loaded(bench, servers, extent)
        print(f"{extent.requests:,} requests …")
        found["memory"] = trouble.memory(servers[0], bench, extent.requests)
        print("Vendors hang …")
        fetches = environment | {"CLERK_JWT_KEY": "", "CLERK_JWKS_URL": calls.key_set_url(ports[2])}
        with subjects(fetches, folder, with_node=False)[0] as ours:
            found["hanging"] = trouble.hanging(ours, bench, extent.seconds * 16, extent.hangs)
        found["unknown_calls"] = log.read_text().count("unknown:")
    os.sched_setaffinity(0, everything)
    print("Tables …")
    found["tables"] = table_sizes.measured(extent.rows)
    return found


def loaded(bench: Bench, servers: list[Server], extent: Extent) -> dict[str, Any]:
    """Everything that is asked of servers that run."""
    print("Warming up …")
    bench.warm_up(extent.warm_up)
    print("Upstreams that cost nothing …")
    clients, seconds = rounds.FREE_CLIENTS, extent.seconds
    free = bench.compared(rounds.CALLS, clients, seconds, extent.rounds, floor=True)
    pss = {server.name: _two_of(server, bench, extent) for server in servers}
    print("Each token once …")
    new = {s.name: bench.with_new_tokens(s, 50 * extent.warm_up // 10)
           for s in servers if s.name in (OURS, NEXTJS)}  # fmt: skip
    bench.delay(rounds.SUPABASE_SECONDS, rounds.STRIPE_SECONDS)
    realistic = {}
    for clients in extent.clients:
        print(f"Realistic upstreams, {clients} clients …")
        times = max(1, extent.rounds - 1)
        realistic[str(clients)] = bench.compared(
            ("portal", "subscription"), clients, seconds * 1.6, times, floor=False
        )
    bench.delay(0.0, 0.0)
    return {"free": free, "pss": pss, "new_tokens": new, "realistic": realistic}


def cold_starts(servers: list[Server], times: int) -> dict[str, float]:
    """Seconds until the first 200 on /healthz, the median of several starts in turn."""
    taken: dict[str, list[float]] = {server.name: [] for server in servers}
    for _ in range(times):
        for server in servers:
            with server:
                taken[server.name].append(server.cold_start)
    return {name: statistics.median(each) for name, each in taken.items()}


def _two_of(server: Server, bench: Bench, extent: Extent) -> int:
    """Bytes of two workers. Gunicorn has them; of Node a second process is started."""
    if server.name not in (NEXTJS, FASTIFY):
        return server.pss
    with server.twin() as twin:
        bench.warm_up(extent.warm_up, [twin])
        return server.pss + twin.pss


if __name__ == "__main__":
    sys.exit(main())
