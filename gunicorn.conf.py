"""Gunicorn's settings, from the environment. `gunicorn wsgi:app` finds this file by itself where it
is in the current folder; `portal-service serve` names it, the one in the wheel too.

The upstream time-outs are in portal_service: Gunicorn's own `timeout` watches the worker, not the
request. A buffering reverse proxy belongs in front (a slow client would hold a thread).
"""

import gc
import importlib.util
import os
import sys

import gunicorn.http.wsgi
import pydantic
from dotenv import load_dotenv
from gunicorn import glogging

gc.disable()  # until all is loaded: what imports make stays, and looking through it takes its time

load_dotenv(".env")  # real variables win

_here = os.path.dirname(os.path.abspath(__file__))
_is_checkout = os.path.exists(os.path.join(_here, "wsgi.py"))
if _is_checkout:  # wherever it is started from
    sys.path.insert(0, _here)


def _metrics_folder():
    """Loaded without its package, which counts from its import on: the folder comes before."""
    place = os.path.join(_here, "portal_service") if _is_checkout else _here
    path = os.path.join(place, "metrics_folder.py")
    spec = importlib.util.spec_from_file_location("portal_metrics_folder", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


workers = int(os.environ.get("WEB_CONCURRENCY") or 2)
_metrics_folder = _metrics_folder()
_folder = _metrics_folder.begin(places=2 * workers)  # old and new ones of a reload

# Stripe's SDK would load it for calls of its own; ours go over transport.py. That is a tenth of the
# start. Whoever asks for it later finds it as ever.
if "requests" not in sys.modules:
    sys.modules["requests"] = None  # how Python says that there is no such module
    from stripe import StripeClient  # noqa: F401  (before the fork: workers share it)

    del sys.modules["requests"]

# Parts of Supabase's SDK that the service never asks make eighty models of data when they are
# loaded. Whoever uses one has it built then.
pydantic.BaseModel.model_config["defer_build"] = True

from portal_service import ConfigError, Settings  # noqa: E402
from portal_service.gunicorn_worker import Worker  # noqa: E402
from portal_service.log import scrub_record  # noqa: E402

try:
    # Here it stops the start; in a worker it would be tried for ever.
    threads = Settings.from_environment().threads
except ConfigError as error:
    if _folder:
        _folder.remove()
    sys.exit(str(error))

bind = f"0.0.0.0:{os.environ.get('PORT') or 8000}"
worker_class = Worker
preload_app = True  # workers share its memory; a new setting or release needs a restart, not HUP
timeout = 30
graceful_timeout = 30
keepalive = 75  # longer than a load balancer's 60 s, or it meets closed connections
max_requests = 10_000
max_requests_jitter = 1_000
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108  (no disk to wait for)
control_socket_disable = True


class ScrubbedLogger(glogging.Logger):
    """Gunicorn tells what a malformed request held, a token perhaps."""

    def setup(self, cfg):
        super().setup(cfg)
        self.error_log.addFilter(scrub_record)


logger_class = ScrubbedLogger
gunicorn.http.wsgi.SERVER = ""  # nobody need know what answers
accesslog = None  # the service writes one line per request itself


def when_ready(server):
    if _folder is None:
        server.log.warning("no room for the metrics of all workers: each counts for itself")
    # Or collecting garbage would copy the pages that workers share. What is garbage by now stays:
    # 700 objects, and to find them took a seventh of the start.
    gc.freeze()
    gc.enable()


def pre_fork(server, worker):
    if _folder:
        taken = [other.metrics_place for other in server.WORKERS.values()]
        worker.metrics_place = _folder.take_place(taken)


def post_fork(server, worker):
    if _folder:
        _metrics_folder.sit(worker.metrics_place)


def child_exit(server, worker):
    if _folder:
        _folder.leave(worker.metrics_place)


def post_worker_init(worker):
    # So often each thread that waits for the interpreter wakes up to ask for it; with a hundred of
    # them, Python's 5 ms were a tenth of the CPU. /metrics, one of the longest, computes 4 to 9 ms.
    sys.setswitchinterval(0.02)
    worker.wsgi.extensions["portal_service"].warm()


def on_exit(server):
    if _folder:
        _folder.remove()
