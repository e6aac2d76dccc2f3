"""A vendor that says again whatever it was told, in each shape that an answer can have."""

import json
from collections.abc import Callable, Iterable
from io import BytesIO
from urllib.parse import unquote_plus
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

# What vendors may know of our users without having been told by us.
PORTAL_URLS = (
    "https://billing.stripe.com/p/session/live_MarkedPortalSession",
    "https://pay.acme.example/p/session/live_MarkedPortalSessionOfOurOwnDomain",
)
CHECKOUT_URLS = (
    "https://checkout.stripe.com/c/pay/cs_live_MarkedCheckout#fidMarkedFragment",
    "https://pay.acme.example/c/pay/cs_live_MarkedCheckoutOfOurOwnDomain",
)
EMAILS = ("marked.ada@example.com", "o'marked+tag@mail.example.com")
KNOWN_TO_VENDORS = (*PORTAL_URLS, *CHECKOUT_URLS, *EMAILS)

Shape = Callable[[str], tuple[int, str, str]]  # status, content type, body


def _json(status: int, render: Callable[[str], object]) -> Shape:
    return lambda told: (status, "application/json", json.dumps(render(told)))


def _stripe(status: int, **error: object) -> Shape:
    return _json(status, lambda told: {"error": {"message": f"Told: {told}", **error}})


def _html(status: int) -> Shape:
    return lambda told: (status, "text/html", f"<html><body>{told}</body></html>")


STRIPE: dict[str, Shape] = {
    "a bad request": _stripe(400, type="invalid_request_error"),
    "a bad parameter": _stripe(400, type="invalid_request_error", code="parameter_unknown"),
    "no such customer": _stripe(
        400, type="invalid_request_error", code="resource_missing", param="customer"
    ),
    "not configured": _json(
        400,
        lambda told: {
            "error": {
                "type": "invalid_request_error",
                "message": f"No configuration provided and {told}",
            }
        },
    ),
    "a bad key": _stripe(401, type="invalid_request_error"),
    "a declined card": _stripe(402, type="card_error", code="card_declined"),
    "no permission": _stripe(403, type="invalid_request_error"),
    "not found": _stripe(404, type="invalid_request_error", code="resource_missing"),
    "too many requests": _stripe(429, type="invalid_request_error", code="rate_limit"),
    "a fault": _stripe(500, type="api_error"),
    "free text all over": _json(
        400,
        lambda told: {
            "error": dict.fromkeys(("type", "code", "param", "message", "decline_code"), told)
        },
    ),
    "free text all over a fault": _json(
        500, lambda told: {"error": dict.fromkeys(("type", "code", "param", "message"), told)}
    ),
}
# Beside the others, since checkout asks again for 15 s.
KEY_IN_USE = _stripe(409, type="idempotency_error", code="idempotency_key_in_use")
SUPABASE: dict[str, Shape] = {
    f"{code} {status}": _json(
        status,
        lambda told, code=code: {"code": code, "message": told, "details": told, "hint": told},
    )
    for status, code in [
        (400, "P0001"), (400, "22P02"), (401, "PGRST301"), (403, "42501"), (404, "PGRST202"),
        (404, "42P01"), (409, "23505"), (500, "40P01"), (500, "XX000"), (503, "PGRST000"),
    ]
}  # fmt: skip
SUPABASE |= {
    "free text all over": _json(
        400, lambda told: dict.fromkeys(("code", "message", "details", "hint"), told)
    ),
    "the gateway's": _json(401, lambda told: {"message": told, "hint": told}),
}
GARBAGE: dict[str, Shape] = {
    "a page": _html(200),
    "a page of a fault": _html(502),
    "a text": _json(200, lambda told: told),
    "a list": _json(200, lambda told: [told]),
    "a list of objects": _json(200, lambda told: [{"id": told, "status": told}]),
    "an object": _json(200, lambda told: {"object": told, "data": told, "url": {"x": told}}),
    "a text as a refusal": _json(400, lambda told: told),
    "a list as a refusal": _json(400, lambda told: [told]),
    "an error that is a text": _json(400, lambda told: {"error": told}),
    "an error that is a list": _json(400, lambda told: {"error": [told]}),
    "an error of objects": _json(400, lambda told: {"error": {"message": {"x": told}}}),
}


class Parrot:
    """In front of a stand-in: passes calls on, or repeats them while it has a shape for that.

    keys: which key of the stand-in's stands for which of ours.
    """

    def __init__(self, app: WSGIApplication, keys: dict[str, str] | None = None) -> None:
        self._app = app
        self._keys = keys or {}
        self.shape: Shape | None = None
        self.heard: list[str] = []

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = BytesIO(body)
        told = [f"{environ['PATH_INFO']}?{environ.get('QUERY_STRING', '')}", body.decode()]
        told += [value for name, value in environ.items() if name.startswith("HTTP_")]
        self.heard.append(" ".join(told))
        if self.shape is None:
            for ours, theirs in self._keys.items():
                for name in ("HTTP_AUTHORIZATION", "HTTP_APIKEY"):
                    environ[name] = environ[name].replace(ours, theirs)
            return self._app(environ, start_response)
        said = " ".join([*told, unquote_plus(body.decode()), *KNOWN_TO_VENDORS])
        status, kind, text = self.shape(said)
        # Else Stripe's SDK sleeps before it tries again.
        headers = [("Content-Type", kind), ("Stripe-Should-Retry", "false"),
                   ("Request-Id", "req_1parrot")]  # fmt: skip
        start_response(f"{status} Said", headers)
        return [text.encode()]
