"""What operators and machines ask at the root: healthz, readyz, metrics, openapi.json. The last
stands under the prefix too.
"""

import hmac
import json
import os
import re
from functools import cache, partial
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, request
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from portal_service.errors import ServiceError
from portal_service.readiness import Readiness
from portal_service.services import Services, current_services
from portal_service.sync_runs import LastSync, SyncRuns

_DEFAULT_PREFIX = "/api/stripe"
_DOCUMENT = Path(__file__).with_name("openapi.json")


def blueprint(services: Services) -> Blueprint:
    """The four root endpoints of the standalone service."""
    bp = Blueprint("health", __name__)
    readiness = Readiness(services)
    bp.before_app_request(readiness.begin_once)
    bp.add_url_rule("/healthz", view_func=healthz)
    bp.add_url_rule("/readyz", view_func=readiness.answer, endpoint="readyz")
    last_sync = LastSync(SyncRuns(services.database))
    bp.add_url_rule("/metrics", view_func=partial(metrics, last_sync), endpoint="metrics")
    bp.add_url_rule("/openapi.json", view_func=openapi, endpoint="openapi")
    return bp


def healthz() -> dict[str, str]:
    """Whether the process answers; touches nothing."""
    return {"status": "ok"}


def metrics(last_sync: LastSync) -> Response:
    token = current_services().settings.metrics_token
    if token:
        given = request.headers.get("Authorization", "").encode()
        if not hmac.compare_digest(given, f"Bearer {token}".encode()):
            raise ServiceError("unauthorized")
    last_sync.begin_where_due()
    registry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:  # all workers of this machine together
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def openapi() -> dict[str, Any]:
    return document(current_services().settings.url_prefix)


@cache
def document(url_prefix: str) -> dict[str, Any]:
    """The contract as OpenAPI 3.1, its paths under the prefix that is in use."""
    contract: dict[str, Any] = json.loads(_DOCUMENT.read_text())
    paths = contract["paths"]
    contract["paths"] = {
        re.sub(f"^{_DEFAULT_PREFIX}", url_prefix, path): paths[path] for path in paths
    }
    return contract
