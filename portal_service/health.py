"""What operators and machines ask at the root: healthz, readyz, metrics, openapi.json."""

import hmac
import json
import logging
import os
import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, request
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from portal_service.errors import ServiceError
from portal_service.log import log
from portal_service.plans import Problem
from portal_service.services import Services, current_services
from portal_service.stripe_errors import StripeRefused

CACHE_SECONDS = 5.0
LOOK_SECONDS = 300.0
LOOK_NAME = "portal_service look"
_DEFAULT_PREFIX = "/api/stripe"
_DOCUMENT = Path(__file__).with_name("openapi.json")

UP, DEGRADED = "up", "degraded"


def blueprint(services: Services) -> Blueprint:
    """The four root endpoints of the standalone service."""
    bp = Blueprint("health", __name__)
    readiness = Readiness(services)
    bp.add_url_rule("/healthz", view_func=healthz)
    bp.add_url_rule("/readyz", view_func=readiness.answer, endpoint="readyz")
    bp.add_url_rule("/metrics", view_func=metrics)
    bp.add_url_rule("/openapi.json", view_func=openapi, endpoint="openapi")
    return bp


def healthz() -> dict[str, str]:
    """Whether the process answers; touches nothing."""
    return {"status": "ok"}


def metrics() -> Response:
    token = current_services().settings.metrics_token
    if token:
        given = request.headers.get("Authorization", "").encode()
        if not hmac.compare_digest(given, f"Bearer {token}".encode()):
            raise ServiceError("unauthorized")
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


class Readiness:
    """Whether anything can be served, and which dependency is in trouble. Asked once per 5 s, so
    that nobody can spend our quotas by asking.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._background = BackgroundLook(services)
        self._lock = threading.Lock()
        self._known_at = -CACHE_SECONDS
        self._known: tuple[dict[str, Any], int] = ({}, 503)

    def answer(self) -> tuple[dict[str, Any], int]:
        self._background.begin_if_due()
        with self._lock:
            if time.monotonic() - self._known_at >= CACHE_SECONDS:
                self._known = self._look()
                self._known_at = time.monotonic()
            return self._known

    def _look(self) -> tuple[dict[str, Any], int]:
        missing: list[str] = []
        checks = {
            "database": self._state(lambda: missing.extend(self._missing())),
            "stripe": self._state(self._services.stripe.ping),
            "clerk": self._state(self._ask_clerk),
        }
        if self._background.problems:
            checks["stripe"] = DEGRADED
        ready = checks["database"] == UP and not missing
        checks["schema"] = UP if ready and not self._background.refused_write else DEGRADED
        body: dict[str, Any] = {"status": "ready" if ready else "unavailable", "checks": checks}
        if missing:
            body["missing"] = missing
        return body, 200 if ready else 503

    def _state(self, ask: Callable[[], None]) -> str:
        try:
            ask()
        except StripeRefused:
            return UP  # it answered
        except ServiceError:
            return DEGRADED
        return UP

    def _missing(self) -> list[str]:
        name = self._services.database.missing_schema()
        return [name] if name else []

    def _ask_clerk(self) -> None:
        keys = self._services.clerk.key_set
        if keys is not None and not keys.probe():
            raise ServiceError("clerk_unavailable")


class BackgroundLook:
    """Whether what the settings name exists at Stripe, and whether a purchase can be stored. Looked
    up beside the probes, in a thread of its own every few minutes: a probe only begins it, and
    reads what the last one found.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lock = threading.Lock()
        self._next_at = 0.0
        self.problems: tuple[Problem, ...] = ()
        self.refused_write: str | None = None

    def begin_if_due(self) -> None:
        with self._lock:
            if time.monotonic() < self._next_at:
                return
            self._next_at = time.monotonic() + LOOK_SECONDS
        threading.Thread(target=self._look, name=LOOK_NAME, daemon=True).start()

    def _look(self) -> None:
        with suppress(ServiceError):  # no answer, which the probe tells by itself
            self._look_at_settings()
        with suppress(ServiceError):
            self._look_at_writes()

    def _look_at_settings(self) -> None:
        found = tuple(self._services.catalogue.problems())
        for problem in found:
            if problem not in self.problems:
                log(
                    logging.ERROR,
                    f"{problem.variable} names something that Stripe can't use",
                    id=problem.id,
                    reason=problem.reason,
                    cure=f"Correct {problem.variable}, for the mode of STRIPE_SECRET_KEY",
                )
        self.problems = found

    def _look_at_writes(self) -> None:
        refused = self._services.database.refused_write()
        if refused and refused != self.refused_write:
            log(
                logging.ERROR,
                "a purchase can't be stored: the table subscriptions refuses it",
                vendor_message=refused,
                cure="Run the migrations again: they name what refuses it, and the way out",
            )
        self.refused_write = refused
