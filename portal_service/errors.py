"""Every failure of a request as one JSON shape. The codes are the contract, the sentences are for
people; what a vendor said stays in the log.
"""

import logging

from flask import Response, jsonify, request
from flask.sansio.scaffold import Scaffold
from werkzeug.exceptions import HTTPException, default_exceptions

from portal_service.deadline import OutOfTime
from portal_service.log import log, request_id
from portal_service.routing import methods_here

# code: (HTTP status, sentence). The first three sentences are the tutorial's, word for word.
ERRORS = {
    "unauthorized": (401, "Unauthorized"),
    "user_not_found": (404, "User not found"),
    "no_subscription": (404, "No subscription found"),
    "invalid_request": (400, "The request is not valid"),
    "invalid_signature": (400, "The signature is not valid"),
    "invalid_payload": (400, "The payload is not an event of the sender's"),
    "origin_not_allowed": (403, "This origin is not allowed"),
    "impersonation_not_allowed": (403, "Not possible while impersonating a user"),
    "organization_required": (403, "Choose an organization first: it is organizations that pay"),
    "not_billing_admin": (403, "Only the organization's billing admins can do this"),
    "not_found": (404, "There is nothing at this address"),
    "method_not_allowed": (405, "This method is not allowed here"),
    "already_subscribed": (409, "There is a subscription already; manage it in the portal"),
    "customer_not_found": (409, "The payment provider does not know this customer any more"),
    "stripe_refused": (409, "The payment provider refused this request"),
    "rate_limited": (429, "Too many requests; try again later"),
    "portal_not_configured": (500, "The customer portal is not configured yet"),
    "checkout_not_configured": (500, "This plan can't be bought yet"),
    "internal_error": (500, "Something went wrong on our side"),
    "stripe_unavailable": (503, "The payment provider does not answer; try again later"),
    "database_unavailable": (503, "The database does not answer; try again later"),
    "clerk_unavailable": (503, "The sign-in provider does not answer; try again later"),
}
RETRY_AFTER_SECONDS = 5


class ServiceError(Exception):
    """A failure with a code of the contract; a subclass is for callers who act on it.

    detail: replaces the sentence of the table; never what a vendor said.
    status: replaces the status of the table (413 and 415 of `invalid_request`).
    retry_after: seconds after which trying again can help; 503s have one by themselves.
    """

    code = "internal_error"

    def __init__(
        self,
        code: str | None = None,
        detail: str | None = None,
        *,
        status: int | None = None,
        retry_after: int | None = None,
    ) -> None:
        self.code = code or self.code
        super().__init__(self.code)
        table_status, sentence = ERRORS[self.code]
        self.status = status or table_status
        self.sentence = detail or sentence
        self.retry_after = retry_after or (RETRY_AFTER_SECONDS if self.status == 503 else None)


def register(scaffold: Scaffold) -> None:
    """Answer every exception below an app or a blueprint in our shape."""
    scaffold.register_error_handler(ServiceError, _answer)
    for status in default_exceptions:  # by number: a host app's own handler of 404 would win
        scaffold.register_error_handler(status, _http_error)
    # The time ran out while waiting for what another request asks Stripe.
    scaffold.register_error_handler(
        OutOfTime, lambda _: _answer(ServiceError("stripe_unavailable"))
    )
    scaffold.register_error_handler(Exception, _unexpected)


def _answer(error: ServiceError) -> Response:
    response = jsonify(error=error.sentence, code=error.code, request_id=request_id())
    response.status_code = error.status
    if error.retry_after:
        response.headers["Retry-After"] = str(error.retry_after)
    if error.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _http_error(error: HTTPException) -> Response:
    """What Flask and Werkzeug refuse by themselves: unknown paths, methods, bodies."""
    status = error.code or 500
    if status == 405 and not methods_here():
        status = 404
    if status >= 500:
        code = "internal_error"
    else:
        code = {404: "not_found", 405: "method_not_allowed"}.get(status, "invalid_request")
    detail = "The body is too large" if status == 413 else None
    response = _answer(ServiceError(code, detail, status=status))
    if status == 405:
        response.headers["Allow"] = ", ".join(sorted(methods_here()))
    return response


def _unexpected(error: Exception) -> Response:
    log(logging.ERROR, "unexpected error", path=request.path, exc_info=error)
    return _answer(ServiceError("internal_error"))
