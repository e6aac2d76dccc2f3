"""How Stripe is asked: one SDK client over the process' transport, page by page, with one retry
where there is time for it. Errors are those of stripe_errors. What is asked: stripe_api.py.
"""

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, TypeVar

import stripe

from portal_service import deadline
from portal_service.config import Settings
from portal_service.sdk_transports import StripeTransport
from portal_service.slots import NoSlot
from portal_service.stripe_errors import StripeUnavailable, translated
from portal_service.subscription import StripeObject
from portal_service.transport import Transport

T = TypeVar("T")
Retrying = Callable[[Callable[[], Any]], Any]

PAGE = 100
# The SDK sleeps at most this long before its one retry.
_RETRY_PAUSE_SECONDS = 0.5


class StripeClient:
    """One client of the SDK's per process, made on first use.

    retrying: calls what it is given, and again where that can help. Beside the SDK's one retry.
    transport: the process' own, else one for this alone.
    """

    def __init__(
        self,
        settings: Settings,
        retrying: Retrying = lambda ask: ask(),
        transport: Transport | None = None,
    ) -> None:
        self._settings = settings
        self._transport = transport or Transport.for_threads(settings.threads)
        self._retrying = retrying

    def connect(self) -> None:
        """Make the SDK's client now, not with the first question."""
        _ = self._client

    def refuse_while_resting(self) -> None:
        """Before the database is asked for what could not be done. Raises StripeUnavailable."""
        try:
            self._transport.refuse_while_resting("stripe")
        except NoSlot as error:
            raise StripeUnavailable from error

    @cached_property
    def _client(self) -> stripe.StripeClient:
        stripe.enable_telemetry = False  # else the SDK looks for a home directory to write to
        base = self._settings.stripe_api_base
        return stripe.StripeClient(
            self._settings.stripe_secret_key,
            http_client=StripeTransport(self._transport, self._settings.stripe_timeout),
            stripe_version=stripe.api_version,
            base_addresses={"api": base} if base else None,
        )

    def _pages(
        self, ask: Callable[[stripe.StripeClient, Any, Any], Any], params: dict[str, Any]
    ) -> Iterator[Any]:
        params = {**params, "limit": PAGE}
        while True:
            page = self._call(lambda c, o: ask(c, params, o))
            yield page
            if not (getattr(page, "has_more", False) and page.data):
                return
            params["starting_after"] = page.data[-1].id

    def _object(self, ask: Callable[[stripe.StripeClient, Any], Any], **about: Any) -> StripeObject:
        found: StripeObject = self._call(ask, **about).to_dict()
        return found

    def _call(
        self,
        ask: Callable[[stripe.StripeClient, Any], T],
        key: str | None = None,
        *,
        optional: bool = False,
        late: bool = False,
    ) -> T:
        """optional, late: see stripe_errors.translated."""
        options: dict[str, Any] = {"max_network_retries": self._retries()}
        if key:
            options["idempotency_key"] = key

        def once() -> T:
            try:
                return ask(self._client, options)
            except stripe.StripeError as error:
                raise translated(error, optional, late) from error

        answer: T = self._retrying(once)
        return answer

    def _retries(self) -> int:
        """One, where the first attempt leaves time for another."""
        left = deadline.remaining()
        return int(left is None or left > self._settings.stripe_timeout + _RETRY_PAUSE_SECONDS)
