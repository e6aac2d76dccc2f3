"""How long a request waited before a thread took it. Our Gunicorn worker knows, and so does a proxy
in front that sends X-Request-Start; without it a queue is invisible, since a request's own time
begins with its thread.
"""

import re
import threading
import time

# Seconds, milliseconds or microseconds since 1970, as nginx, Heroku and Apache write it.
_REQUEST_START = re.compile(r"(?:t=)?(\d{10})(?:\.?(\d{1,6}))?")
_LONGEST_SECONDS = 600.0  # more is a clock that is wrong

_thread = threading.local()


def waited(seconds: float) -> None:
    """What our worker says of the request that this thread begins."""
    _thread.waited = seconds


def taken(request_start: str | None) -> float | None:
    """Seconds that the present request waited; None where nobody knows. To be asked once.

    request_start: the header of a proxy that is trusted.
    """
    seconds_here: float | None = _thread.__dict__.pop("waited", None)
    if request_start and (sent := _REQUEST_START.fullmatch(request_start)):
        whole, fraction = sent.groups()
        seconds = time.time() - float(f"{whole}.{fraction or 0}")
        if seconds <= _LONGEST_SECONDS:
            return max(seconds, 0.0)
    return seconds_here
