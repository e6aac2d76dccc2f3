"""What Sentry is told, where SENTRY_DSN is set: errors that nobody foresaw, and what the log calls
critical, in the words that the log has. Its SDK is the extra `sentry`, loaded here alone and only
then.

Nothing of a request is sent: no body, header, cookie or address of a caller. None of the SDK's
integrations runs, which would collect them.
"""

import atexit
import importlib.util
import logging
from typing import Any
from urllib.parse import urlsplit

from portal_service.config_values import Wrong
from portal_service.log import LOGGER, request_id, scrubbed

_FLUSH_SECONDS = 2.0
# All else that the SDK may add, in this release or the next, stays here.
_SENT = frozenset(
    {
        *("event_id", "timestamp", "platform", "level", "logger", "environment", "release"),
        *("server_name", "sdk", "exception", "logentry", "tags", "extra"),
    }
)
_WORDS = ("exception", "logentry", "tags", "extra")


def dsn(text: str) -> str:
    """A project's address, if it is one, and the extra is installed. Raises ValueError, Wrong."""
    parts = urlsplit(text)
    project = parts.path.rpartition("/")[2]
    if parts.scheme not in ("http", "https") or not parts.hostname or not parts.username:
        raise ValueError
    if not project.isdecimal():
        raise ValueError
    if importlib.util.find_spec("sentry_sdk") is None:
        raise Wrong("it needs the extra sentry: pip install 'portal-service[sentry]'")
    return text


def begin(address: str | None, environment: str, release: str) -> None:
    """Tell Sentry from now on what the log tells. Does nothing without an address.

    address: the project's DSN. environment: `test` or `live`.
    """
    if address is None:
        return
    import sentry_sdk

    # `send_default_pii` is off by itself; to say so warns since 2.75.
    client = sentry_sdk.Client(
        dsn=address,
        environment=environment,
        release=f"portal_service@{release}",
        default_integrations=False,
        auto_enabling_integrations=False,
        max_request_body_size="never",
        include_local_variables=False,
        max_breadcrumbs=0,
        auto_session_tracking=False,
        send_client_reports=False,
        enable_backpressure_handling=False,
        before_send=only_what_may_leave,
    )
    atexit.register(client.close, timeout=_FLUSH_SECONDS)
    LOGGER.addHandler(_Handler(client))


def only_what_may_leave(event: Any, hint: Any) -> Any:
    """Sentry's `before_send`: as the log is scrubbed, so is this."""
    kept = {name: value for name, value in event.items() if name in _SENT}
    return kept | {name: scrubbed(kept[name]) for name in _WORDS if name in kept}


class _Handler(logging.Handler):
    """Of the service's own log, behind its scrubbing."""

    def __init__(self, client: Any) -> None:
        super().__init__(logging.ERROR)
        self._client = client

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if error is None and record.levelno < logging.CRITICAL:
            return  # a vendor's failure is one of many, which the metrics count
        try:
            self._capture(record, error)
        except Exception:  # a fault of the SDK's must not become the request's
            self.handleError(record)

    def _capture(self, record: logging.LogRecord, error: BaseException | None) -> None:
        from sentry_sdk.utils import event_from_exception

        event: Any = {}
        if error is not None:
            event, _ = event_from_exception(error, client_options=self._client.options)
        self._client.capture_event(
            event
            | {
                "level": "fatal" if record.levelno >= logging.CRITICAL else "error",
                "logger": record.name,
                "logentry": {"message": record.getMessage()},
                "tags": {"request_id": request_id() or "none"},
                "extra": getattr(record, "fields", {}),
            }
        )
