"""Gunicorn's settings, from the environment. `gunicorn wsgi:app` finds this file by itself where it
is in the current folder; `portal-service serve` names it, the one in the wheel too.

The upstream time-outs are in portal_service: Gunicorn's own `timeout` watches the worker, not the
request. A buffering reverse proxy belongs in front (a slow client would hold a thread).
"""

import os
import shutil
import sys
import tempfile

import gunicorn.http.wsgi
from dotenv import load_dotenv
from gunicorn import glogging

load_dotenv(".env")  # real variables win

# Before anything counts: all workers share one folder, and it must be new at each start.
_shared_memory = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108
_metrics_dir = tempfile.mkdtemp(prefix="portal-metrics-", dir=_shared_memory)
os.environ["PROMETHEUS_MULTIPROC_DIR"] = _metrics_dir

_here = os.path.dirname(os.path.abspath(__file__))
if os.path.exists(os.path.join(_here, "wsgi.py")):  # a checkout, wherever it is started from
    sys.path.insert(0, _here)
from portal_service import ConfigError, Settings  # noqa: E402
from portal_service.log import scrub_record  # noqa: E402

try:
    Settings.from_environment()  # here it stops the start; in a worker it would be tried for ever
except ConfigError as error:
    shutil.rmtree(_metrics_dir)
    sys.exit(str(error))

bind = f"0.0.0.0:{os.environ.get('PORT') or 8000}"
worker_class = "gthread"
workers = int(os.environ.get("WEB_CONCURRENCY") or 2)
threads = int(os.environ.get("THREADS") or 8)
timeout = 30
graceful_timeout = 30
keepalive = 75  # longer than a load balancer's 60 s, or it meets closed connections
max_requests = 10_000
max_requests_jitter = 1_000
worker_tmp_dir = _shared_memory  # heartbeats never wait for a disk
control_socket_disable = True


class ScrubbedLogger(glogging.Logger):
    """Gunicorn tells what a malformed request held, a token perhaps."""

    def setup(self, cfg):
        super().setup(cfg)
        self.error_log.addFilter(scrub_record)


logger_class = ScrubbedLogger
gunicorn.http.wsgi.SERVER = ""  # strangers need not know what answers them
accesslog = None  # the service writes one line per request itself


def child_exit(server, worker):
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(worker.pid)


def on_exit(server):
    shutil.rmtree(_metrics_dir, ignore_errors=True)
