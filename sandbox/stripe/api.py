"""The HTTP side of the stand-in for Stripe: keys, faults, idempotency, errors and headers around
the calls of `calls.py`. The hosted pages join the same app."""

import logging
import time
from collections.abc import Callable, Iterable
from typing import Any

import flask
from werkzeug.exceptions import HTTPException
from werkzeug.http import http_date

from sandbox.faults import Faults
from sandbox.stripe import calls, pages, params, shapes
from sandbox.stripe.call_faults import CallFaults
from sandbox.stripe.errors import ParameterError, StripeError, masked, not_permitted
from sandbox.stripe.idempotency import IdempotencyKeys
from sandbox.stripe.state import StripeState

Json = dict[str, Any]
Answer = tuple[int, Json]

log = logging.getLogger("sandbox.stripe")

NO_KEY = (
    "You did not provide an API key. You need to provide your API key in the Authorization "
    "header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY')."
)


def create_app(
    state: StripeState,
    faults: Faults,
    api_keys: set[str],
    public_url: str | Callable[[], str] | None = None,
    *,
    before_answer: Callable[[str, str], None] | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> flask.Flask:
    """public_url: where browsers reach this app; by default wherever a request reached it.

    before_answer: called with method and path when a call of the API is executed and its answer
    is still held back; tests use it to let two calls meet.
    """
    app = flask.Flask(__name__)
    api = _Api(
        state, CallFaults(faults, sleep), api_keys, before_answer or (lambda method, path: None)
    )
    state.public_url = _where(public_url)
    app.register_blueprint(pages.blueprint(state))
    for call in calls.CALLS:
        app.add_url_rule(
            call.path,
            endpoint=f"{call.method} {call.path}",
            view_func=api.view(call),
            methods=[call.method],
            provide_automatic_options=False,
        )
    app.register_error_handler(HTTPException, _unknown)
    app.before_request(_begin)
    app.after_request(api.finish)
    return app


def _where(public_url: str | Callable[[], str] | None) -> Callable[[], str]:
    if public_url is None:
        # Pages are opened on the host that the last caller used; good enough on one machine.
        return lambda: flask.request.host_url.rstrip("/")
    if callable(public_url):
        return public_url
    return lambda: public_url.rstrip("/")


def _begin() -> None:
    flask.g.request_id = shapes.new_id("req", 13)


def _unknown(error: HTTPException) -> Any:
    """A path that the stand-in does not have: said aloud, and answered as Stripe does."""
    path = flask.request.path
    if not path.startswith(("/v1", "/v2")):
        return error
    log.error("the sandbox does not know %s %s", flask.request.method, path)
    refusal = StripeError(
        f"Unrecognized request URL ({flask.request.method}: {path}). The sandbox does not know "
        "it; Stripe may.",
        status=404,
    )
    return flask.jsonify(refusal.body()), 404


class _Api:
    def __init__(
        self,
        state: StripeState,
        faults: CallFaults,
        api_keys: set[str],
        before_answer: Callable[[str, str], None],
    ) -> None:
        self.state = state
        self.faults = faults
        self.api_keys = api_keys
        self.before_answer = before_answer
        self.idempotency = IdempotencyKeys()

    def view(self, call: calls.Call) -> Callable[..., flask.Response]:
        def answer(**ids: str) -> flask.Response:
            try:
                self.faults.hang()
                self._check_key()
                self.faults.refuse()
                status, body = self._once(call, ids)
            except StripeError as error:
                self.faults.network_delay(2)
                status, body = error.status, error.body()
            response = flask.jsonify(body)
            response.status_code = status
            return response

        return answer

    def finish(self, response: flask.Response) -> flask.Response:
        response.headers["Date"] = http_date(int(self.state.clock()))
        if not flask.request.path.startswith(("/v1", "/v2")):
            return response
        response.headers["Request-Id"] = flask.g.request_id
        response.headers["Stripe-Version"] = _version()
        key = flask.request.headers.get("Idempotency-Key")
        if key:
            response.headers["Idempotency-Key"] = key
        if flask.g.get("replayed"):
            response.headers["Idempotent-Replayed"] = "true"
        self.state.calls.append(
            {
                "method": flask.request.method,
                "path": flask.request.path,
                "status": response.status_code,
                "at": self.state.clock(),
            }
        )
        return response

    def _check_key(self) -> None:
        given = flask.request.authorization
        key = None
        if given is not None:
            key = given.token if given.type == "bearer" else given.username
        if not key:
            raise StripeError(NO_KEY, status=401)
        if key not in self.api_keys:
            raise StripeError(f"Invalid API Key provided: {masked(key)}", status=401)
        method, path = flask.request.method, flask.request.path
        forbidden = tuple(self.state.forbidden.get(key, ()))
        if path.startswith(forbidden) or f"{method} {path}".startswith(forbidden):
            raise not_permitted(key, method, path)

    def _once(self, call: calls.Call, ids: dict[str, str]) -> Answer:
        """Execute the call, or say again what was said for its idempotency key."""
        key = flask.request.headers.get("Idempotency-Key")
        if call.method != "POST" or not key:
            return self._execute(call, ids)[0]
        store = self.state.saved_answers
        path, sent = flask.request.path, flask.request.get_data()
        saved = self.idempotency.begin(store, key, path, sent, self.state.clock())
        if saved is not None:
            flask.g.replayed = True
            self.faults.network_delay(2)
            return saved
        kept: Answer | None = None
        try:
            answer, executed = self._execute(call, ids)
            kept = answer if executed else None
        finally:
            self.idempotency.end(store, key, kept)
        return answer

    def _execute(self, call: calls.Call, ids: dict[str, str]) -> tuple[Answer, bool]:
        """The answer, and whether the call got as far as being executed: only then is it saved."""
        self.faults.network_delay()
        try:
            answer, executed = self._answer(call, ids), True
        except ParameterError as error:
            answer, executed = (error.status, error.body()), False
        except StripeError as error:
            answer, executed = (error.status, error.body()), True
            if error.type == "sandbox_error":
                log.error("%s %s: %s", call.method, flask.request.path, error.message)
        self.faults.delay_answer()
        self.faults.network_delay()
        self.before_answer(call.method, flask.request.path)
        return answer, executed

    def _answer(self, call: calls.Call, ids: dict[str, str]) -> Answer:
        self.faults.fail()
        pairs: Iterable[tuple[str, str]]
        if flask.request.is_json:  # which Stripe's second API speaks
            pairs = params.pairs_of(flask.request.get_json())
        else:
            form = flask.request.form if call.method == "POST" else flask.request.args
            pairs = form.items(multi=True)
        given = params.read(pairs, call.spec)
        return 200, calls.answer(self.state, call, given, _version(), **ids)


def _version() -> str:
    return flask.request.headers.get("Stripe-Version", shapes.API_VERSION)
