"""What an app does all the time with its `subscriptions` table: read a row, write a row."""

import threading
import time
from collections.abc import Callable

import psycopg

PAUSE = 0.002  # seconds between two calls
TIMEOUT = "8s"  # what PostgREST gives a statement

READ = "select * from subscriptions where user_id = %s"
WRITE = "update subscriptions set updated_at = now() where stripe_subscription_id = %s"


class AppAtWork:
    """`with AppAtWork(url, somebody) as app: …`, then `app.waits` says who had to wait how long.

    somebody: the ids of user, Clerk, customer and subscription of the row that is read; another
    one's row is written.
    """

    def __init__(self, url: str, somebody: tuple[str, ...]) -> None:
        self._url = url
        self._done = threading.Event()
        self._longest = {"reader": 0.0, "writer": 0.0}
        self._failed = {"reader": 0, "writer": 0}
        self._threads = [
            threading.Thread(target=self._loop, args=("reader", READ, somebody[0])),
            threading.Thread(target=self._loop, args=("writer", WRITE, somebody[3])),
        ]
        self._ready = threading.Barrier(3)

    @property
    def waits(self) -> str:
        told = [
            f"{who} {seconds:.2f} s" + (f" ({self._failed[who]} failed)" * bool(self._failed[who]))
            for who, seconds in self._longest.items()
        ]
        return "longest wait: " + ", ".join(told)

    def __enter__(self) -> "AppAtWork":
        for thread in self._threads:
            thread.start()
        self._ready.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    def _loop(self, who: str, query: str, value: str) -> None:
        with psycopg.connect(self._url, autocommit=True, prepare_threshold=None) as connection:
            connection.execute(f"set statement_timeout = '{TIMEOUT}'")
            ask: Callable[[], object] = lambda: connection.execute(query, [value])  # noqa: E731
            ask()  # the first time it reads the catalogue
            self._ready.wait(30)
            while not self._done.wait(PAUSE):
                began = time.monotonic()
                try:
                    ask()
                except psycopg.Error:
                    self._failed[who] += 1
                self._longest[who] = max(self._longest[who], time.monotonic() - began)
