"""The control API at /_sandbox: what the demo page, the tests and scripts turn and read."""

from collections.abc import Callable
from typing import Any, TypeVar

from flask import Blueprint, Flask, jsonify, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import BadRequest, HTTPException, InternalServerError, NotFound

from sandbox.service import Service, ServiceFailed
from sandbox.world import WEBHOOK_SECRET, World, clerk_id

# What an action on a subscription may be told besides its name.
TEXTS = ("price", "status", "reason", "behavior")
NUMBERS = ("quantity", "resumes_at")

_T = TypeVar("_T")


def register(
    app: Flask, world: World, *, app_url: str, service_url: str, service: Service | None = None
) -> None:
    """service: the process behind service_url, where it is the sandbox's to stop and start."""
    app.register_blueprint(_Control(world, app_url, service_url, service).blueprint())
    app.register_error_handler(HTTPException, _answer_error)


class _Control:
    def __init__(
        self, world: World, app_url: str, service_url: str, service: Service | None
    ) -> None:
        self._world = world
        self._app_url = app_url
        self._service_url = service_url
        self._service = service

    def blueprint(self) -> Blueprint:
        blueprint = Blueprint("control", __name__, url_prefix="/_sandbox")
        blueprint.get("/info")(self.info)
        blueprint.post("/session")(self.session)
        blueprint.get("/rows")(self.rows)
        blueprint.get("/deliveries")(self.deliveries)
        blueprint.get("/faults")(self.faults)
        blueprint.post("/faults")(self.change_faults)
        blueprint.get("/service")(self.service)
        blueprint.post("/service")(self.turn_service)
        blueprint.post("/stripe/checkout/<session_id>")(self.act_on_checkout)
        blueprint.post("/stripe/subscriptions")(self.create_subscription)
        blueprint.post("/stripe/subscriptions/<subscription_id>")(self.act_on_subscription)
        blueprint.post("/reset")(self.reset)
        return blueprint

    def info(self) -> ResponseReturnValue:
        world = self._world
        return {
            "app_url": self._app_url,
            "service_url": self._service_url,
            "supabase_url": world.supabase_url,
            "supabase_service_key": world.service_role_key,
            "supabase_anon_key": world.anon_key,
            "stripe_url": world.stripe_url,
            "webhook_secret": WEBHOOK_SECRET,
            "clerk_issuer": world.clerk.issuer,
            "clerk_jwks_url": world.clerk.jwks_url,
            "clerk_publishable_key": world.clerk.publishable_key,
            "database_url": world.database_url,
        }

    def session(self) -> ResponseReturnValue:
        body = _body("user", "claims", "row")
        name, claims, row = _user(body), body.get("claims", {}), body.get("row", True)
        if not isinstance(claims, dict):
            raise BadRequest("claims is an object: claim to value, or to null to leave it out")
        if not isinstance(row, bool):
            raise BadRequest("row is true or false")
        user_id = self._world.add_user(name) if row else self._world.user_id(name)
        token = self._world.clerk.session_token(clerk_id(name), **{"azp": self._app_url} | claims)
        return {"token": token, "clerk_id": clerk_id(name), "user_id": user_id}

    def rows(self) -> ResponseReturnValue:
        return jsonify(self._world.rows())

    def deliveries(self) -> ResponseReturnValue:
        return jsonify(self._world.webhooks.deliveries())

    def faults(self) -> ResponseReturnValue:
        return self._world.faults.as_dict()

    def change_faults(self) -> ResponseReturnValue:
        changes = _body()
        _tried(lambda: self._world.faults.update(changes))
        return self._world.faults.as_dict()

    def service(self) -> ResponseReturnValue:
        return {"running": self._own_service().running}

    def turn_service(self) -> ResponseReturnValue:
        """Pull the plug, or start it again."""
        wanted = _body("running").get("running")
        if not isinstance(wanted, bool):
            raise BadRequest("running is true or false")
        service = self._own_service()
        try:
            service.start() if wanted else service.kill()
        except ServiceFailed as error:
            raise InternalServerError(str(error)) from error
        return {"running": service.running}

    def _own_service(self) -> Service:
        if self._service is None:
            raise NotFound("The service is not the sandbox's own here")
        return self._service

    def act_on_checkout(self, session_id: str) -> ResponseReturnValue:
        action = _text(_body("action"), "action")
        return _tried(lambda: self._world.stripe.checkout(session_id, action))

    def create_subscription(self) -> ResponseReturnValue:
        body = _body("user", "price", "status")
        user = clerk_id(_user(body))
        price, status = _text(body, "price", "price_pro"), _text(body, "status", "active")
        if price not in self._world.stripe.prices:
            raise BadRequest(f"price is one of {', '.join(self._world.stripe.prices)}")
        return _tried(lambda: self._world.stripe.create_subscription(user, price, status))

    def act_on_subscription(self, subscription_id: str) -> ResponseReturnValue:
        body = _body("action", *TEXTS, *NUMBERS)
        action = _text(body, "action")
        more: dict[str, Any] = {name: _text(body, name) for name in TEXTS if name in body}
        more |= {name: _number(body, name) for name in NUMBERS if name in body}
        return _tried(lambda: self._world.stripe.act(subscription_id, action, **more))

    def reset(self) -> ResponseReturnValue:
        _body()
        self._world.reset()
        return {"reset": True}


def _body(*names: str) -> dict[str, Any]:
    """The JSON object that was sent, whatever its content type; none is an empty one.

    names: the fields that it may have; without any, all.
    """
    if not request.get_data():
        return {}
    body = request.get_json(force=True, silent=True)
    if not isinstance(body, dict):
        raise BadRequest("The body is a JSON object")
    unknown = set(body) - set(names)
    if names and unknown:
        raise BadRequest(f"There is no field {min(unknown)} here; there are: {', '.join(names)}")
    return body


def _user(body: dict[str, Any]) -> str:
    name = _text(body, "user")
    _tried(lambda: clerk_id(name))
    return name


def _text(body: dict[str, Any], name: str, default: str = "") -> str:
    value = body.get(name, default)
    if not isinstance(value, str) or not value:
        raise BadRequest(f"{name} is missing or not a text")
    return value


def _number(body: dict[str, Any], name: str) -> int:
    value = body[name]
    if type(value) is not int or value < 1:
        raise BadRequest(f"{name} is a whole number above 0")
    return value


def _tried(act: Callable[[], _T]) -> _T:
    """What the stand-ins refuse, as an answer: an unknown id is 404, the rest is 400."""
    try:
        return act()
    except KeyError as error:
        raise NotFound(str(error.args[0])) from error
    except ValueError as error:
        raise BadRequest(str(error)) from error


def _answer_error(error: HTTPException) -> ResponseReturnValue:
    return jsonify(error=error.description), error.code or 500
