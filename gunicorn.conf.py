"""Gunicorn's settings, from the environment. Loaded by `gunicorn wsgi:app` by itself.

The upstream time-outs are in portal_service: Gunicorn's own `timeout` watches the worker, not the
request. A buffering reverse proxy belongs in front (a slow client would hold a thread).
"""

import os
import shutil
import tempfile

from dotenv import load_dotenv

load_dotenv(".env")  # real variables win

bind = f"0.0.0.0:{os.environ.get('PORT') or 8000}"
worker_class = "gthread"
workers = int(os.environ.get("WEB_CONCURRENCY") or 2)
threads = int(os.environ.get("THREADS") or 8)
timeout = 30
graceful_timeout = 30
keepalive = 75  # longer than a load balancer's 60 s, or it meets closed connections
max_requests = 10_000
max_requests_jitter = 1_000
# Heartbeats never wait for a disk.
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108
control_socket_disable = True
accesslog = None  # the service writes one line per request itself

# The counters of all workers together; the folder must be new at each start.
_metrics_dir = tempfile.mkdtemp(prefix="portal-metrics-", dir=worker_tmp_dir)
os.environ["PROMETHEUS_MULTIPROC_DIR"] = _metrics_dir


def child_exit(server, worker):
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(worker.pid)


def on_exit(server):
    shutil.rmtree(_metrics_dir, ignore_errors=True)
