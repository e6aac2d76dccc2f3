"""The rounds of the comparison: who is asked what, for how long, in which turn. Every figure is
taken several times, the services in turn, so that whatever else the machine does meets all of them.
"""

import statistics
import time
import urllib.request
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from bench import calls
from bench.load import Call, Result, run
from bench.processes import Server
from bench.subjects import FLOOR

CALLS = ("portal", "webhook", "subscription", "checkout")
FREE_CLIENTS = 16
_CLOSING_SECONDS = 0.3  # or a server still closes 1,000 connections when the next ones come
SUPABASE_SECONDS, STRIPE_SECONDS = 0.02, 0.25  # of the realistic rounds, for each answer


@dataclass(frozen=True)
class Figures:
    """Of one service, call and number of clients, over one round. Times in milliseconds."""

    per_second: float
    p50: float
    p99: float
    slowest: float
    cpu: float  # of all its processes, for each answer
    answers: int
    refused: int  # answers that were 503
    wrong: dict[str, int]

    @classmethod
    def of(cls, result: Result, cpu_seconds: float) -> "Figures":
        return cls(
            result.per_second,
            result.percentile(0.5) * 1000,
            result.percentile(0.99) * 1000,
            max([*result.seconds, *result.refused], default=0.0) * 1000,
            cpu_seconds / max(1, result.answers) * 1000,
            result.answers,
            len(result.refused),
            dict(result.wrong),
        )


class Bench:
    """The services that run, and what they are asked.

    upstreams: ports of Supabase, Stripe and Clerk.
    """

    def __init__(
        self,
        servers: list[Server],
        signer: calls.Signer,
        upstreams: tuple[int, int, int],
        users: int,
    ) -> None:
        self._servers = servers
        self._calls = calls.calls(signer, users)
        self._upstreams = upstreams
        self._signer = signer

    def call(self, name: str) -> Call:
        if name == "unknown":
            return calls.unknown(self._signer.tokens_of_other_keys(1_000))
        return calls.webhook() if name == "webhook" else self._calls[name]

    def delay(self, supabase: float, stripe: float, clerk: float = 0.0) -> None:
        for port, seconds in zip(self._upstreams, (supabase, stripe, clerk), strict=True):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/_delay/{seconds}").close()

    def warm_up(self, answers: int, servers: Iterable[Server] = ()) -> None:
        """Node's compiler and everybody's connections."""
        for server in servers or self._servers:
            for name in CALLS:
                result = run(server.port, self.call(name), FREE_CLIENTS, 60, most=answers)
                if not result.seconds or result.wrong:
                    raise RuntimeError(f"{server.name}: {name} answers {dict(result.wrong)}")

    def compared(
        self, names: Iterable[str], clients: int, seconds: float, rounds: int, *, floor: bool
    ) -> dict[str, dict[str, dict[str, Any]]]:
        """service -> call -> medians of the rounds, and their least and greatest.

        seconds: of each. floor: whether the service that does nothing is asked too.
        """
        servers = [one for one in self._servers if floor or one.name != FLOOR]
        taken: dict[tuple[str, str], list[Figures]] = {}
        for _ in range(rounds):
            for name in names:
                for server in servers:
                    figures = self._measured(server, self.call(name), clients, seconds)
                    taken.setdefault((server.name, name), []).append(figures)
        found: dict[str, dict[str, dict[str, Any]]] = {}
        for (server_name, name), each in taken.items():
            found.setdefault(server_name, {})[name] = _summary(each)
        return found

    def with_new_tokens(self, server: Server, number: int) -> dict[str, Any]:
        """GET /subscription with tokens that nobody has seen, each once."""
        call = calls.status(self._signer.tokens("user_new", number))
        before = server.cpu_seconds
        result = run(server.port, call, FREE_CLIENTS, 120, most=number)
        return asdict(Figures.of(result, server.cpu_seconds - before))

    def _measured(self, server: Server, call: Call, clients: int, seconds: float) -> Figures:
        run(server.port, call, clients, seconds / 5)  # its connections, after the others' turn
        time.sleep(_CLOSING_SECONDS)
        before = server.cpu_seconds
        result = run(server.port, call, clients, seconds)
        return Figures.of(result, server.cpu_seconds - before)


def _summary(each: list[Figures]) -> dict[str, Any]:
    """The median of each figure; the spread of what is compared; all that went wrong."""
    rows = [asdict(figures) for figures in each]
    medians = {
        name: statistics.median(row[name] for row in rows)
        for name in ("per_second", "p50", "p99", "slowest", "cpu")
    }
    spread = {
        f"{name}_{end}": pick(row[name] for row in rows)
        for name in ("per_second", "cpu")
        for end, pick in (("least", min), ("most", max))
    }
    wrong: dict[str, int] = {}
    for row in rows:
        for status, count in row["wrong"].items():
            wrong[status] = wrong.get(status, 0) + count
    totals = {name: sum(row[name] for row in rows) for name in ("answers", "refused")}
    return medians | spread | totals | {"wrong": wrong}
