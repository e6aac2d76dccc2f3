"""The figures of a run -> docs/performance.md and its picture."""

from pathlib import Path
from typing import Any

from bench import plot
from bench.rounds import CALLS, FREE_CLIENTS, STRIPE_SECONDS, SUPABASE_SECONDS
from bench.subjects import FASTIFY, FLOOR, NEXTJS, OBVIOUS, OURS
from bench.trouble import HANGING_CLIENTS, HANGS

Found = dict[str, Any]
_NAMES = (OURS, FLOOR, OBVIOUS, NEXTJS, FASTIFY)
_STRIPE_LIMIT = 25  # requests a second that Stripe takes at each of its endpoints
_DATABASE_CALLS = {OURS: 1}  # of a portal call and of a status; the tutorial asks twice
_ROOM = 0.5  # of a core that one plans with

_HEAD = """# Performance

What the service costs beside others that do the same work: Flask that answers constants on the
same Gunicorn settings (the floor), the tutorial's routes in Flask with both SDKs as their
documentation shows them, in Next.js with Clerk's middleware, and in Fastify. `make bench` measures
and writes this page; [bench/](../bench/README.md) says how, and what is not the same: this service
also keeps the rules that the tutorial's routes lack.

Measured on {date}: {processor}, {cores} cores, {memory} of memory, {system}; load {load} when it
began; Python {python}, Flask {flask}, Gunicorn {gunicorn}, Node {node}. Each server has one core,
load and upstreams have the others; figures are medians of rounds in which the servers took turns.
Figures of one machine compare with each other only, and a load that is far above 0 when it began
makes every figure by the clock worse: those of CPU are the ones to compare then.

"""
_FREE = """## What a core answers

Upstreams that cost nothing, {clients} connections, users whose tokens come again. *A core* is one
second of CPU, user and system, of all processes of the server: so it holds on a machine that does
other work too. In brackets, what came in a second by the clock, least and most of the rounds.

![What a core answers in a second](performance.svg)

"""
_REAL = """## With upstreams that take their time

Database {database:.0f} ms, Stripe {stripe:.0f} ms for each answer; milliseconds at the client, the
server on one core. *Alone* is what the calls to the upstreams take by themselves.

"""
_TEAM = """## What it means for a team

* A replica with one core answers {status:,.0f} status calls or {portal:,.0f} portal calls a second.
  Planned with half of it, that is {users:,.0f} people at a time whose pages ask for the status
  every 30 seconds.
* Stripe takes {limit} requests a second at each of its endpoints, and 100 of a live account in all
  (docs.stripe.com/rate-limits): {limit} portal sessions, or {limit} checkouts, of which each asks
  three endpoints. That binds long before a single core does, and more replicas don't help. Status
  and the webhooks' fast path ask Stripe nothing.
* {renewals:,.0f} renewals an hour reach the table through half of one core.
* So a second replica is for the day when a machine dies, not for load. More threads are for slower
  vendors: at {slow:.0f} ms a portal call, the 2 × 144 of 2 × 192 threads that may wait for Stripe
  keep {inflight:,.0f} portal calls a second on their way.
"""


def write(found: Found, folder: Path) -> None:
    names = [name for name in _NAMES if name in found["free"]]
    text = _HEAD.format(**found["machine"]) + _free(found, names) + _realistic(found, names)
    text += _hanging(found) + _sizes(found, names) + _tables(found) + _team(found)
    (folder / "performance.md").write_text(text)
    series = {n: [_per_core(found["free"][n][call]) for call in CALLS] for n in names if n != FLOOR}
    drawn = plot.bars(
        "Answers for a second of one core, upstreams that cost nothing", CALLS, series
    )
    (folder / "performance.svg").write_text(drawn)
    print(f"Wrote {folder}/performance.md and performance.svg.")


def wrong_answers(found: Found) -> int:
    """1 where this service gave one in a round. Those of the others stand in the table."""
    wrong = set()
    for servers in (found["free"], *found["realistic"].values()):
        for name, by_call in servers.items():
            for call, figures in by_call.items():
                if figures["wrong"]:
                    wrong.add(name)
                    print(f"Wrong answers of {name} to {call}: {figures['wrong']}")
    return int(OURS in wrong)


def _per_core(figures: Found) -> float:
    return 1000 / figures["cpu"] if figures["cpu"] else 0.0


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n\n"


def _free(found: Found, names: list[str]) -> str:
    free = found["free"]

    def cell(name: str, call: str) -> str:
        one = free[name][call]
        told = f"{_per_core(one):,.0f}"
        if NEXTJS in free and name not in (NEXTJS, FLOOR):
            told += f", {_per_core(one) / _per_core(free[NEXTJS][call]):.1f} ×"
        return told + f" ({one['per_second_least']:,.0f}–{one['per_second_most']:,.0f})"

    rows = [[name, *(cell(name, call) for call in CALLS)] for name in names]
    text = _FREE.format(clients=FREE_CLIENTS) + _table(["answers for a core", *CALLS], rows)
    if NEXTJS in free:
        text += "× is against Next.js. "
    new = {name: _per_core(one) for name, one in found["new_tokens"].items()}
    told = " and ".join(f"{value:,.0f} ({name})" for name, value in new.items())
    return text + f"With tokens that nobody has seen before, status calls are {told}.\n\n"


def _realistic(found: Found, names: list[str]) -> str:
    rows = []
    for clients, by_name in found["realistic"].items():
        for call in ("portal", "subscription"):
            for name in (one for one in names if one in by_name):
                one = by_name[name][call]
                wrong = ", ".join(f"{n} × {status}" for status, n in one["wrong"].items())
                figures = [f"{one[figure]:,.0f}" for figure in ("p50", "p99", "slowest")]
                refused = f"{one['refused'] / max(1, one['answers']):.1%}"
                rows.append([clients, call, name, f"{_alone(name, call):.0f}", *figures,
                             f"{one['per_second']:,.0f}", refused, wrong or "–"])  # fmt: skip
    head = [
        "clients",
        "call",
        "",
        "upstreams alone",
        "p50",
        "p99",
        "slowest",
        "a second",
        "503",
        "wrong",
    ]
    place = {"database": SUPABASE_SECONDS * 1000, "stripe": STRIPE_SECONDS * 1000}
    return _REAL.format(**place) + _table(head, rows)


def _alone(name: str, call: str) -> float:
    database = _DATABASE_CALLS.get(name, 2) * SUPABASE_SECONDS * 1000
    return database + STRIPE_SECONDS * 1000 * (call == "portal")


def _hanging(found: Found) -> str:
    hung = found["hanging"]
    names = list(hung["quiet"])
    rows = [[f"`{name}`", *(_ms(hung[when].get(name)) for when in ("quiet", *HANGS))]
            for name in names]  # fmt: skip
    told = "; ".join(
        f"{who}: {hung[who]['refused']:,} times 503, {_share(hung[who])} within half a second, the "
        f"slowest after {hung[who]['slowest']:.1f} s"
        for who in HANGS
    )
    return (
        "## While vendors accept and never answer\n\n"
        f"{HANGING_CLIENTS} clients make calls that need who hangs (for Clerk, with tokens of\n"
        f"keys that nobody knows), each a second after its last answer. {told}.\n\n"
        + _table(["p99, ms", "quiet", *HANGS], rows)
    )


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _share(hung: dict[str, Any]) -> str:
    return f"{hung['quick'] / max(1, hung['refused']):.0%}"


def _sizes(found: Found, names: list[str]) -> str:
    rows = [[name, f"{found['pss'][name] / 1e6:.0f}", f"{found['cold_start'][name]:.2f}"]
            for name in names]  # fmt: skip
    grown = ", ".join(f"{mb:.0f} MB after {done:,}" for done, mb in _few(found["memory"]))
    return (
        "## Memory and start\n\n"
        + _table(["", "PSS of two workers, MB", "cold start, s"], rows)
        + "Cold start: until the first 200 on `/healthz`, of one process in Node, of master and\n"
        f"two workers in Python. This service over many requests, workers recycled: {grown}.\n"
        f"PSS was taken after the rounds with {FREE_CLIENTS} connections.\n\n"
    )


def _few(taken: list[list[float]]) -> list[tuple[int, float]]:
    """Five of them, the first and the last too."""
    last = len(taken) - 1
    places = sorted({round(last * part / 4) for part in range(5)})
    return [(int(taken[place][0]), taken[place][1]) for place in places]


def _tables(found: Found) -> str:
    figures = [f"{call}_{share}" for call in ("account", "fast_path") for share in ("p50", "p99")]
    rows = [
        [f"{one['rows']:,}", *(f"{one[name]:.2f}" for name in figures)] for one in found["tables"]
    ]
    head = ["rows", "`billing_account` p50", "p99", "`upsert_subscription`, fast path, p50", "p99"]
    return "## How big the table may be\n\nMilliseconds in Postgres.\n\n" + _table(head, rows)


def _team(found: Found) -> str:
    ours = {call: _per_core(found["free"][OURS][call]) for call in CALLS}
    slow = (SUPABASE_SECONDS + STRIPE_SECONDS) * 1000
    return _TEAM.format(
        status=ours["subscription"], portal=ours["portal"], limit=_STRIPE_LIMIT,
        users=ours["subscription"] * _ROOM * 30,
        renewals=ours["webhook"] * _ROOM * 3600, slow=slow, inflight=2 * 144 / slow * 1000,
    )  # fmt: skip
