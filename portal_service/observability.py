"""What every request gets: an id, a budget of time, a line in the log, its place in the metrics."""

import logging
import re
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

from flask import Response, g, has_request_context, request
from flask.sansio.scaffold import Scaffold

from portal_service import cors, deadline
from portal_service.log import current_request_id, log, request_id
from portal_service.metrics import QUEUE_SECONDS, REFUSED_ORIGINS, REQUEST_SECONDS, REQUESTS
from portal_service.queue_time import taken

_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_GOOD_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


@dataclass
class _Seen:
    """What is known of the present request. started: on the monotonic clock; queued: seconds;
    noted: for its line in the log.
    """

    started: float
    queued: float | None
    noted: dict[str, Any] = field(default_factory=dict)
    is_told: bool = False


def observe(scaffold: Scaffold, has_proxy: bool = False) -> None:
    """Give every request below an app or a blueprint its id, its budget, its log line.

    has_proxy: whether one that is trusted stands in front, whose X-Request-Start counts.
    """
    scaffold.before_request(lambda: _begin(has_proxy))
    scaffold.after_request(_finish)
    scaffold.teardown_request(_end)


def _begin(has_proxy: bool) -> None:
    if "portal_seen" in g:  # the app and the blueprint inside it both observe
        return
    headers = request.headers
    queued = taken(headers.get("X-Request-Start") if has_proxy else None)
    g.portal_seen = _Seen(time.monotonic(), queued)
    deadline.begin()
    sent = headers.get("X-Request-ID", "")
    current_request_id.set(sent if _GOOD_REQUEST_ID.fullmatch(sent) else secrets.token_hex(16))


def _finish(response: Response) -> Response:
    seen: _Seen | None = g.get("portal_seen")
    if seen is None or seen.is_told:
        return response
    seen.is_told = True
    response.headers["X-Request-ID"] = request_id() or ""
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers["X-Content-Type-Options"] = "nosniff"
    seconds = time.monotonic() - seen.started
    route, method = _route(), request.method
    method = method if method in _METHODS else "other"
    REQUESTS.labels(route, method, response.status_code).inc()
    REQUEST_SECONDS.labels(route).observe(seconds)
    _tell_refused_origin(response, seen)
    queued: dict[str, Any] = {}
    if seen.queued is not None:
        QUEUE_SECONDS.observe(seen.queued)
        queued["queue_ms"] = round(seen.queued * 1000)
    log(
        logging.DEBUG if route in ("/healthz", "/readyz", "/metrics") else logging.INFO,
        "request",
        method=method,
        route=route,
        status=response.status_code,
        ms=round(seconds * 1000),
        **queued,
        **seen.noted,
    )
    return response


def _tell_refused_origin(response: Response, seen: _Seen) -> None:
    if "Origin" not in request.headers:
        return
    if request.method != "OPTIONS" and "Access-Control-Allow-Origin" in response.headers:
        return  # nearly always: what follows costs more than CORS itself
    asked, answered = dict(request.headers), dict(response.headers)
    if reason := cors.refusal(request.method, asked, answered):
        REFUSED_ORIGINS.labels(reason).inc()
        note(kept_from_page=reason)
        # A browser's preflight, or of somebody signed in: anybody else may write anything there.
        if reason != "origin" or "clerk_user_id" in seen.noted:
            note(origin=request.headers["Origin"][:200])


def _route() -> str:
    """The rule that answered: a label with few values, whatever paths are tried."""
    rule = request.url_rule
    return "unknown" if rule is None or rule.arguments else rule.rule


def note(**fields: Any) -> None:
    """Add fields to the log line of the present request, if there is one."""
    if has_request_context() and (seen := g.get("portal_seen")):
        seen.noted.update(fields)


def _end(_: BaseException | None) -> None:
    current_request_id.set(None)
    deadline.end()
