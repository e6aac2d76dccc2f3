"""Stripe's customer portal, checkout and subscription status for Clerk and Supabase.

`create_app()` is the service; `blueprint(settings)` is its part for another Flask app.
"""

import re
from collections.abc import Callable
from typing import Any

from flask import Blueprint, Flask, current_app
from flask.cli import AppGroup
from flask.sansio.app import App
from flask_cors import CORS
from werkzeug.middleware.proxy_fix import ProxyFix

from portal_service import (
    billing,
    clerk_webhook,
    error_reports,
    errors,
    health,
    log,
    observability,
    routing,
    webhook,
)
from portal_service.commands import NAMES, OnDemand
from portal_service.config import ConfigError, Settings
from portal_service.services import Services

# What OpenTelemetry and Sentry add to a frontend's requests.
_TRACING_HEADERS = ("traceparent", "tracestate", "baggage", "sentry-trace")

__all__ = ["ConfigError", "Settings", "__version__", "blueprint", "create_app"]

__version__ = "0.1.0.dev0"  # the one place; CONTRIBUTING.md says how a release is made


class _Service(Flask):
    """Flask, without its question at each function of each request whether that is asynchronous:
    none of ours is.
    """

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        return func


def create_app(settings: Settings | None = None) -> Flask:
    """The standalone service.

    settings: read from the environment where none are given. Raises ConfigError.
    """
    settings = settings or Settings.from_environment()
    log.configure_logging(settings.log_format, settings.log_level)
    error_reports.begin(settings.sentry_dsn, settings.mode, __version__)
    app = _Service(__name__, static_folder=None)
    app.url_map.merge_slashes = False  # its redirects would go where the Host header says
    _add_contract_shape(app, settings)
    services = Services.from_settings(settings)
    app.register_blueprint(_billing_blueprint(services, in_host_app=False))
    app.register_blueprint(health.blueprint(services))
    if hops := settings.trusted_proxy_hops:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops)  # type: ignore[method-assign]
    return app


def blueprint(settings: Settings) -> Blueprint:
    """All of the service that stands under `settings.url_prefix`, for a Flask app of one's own.

    Reads no environment, adds nothing at the root, and leaves the app's own log and errors alone.
    """
    return _billing_blueprint(Services.from_settings(settings), in_host_app=True)


def _billing_blueprint(services: Services, in_host_app: bool) -> Blueprint:
    """One blueprint, with none nested in it: what a host app says of it is true of all routes.

    in_host_app: whether it brings the contract's shape itself; our own app has that for all.
    """
    prefix = services.settings.url_prefix
    bp = Blueprint("portal_service", __name__, url_prefix=prefix, cli_group="portal")
    if in_host_app:
        _add_contract_shape(bp, services.settings)
        # Whether the host app's protection was there before us, or comes after.
        bp.record(lambda state: _exempt_from_csrf(state.app, bp))
        bp.before_app_request(lambda: _exempt_from_csrf(current_app, bp))
    billing.add_routes(bp)
    webhook.add_routes(bp)
    if services.settings.clerk_webhook_secrets:
        clerk_webhook.add_routes(bp)
    bp.add_url_rule("/openapi.json", view_func=health.openapi, endpoint="openapi")
    routing.add_catch_all(bp)
    bp.cli = AppGroup(commands=OnDemand(*NAMES))
    bp.record(lambda state: services.attach(state.app))
    return bp


def _exempt_from_csrf(app: App, bp: Blueprint) -> None:
    """Flask-WTF of a host app wants its token in each POST. Ours are guarded by a signature, a
    Bearer token or the Origin.
    """
    csrf = app.extensions.get("csrf")
    if csrf is not None and type(csrf).__module__.startswith("flask_wtf"):
        csrf.exempt(bp)


def _add_contract_shape(scaffold: Flask | Blueprint, settings: Settings) -> None:
    """Give every answer below it the contract's shape: ids and log, errors, CORS."""
    observability.observe(scaffold, has_proxy=settings.trusted_proxy_hops > 0)
    errors.register(scaffold)
    CORS(
        scaffold,
        origins=[re.compile(pattern) for pattern in settings.origin_patterns],
        methods=["GET", "POST"],
        allow_headers=["Authorization", "Content-Type", "X-Request-ID", *_TRACING_HEADERS],
        expose_headers=["X-Request-ID", "Retry-After"],
        supports_credentials=False,
        max_age=600,
    )
