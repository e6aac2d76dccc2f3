"""The counters of rate limits where there is no Redis: in memory, of this process alone. `limits`
has such ones too, but starts a thread every ten milliseconds that looks at all of them.
"""

import threading
import time

from limits.storage import Storage

_SWEEP_SECONDS = 10.0


class Counters(Storage):
    """Of fixed windows, each of which begins with its first call."""

    STORAGE_SCHEME = None  # made by services.py, not found by an address

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._swept_at = 0.0
        self._counts: dict[str, tuple[int, float]] = {}  # key -> calls, end of the window

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Count, and return what the window has now. expiry: seconds that a new window lasts."""
        now = time.time()
        with self._lock:
            self._sweep(now)
            count, end = self._counts.get(key, (0, 0.0))
            if end <= now:
                count, end = 0, now + expiry
            self._counts[key] = count + amount, end
            return count + amount

    def get(self, key: str) -> int:
        count, end = self._counts.get(key, (0, 0.0))
        return count if end > time.time() else 0

    def get_expiry(self, key: str) -> float:
        """When the window ends, in seconds since 1970."""
        return self._counts.get(key, (0, time.time()))[1]

    def check(self) -> bool:
        return True

    def reset(self) -> int:
        with self._lock:
            forgotten = len(self._counts)
            self._counts.clear()
            return forgotten

    def clear(self, key: str) -> None:
        with self._lock:
            self._counts.pop(key, None)

    @property
    def base_exceptions(self) -> type[Exception]:
        return ValueError

    def _sweep(self, now: float) -> None:
        """Forget the windows that have ended, now and then."""
        if now - self._swept_at > _SWEEP_SECONDS:
            self._counts = {key: one for key, one in self._counts.items() if one[1] > now}
            self._swept_at = now
