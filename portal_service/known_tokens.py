"""Tokens that were verified a moment ago: a page asks several things with one. Held by their hash,
never as they are, and no longer than they are good. Which of them count, clerk.py says.
"""

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_MOST = 4_000  # some 7 MB


@dataclass(frozen=True)
class Known:
    """What a token said, and the key that verified it."""

    claims: Mapping[str, Any]
    kid: Any
    key: Any
    until: int  # seconds since 1970: the token's `exp`


class KnownTokens:
    """One per process. The oldest go where there are too many."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._known: OrderedDict[bytes, Known] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, token: str) -> Known | None:
        """None for a token that was not verified here, or that has ended since."""
        known = self._known.get(_hash(token))
        return known if known and time.time() < known.until else None

    def keep(self, token: str, known: Known) -> None:
        with self._lock:
            self._known[_hash(token)] = known
            while len(self._known) > self._most:
                self._known.popitem(last=False)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()
