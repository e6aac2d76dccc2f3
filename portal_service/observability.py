"""What every request gets: an id, a budget of time, a line in the log, its place in the metrics."""

import logging
import re
import time
import uuid
from typing import Any

from flask import Response, g, has_request_context, request
from flask.sansio.scaffold import Scaffold

from portal_service import cors, deadline
from portal_service.log import current_request_id, log, request_id
from portal_service.metrics import QUEUE_SECONDS, REFUSED_ORIGINS, REQUEST_SECONDS, REQUESTS
from portal_service.queue_time import taken

_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_GOOD_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


def observe(scaffold: Scaffold, has_proxy: bool = False) -> None:
    """Give every request below an app or a blueprint its id, its budget, its log line.

    has_proxy: whether one that is trusted stands in front, whose X-Request-Start counts.
    """
    scaffold.before_request(lambda: _begin(has_proxy))
    scaffold.after_request(_finish)
    scaffold.teardown_request(_end)


def _begin(has_proxy: bool) -> None:
    if "portal_started" in g:  # the app and the blueprint inside it both observe
        return
    g.portal_started = time.monotonic()
    g.portal_queued = taken(request.headers.get("X-Request-Start") if has_proxy else None)
    deadline.begin()
    sent = request.headers.get("X-Request-ID", "")
    current_request_id.set(sent if _GOOD_REQUEST_ID.fullmatch(sent) else uuid.uuid4().hex)


def _finish(response: Response) -> Response:
    if "portal_started" not in g or "portal_finished" in g:
        return response
    g.portal_finished = True
    response.headers["X-Request-ID"] = request_id() or ""
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers["X-Content-Type-Options"] = "nosniff"
    seconds = time.monotonic() - g.portal_started
    route = _route()
    method = request.method if request.method in _METHODS else "other"
    REQUESTS.labels(route, method, response.status_code).inc()
    REQUEST_SECONDS.labels(route).observe(seconds)
    _tell_refused_origin(response)
    queued = {}
    if g.portal_queued is not None:
        QUEUE_SECONDS.observe(g.portal_queued)
        queued["queue_ms"] = round(g.portal_queued * 1000)
    log(
        logging.DEBUG if route in ("/healthz", "/readyz", "/metrics") else logging.INFO,
        "request",
        method=method,
        route=route,
        status=response.status_code,
        ms=round(seconds * 1000),
        **queued,
        **g.get("portal_log", {}),
    )
    return response


def _tell_refused_origin(response: Response) -> None:
    if "Origin" not in request.headers:
        return
    if request.method != "OPTIONS" and "Access-Control-Allow-Origin" in response.headers:
        return  # nearly always: what follows costs more than CORS itself
    asked, answered = dict(request.headers), dict(response.headers)
    if reason := cors.refusal(request.method, asked, answered):
        REFUSED_ORIGINS.labels(reason).inc()
        note(kept_from_page=reason)
        # A browser's preflight, or of somebody signed in: anybody else may write anything there.
        if reason != "origin" or "clerk_user_id" in g.portal_log:
            note(origin=request.headers["Origin"][:200])


def _route() -> str:
    """The rule that answered: a label with few values, whatever paths are tried."""
    rule = request.url_rule
    return "unknown" if rule is None or rule.arguments else rule.rule


def note(**fields: Any) -> None:
    """Add fields to the log line of the present request, if there is one."""
    if has_request_context():
        g.setdefault("portal_log", {}).update(fields)


def _end(_: BaseException | None) -> None:
    current_request_id.set(None)
    deadline.end()
