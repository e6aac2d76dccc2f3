"""The transport's sockets replaced by `requests`, for which `responses` answers."""

from collections.abc import Mapping
from typing import Any

import requests

from portal_service.connection import Answer
from portal_service.slots import TimedOut
from portal_service.transport import Transport, Unreachable


def exchange_by_requests(
    _: Transport, method: str, url: str, headers: Mapping[str, str], body: Any, seconds: float
) -> Answer:
    """What the transport does on its sockets, by the library that `responses` answers for."""
    try:
        answer = requests.request(
            method, url, headers=headers, data=body, timeout=seconds, allow_redirects=False
        )
    except requests.Timeout as error:
        raise TimedOut from error
    except (requests.RequestException, OSError) as error:
        raise Unreachable from error
    return Answer(answer.status_code, answer.headers, answer.content)
