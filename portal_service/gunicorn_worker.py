"""Gunicorn's threaded worker, which also notes how long each request waited for a thread, and lets
a thread stay a moment with the connection that it answered. Named by gunicorn.conf.py; an app that
embeds us needs no Gunicorn.
"""

import select
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

from portal_service import queue_time

T = TypeVar("T")

# A busy proxy sends the next request at once. To give the connection back to the main thread, and
# to get it again, costs as much as Flask.
_STAY_MILLISECONDS = 2


class _Pool(ThreadPoolExecutor):
    def submit(self, work: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        queued_at = time.monotonic()

        def run() -> T:
            queue_time.waited(time.monotonic() - queued_at)
            return work(*args, **kwargs)

        return super().submit(run)

    @property
    def queued(self) -> bool:
        """Whether requests wait for a thread."""
        return not self._work_queue.empty()


class Worker(ThreadWorker):  # type: ignore[misc]
    """Gunicorn's `gthread`, which notes what a request waited."""

    def get_thread_pool(self) -> ThreadPoolExecutor:
        self._pool = _Pool(max_workers=self.cfg.threads)
        return self._pool

    def handle(self, conn: Any) -> Any:
        kept = super().handle(conn)
        while kept is True and self._asks_again(conn):
            queue_time.waited(0.0)
            kept = super().handle(conn)
        return kept

    def _asks_again(self, conn: Any) -> bool:
        """Whether the next request comes at once, and nobody else waits for a thread."""
        if not self.alive or self._pool.queued or conn.parser.unreader.buf.getvalue():
            return False
        waiting = select.poll()
        waiting.register(conn.sock, select.POLLIN)
        return bool(waiting.poll(_STAY_MILLISECONDS))
