"""What the SDKs of Stripe and Supabase send their requests by: the process' transport, in the shape
that each of them wants, its failures as those that each of them knows.
"""

import json
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, cast

import httpx
import stripe

from portal_service import deadline
from portal_service.connection import Answer
from portal_service.metrics import VENDOR_RETRIES
from portal_service.slots import NoSlot, TimedOut
from portal_service.transport import ConnectionLost, Transport, Unreachable, call_of

_OF_HTTPX = {"accept": "*/*", "accept-encoding": "gzip", "user-agent": "portal_service"}
# PostgREST's client wants to see the request, and whether it asked for a count.
_NOWHERE = "http://supabase.invalid"
_WITHOUT_COUNT = httpx.Request("GET", _NOWHERE)
# Of the SDK's present question to Stripe.
_attempts: ContextVar[int] = ContextVar("attempts", default=0)


class SupabaseClient(httpx.Client):
    """What `supabase` sends its requests by: httpx' interface, without its way through URLs,
    cookies, redirects and auth flows, since PostgREST has none.

    timeout: seconds for one attempt.
    """

    def __init__(self, transport: Transport, timeout: float) -> None:
        super().__init__(transport=_Nowhere())
        self._process_transport = transport
        self._seconds = timeout
        self._headers_of_all = dict(_OF_HTTPX)

    def take_over(self, of_all: httpx.Headers) -> httpx.Headers:
        """Send these headers with each request. Returns what is left for who did so until now: the
        SDK merges its own anew for each request, twice, which takes as long as the socket.
        """
        self._headers_of_all |= of_all
        return httpx.Headers()

    def request(  # type: ignore[override]
        self,
        method: str,
        url: str,
        *,
        content: bytes | None = None,
        params: httpx.QueryParams | None = None,
        headers: httpx.Headers | None = None,
        auth: None = None,
    ) -> httpx.Response:
        """As PostgREST's client calls it. Raises httpx.TransportError of the fitting kind, and
        OutOfTime.
        """
        sent = {**self._headers_of_all, **(headers or {})}
        address = f"{url}?{params}" if params else url
        try:
            answer = self._process_transport.ask(
                "supabase", method, address, sent, content, self._seconds
            )
        except NoSlot as error:
            raise httpx.PoolTimeout(str(error)) from error
        except TimedOut as error:
            raise httpx.ReadTimeout(str(error)) from error
        except Unreachable as error:
            raise httpx.ConnectError(str(error)) from error
        except ConnectionLost as error:
            raise httpx.ReadError(str(error)) from error
        if "count=" not in sent.get("prefer", ""):
            if 200 <= answer.status < 300:
                return cast(httpx.Response, _Success(answer.status, answer.body))
            return httpx.Response(answer.status, content=answer.body, request=_WITHOUT_COUNT)
        return httpx.Response(
            answer.status,
            headers={"content-range": answer.headers.get("content-range", "")},
            content=answer.body,
            request=httpx.Request(method, _NOWHERE, headers=headers),
        )


class _Success:
    """What PostgREST's client reads of an httpx.Response where all is well. A whole one is made in
    a hundredth of a millisecond, for headers and a stream that nobody asks for.
    """

    is_success = True
    request = _WITHOUT_COUNT

    def __init__(self, status_code: int, content: bytes) -> None:
        self.status_code = status_code
        self.content = content

    def json(self) -> Any:
        """Raises json.JSONDecodeError."""
        return json.loads(self.text)

    @property
    def text(self) -> str:
        """Of what is no JSON, as a proxy's page."""
        return self.content.decode(errors="replace")


class _Nowhere(httpx.BaseTransport):
    """Of httpx' own, which would read certificates for nothing."""


class StripeTransport(stripe.HTTPClient):
    """What `stripe` sends its requests by. All that it sends may be repeated, since each POST has
    an idempotency key (docs.stripe.com/api/idempotent_requests).

    timeout: seconds for one attempt.
    """

    name = "portal_service"

    def __init__(self, transport: Transport, timeout: float) -> None:
        super().__init__()
        self._transport = transport
        self._timeout = timeout

    def request_with_retries(self, *args: Any, **named: Any) -> tuple[str, int, Mapping[str, str]]:
        _attempts.set(0)
        return super().request_with_retries(*args, **named)

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[Any, int, Mapping[str, str]]:
        """Raises stripe.APIConnectionError; the SDK tries again where that may help."""
        if _attempts.get():
            VENDOR_RETRIES.labels("stripe", call_of(method.upper(), url)).inc()
        _attempts.set(_attempts.get() + 1)
        sent = {"Accept-Encoding": "gzip", **(headers or {})}
        try:
            answer = self._transport.ask(
                "stripe", method.upper(), url, sent, post_data, self._timeout
            )
        except (TimedOut, Unreachable) as error:
            raise _lost(error, should_retry=True) from error
        except (NoSlot, ConnectionLost, deadline.OutOfTime) as error:
            raise _lost(error, should_retry=False) from error
        if not _can_be_stripes(answer):
            raise _lost(ValueError("the answer is not Stripe's"), should_retry=True)
        return answer.body, answer.status, answer.headers

    def close(self) -> None:
        """Nothing to close: the connections are the process'."""


def _can_be_stripes(answer: Answer) -> bool:
    """Whether the SDK can read it: it takes for granted that JSON is an object, with an object as
    its `error`. A proxy on the way may answer in JSON of its own.
    """
    if answer.status < 400 and answer.body.startswith(b"{"):
        return True
    try:
        body = json.loads(answer.body)
    except ValueError:
        return True  # the SDK raises its APIError
    return isinstance(body, dict) and isinstance(body.get("error", {}), dict)


def _lost(error: Exception, should_retry: bool) -> stripe.APIConnectionError:
    return stripe.APIConnectionError(  # type: ignore[no-untyped-call]
        f"{type(error).__name__}: {error}", should_retry=should_retry
    )
