"""A span for each call to a vendor, where OpenTelemetry is installed: docs/tracing.md. Its standard
instrumentations know the usual HTTP libraries, and connection.py is none. The requests that come
in are left to the one of Flask.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

try:
    from opentelemetry import trace
except ImportError:
    trace = None


def call_span(vendor: str, call: str) -> AbstractContextManager[Any]:
    """Around one call and its second try.

    call: method and path with ids left out, as metrics and log have it.
    """
    if trace is None:
        return nullcontext()
    method, _, path = call.partition(" ")
    span: AbstractContextManager[Any] = trace.get_tracer("portal_service").start_as_current_span(
        call,
        kind=trace.SpanKind.CLIENT,
        attributes={"peer.service": vendor, "http.request.method": method, "url.template": path},
        record_exception=False,  # its name is the span's status
    )
    return span


def note_status(span: Any, status: int) -> None:
    """The status that the vendor answered."""
    if span is not None:
        span.set_attribute("http.response.status_code", status)
