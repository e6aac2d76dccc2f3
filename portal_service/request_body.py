"""The body of the present request: its bytes, or the fields of its JSON."""

import json
from collections.abc import Iterable
from typing import Any

from flask import request
from werkzeug.exceptions import HTTPException

from portal_service.errors import ServiceError
from portal_service.inputs import invalid_request

LIMIT = 16 * 1024
WEBHOOK_LIMIT = 1024 * 1024


def raw_body(limit: int) -> bytes:
    """The body as it was sent, at most `limit` bytes. Raises ServiceError (413)."""
    # Werkzeug cuts a chunked body at the limit without a word: one byte more shows it.
    request.max_content_length = limit + 1
    try:
        body = request.get_data()
    except HTTPException:
        raise
    except Exception as error:  # the server's own, for a body that is not chunked as it says
        raise invalid_request("The body can't be read") from error
    if len(body) > limit:
        raise ServiceError("invalid_request", "The body is too large", status=413)
    return body


def json_body(allowed: Iterable[str]) -> dict[str, Any]:
    """The fields of a JSON body; no body at all is an empty one."""
    body = raw_body(LIMIT)
    if not body.strip():
        return {}
    if not request.is_json:
        raise ServiceError("invalid_request", "Send application/json", status=415)
    try:
        fields = json.loads(body.decode())
    except (ValueError, RecursionError) as error:
        raise invalid_request("The body is not JSON") from error
    if not isinstance(fields, dict):
        raise invalid_request("The body is not a JSON object")
    unknown = set(fields) - set(allowed)
    if unknown:
        raise invalid_request(f"Only these fields are known: {', '.join(allowed)}")
    return {name: value for name, value in fields.items() if value is not None}
