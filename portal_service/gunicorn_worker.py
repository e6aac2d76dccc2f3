"""Gunicorn's threaded worker, which also notes how long each request waited for a thread. Named by
gunicorn.conf.py; an app that embeds us needs no Gunicorn.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

from portal_service import queue_time

T = TypeVar("T")


class _Pool(ThreadPoolExecutor):
    def submit(self, work: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        queued_at = time.monotonic()

        def run() -> T:
            queue_time.waited(time.monotonic() - queued_at)
            return work(*args, **kwargs)

        return super().submit(run)


class Worker(ThreadWorker):  # type: ignore[misc]
    """Gunicorn's `gthread`, which notes what a request waited."""

    def get_thread_pool(self) -> ThreadPoolExecutor:
        return _Pool(max_workers=self.cfg.threads)
