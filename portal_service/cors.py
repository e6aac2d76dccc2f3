"""Why a browser keeps an answer from its page, which sees no more than a failed call. Which origins
are allowed is config.py's, and flask-cors says so in the answer's headers.

Rules: fetch.spec.whatwg.org, "HTTP responses" of the CORS protocol.
"""

from collections.abc import Mapping
from typing import Literal

Reason = Literal["origin", "preflight_origin", "preflight_method", "preflight_header"]

_SAFE_METHODS = {"GET", "HEAD", "POST"}


def refusal(method: str, asked: Mapping[str, str], answered: Mapping[str, str]) -> Reason | None:
    """asked, answered: the headers of a request and of the answer to it. None: it is let through,
    or there is no page.
    """
    wanted = asked.get("Access-Control-Request-Method")
    is_preflight = method == "OPTIONS" and wanted is not None
    if "Origin" not in asked:
        return None
    if "Access-Control-Allow-Origin" not in answered:
        return "preflight_origin" if is_preflight else "origin"
    if not is_preflight:
        return None
    if wanted not in _SAFE_METHODS | _words(answered.get("Access-Control-Allow-Methods", "")):
        return "preflight_method"
    headers = _words(asked.get("Access-Control-Request-Headers", "").lower())
    allowed = _words(answered.get("Access-Control-Allow-Headers", "").lower())
    return None if headers <= allowed else "preflight_header"


def _words(listed: str) -> set[str]:
    return {word.strip() for word in listed.split(",") if word.strip()}
