"""A load over kept-alive connections, each of which asks again once it was answered. Every answer
is read whole and held against what it must say. Runs in the process that calls it.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

_GIVE_UP_SECONDS = 40.0  # for a single answer


@dataclass(frozen=True)
class Call:
    """One kind of request. wires: whole requests, sent in turn; expected: in each good answer."""

    name: str
    wires: Sequence[bytes]
    expected: bytes


@dataclass
class Result:
    """seconds: of each good answer; quick_503: seconds of each 503; wrong: what else came."""

    took: float = 0.0
    seconds: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    wrong: Counter[str] = field(default_factory=Counter)
    reconnected: int = 0

    @property
    def answers(self) -> int:
        return len(self.seconds) + len(self.refused)

    @property
    def per_second(self) -> float:
        return len(self.seconds) / self.took

    def percentile(self, share: float) -> float:
        """Seconds within which that share of the good answers came."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


class _Client(asyncio.Protocol):
    """One connection. A server may close it after an answer: then the next one is opened."""

    def __init__(self) -> None:
        self._read = b""
        self._answered: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._read += data
        end = self._read.find(b"\r\n\r\n")
        if end < 0 or not _is_whole(self._read, end):
            return
        whole, self._read = self._read, b""
        if self._answered and not self._answered.done():
            self._answered.set_result(whole)

    def connection_lost(self, _: Exception | None) -> None:
        if self._answered and not self._answered.done():
            self._answered.set_exception(ConnectionError())

    async def ask(self, wire: bytes) -> bytes:
        if self.transport.is_closing():
            raise ConnectionError
        self._answered = asyncio.get_running_loop().create_future()
        self.transport.write(wire)
        return await self._answered


def _is_whole(read: bytes, end: int) -> bool:
    head = read[:end].lower()
    if b"\r\ntransfer-encoding: chunked" in head:
        return read.endswith(b"\r\n0\r\n\r\n")
    length = head.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0]
    return len(read) >= end + 4 + int(length or 0)


def run(
    port: int, call: Call, clients: int, seconds: float, *, most: int = 0, pause: float = 0.0
) -> Result:
    """As many clients at once for so many seconds, or until `most` answers came.

    pause: seconds that each client thinks between an answer and its next question.
    """
    return asyncio.run(load(port, call, clients, seconds, most=most, pause=pause))


async def load(
    port: int, call: Call, clients: int, seconds: float, *, most: int = 0, pause: float = 0.0
) -> Result:
    result = Result()
    began = time.monotonic()
    until = began + seconds
    turn = iter(range(10**12))

    async def one(number: int) -> None:
        connection = await _connected(port)
        if pause:
            await asyncio.sleep(pause * number / clients)
        while time.monotonic() < until and not (most and result.answers >= most):
            wire = call.wires[next(turn) % len(call.wires)]
            asked = time.monotonic()
            try:
                answer = await asyncio.wait_for(connection.ask(wire), _GIVE_UP_SECONDS)
            except ConnectionError:
                result.reconnected += 1
                connection = await _connected(port)
                continue
            except TimeoutError:
                result.wrong["no answer"] += 1
                connection.transport.abort()
                connection = await _connected(port)
                continue
            _count(result, call, answer, time.monotonic() - asked)
            if pause:
                await asyncio.sleep(pause)
        connection.transport.abort()

    await asyncio.gather(*(one(number) for number in range(clients)))
    result.took = time.monotonic() - began
    return result


async def _connected(port: int) -> _Client:
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(_Client, "127.0.0.1", port)
    return client


def _count(result: Result, call: Call, answer: bytes, seconds: float) -> None:
    status = answer[9:12]
    if status == b"200" and call.expected in answer:
        result.seconds.append(seconds)
    elif status == b"503":
        result.refused.append(seconds)
    else:
        result.wrong[status.decode(errors="replace")] += 1
