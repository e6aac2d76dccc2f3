"""What a process does once per thing and period: warn of a row, ask about it again. Forgets the
oldest things when there are many, so that a year of uptime fits too.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Hashable

_MOST = 10_000


class Once:
    """seconds: how long a thing stays done; for ever without."""

    def __init__(self, seconds: float = float("inf")) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._done: OrderedDict[Hashable, float] = OrderedDict()

    def is_due(self, thing: Hashable) -> bool:
        with self._lock:
            done = self._done.get(thing)
            return done is None or time.monotonic() - done > self._seconds

    def mark(self, thing: Hashable) -> None:
        with self._lock:
            self._done[thing] = time.monotonic()
            self._done.move_to_end(thing)
            if len(self._done) > _MOST:
                self._done.popitem(last=False)

    def first(self, thing: Hashable) -> bool:
        """Whether it is due; then it is done with that."""
        due = self.is_due(thing)
        if due:
            self.mark(thing)
        return due
