"""The log: a line is a constant message with fields. No body, token, key or session URL is logged;
what slips into a message all the same is removed by its form.
"""

import json
import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

LOGGER = logging.getLogger("portal_service")

current_request_id: ContextVar[str | None] = ContextVar("request_id", default=None)

_SECRETS = re.compile(
    r"(?:(?:sk|rk|pk)_(?:test|live)_\w|whsec_[\w+/]|sb_secret_\w)[\w+/=-]*"  # keys
    r"|eyJ[\w-]+\.[\w-]+\.[\w-]*"  # tokens
    # Session URLs are credentials; Stripe serves them on a domain of the account's own, too.
    r"|https?://(?:(?:billing|checkout)\.stripe\.com/|[^\s\"'/]+/(?:c/pay|p/session)/)[^\s\"']*"
    r"|[\w.+-]+@[\w-]+(?:\.[\w-]+)+"  # e-mail addresses
)

_PLAIN = {str, int, float, bool, type(None)}


def scrub(text: str) -> str:
    """Remove keys, tokens, session URLs and e-mail addresses."""
    return _SECRETS.sub("[removed]", text)


def scrubbed(value: Any) -> Any:
    """As `scrub`, in whatever a field holds; before it is JSON, whose escapes hide beginnings."""
    if isinstance(value, dict):
        if _is_flat(value) and not _SECRETS.search("\n".join(map(str, value.values()))):
            return value  # nearly always, and one look at all is a quarter of one at each
        return {name: scrubbed(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [scrubbed(one) for one in value]
    return value if isinstance(value, (int, float, bool, type(None))) else scrub(str(value))


def _is_flat(fields: dict[str, Any]) -> bool:
    return all(type(value) in _PLAIN for value in fields.values())


def request_id() -> str | None:
    return current_request_id.get()


def log(level: int, message: str, *, exc_info: BaseException | None = None, **fields: Any) -> None:
    """Write one line: a constant message, and what varies as fields."""
    LOGGER.log(level, message, exc_info=exc_info, extra={"fields": fields})


@contextmanager
def quiet() -> Iterator[None]:
    """Without a line, where a command says by itself what the log would. Not for the service."""
    before, LOGGER.disabled = LOGGER.disabled, True
    try:
        yield
    finally:
        LOGGER.disabled = before


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "message": record.getMessage(),
            "request_id": request_id(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = record.exc_text or self.formatException(record.exc_info)
        if hasattr(record, "is_scrubbed"):
            return json.dumps({**line, "request_id": scrubbed(line["request_id"])})
        return json.dumps(scrubbed(line))


class TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = {"request_id": request_id(), **getattr(record, "fields", {})}
        pairs = " ".join(f"{name}={value}" for name, value in fields.items() if value is not None)
        text = f"{self.formatTime(record)} {record.levelname} {record.getMessage()} {pairs}"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return scrub(text)


def scrub_record(record: logging.LogRecord) -> bool:
    """A filter: lets every record pass, scrubbed, whoever formats it."""
    record.msg, record.args, record.is_scrubbed = scrub(record.getMessage()), None, True
    if hasattr(record, "fields"):
        record.fields = scrubbed(record.fields)
    if record.exc_info:
        record.exc_text = scrub(logging.Formatter().formatException(record.exc_info))
    return True


LOGGER.addFilter(scrub_record)  # a host app has formatters of its own


def configure_logging(log_format: str, level: str) -> None:
    """Send our log to standard error. Only for an app of our own: a host app has its own log."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    LOGGER.handlers = [handler]
    LOGGER.setLevel(level)
    LOGGER.propagate = False
