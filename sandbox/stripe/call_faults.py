"""What the faults of the sandbox do to a call of Stripe's API: fail it, delay it, or hold it."""

import socket
import threading
from collections.abc import Callable

import flask

from sandbox.faults import SLOW_SECONDS, Faults
from sandbox.stripe.errors import StripeError

LOOK_EVERY_SECONDS = 0.02

FAILED = StripeError(
    "An unknown error occurred (the sandbox was told to answer so).", status=500, type="api_error"
)
TOO_MANY = StripeError(
    "Request rate limit exceeded (the sandbox was told to answer so).",
    status=429,
    code="rate_limit",
)


class CallFaults:
    """sleep: how time is passed, in seconds; tests take another way."""

    def __init__(self, faults: Faults, sleep: Callable[[float], None]) -> None:
        self._faults = faults
        self._sleep = sleep

    def refuse(self) -> None:
        """Before anything is done for a call. Raises StripeError."""
        if self._faults.stripe == "rate_limited":
            raise TOO_MANY

    def fail(self) -> None:
        """While a call is executed. Raises StripeError."""
        if self._faults.stripe == "error":
            raise FAILED

    def network_delay(self, ways: int = 1) -> None:
        """Pass the time that a call takes on its way here, and again on its way back."""
        if self._faults.stripe_latency_ms:
            self._sleep(ways * self._faults.stripe_latency_ms / 2000)

    def delay_answer(self) -> None:
        """Hold back an answer that is ready."""
        if self._faults.stripe == "slow":
            self._sleep(SLOW_SECONDS)

    def hang(self) -> None:
        """Wait for the end of the fault. Raises StripeError when the caller went away before, so
        that nothing is done for them."""
        never = threading.Event()
        while self._faults.stripe == "hang":
            if _gone(flask.request.environ.get("werkzeug.socket")):
                raise FAILED
            never.wait(LOOK_EVERY_SECONDS)


def _gone(connection: socket.socket | None) -> bool:
    """Whether the other side has hung up; unknown, and so False, where there is no socket."""
    if connection is None:
        return False
    try:
        return not connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True
