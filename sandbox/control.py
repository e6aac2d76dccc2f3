"""The control API at /_sandbox: what the demo page, the tests and scripts turn and read."""

from typing import Any

from flask import Blueprint, Flask, jsonify, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import BadRequest, HTTPException, InternalServerError, NotFound

from sandbox import control_requests
from sandbox.control_requests import answer_error, body, claims, text, tried
from sandbox.service import Service, ServiceFailed
from sandbox.stripe import WEBHOOK_SECRET
from sandbox.stripe import control as stripe_control
from sandbox.world import World, clerk_id


def register(
    app: Flask, world: World, *, app_url: str, service_url: str, service: Service | None = None
) -> None:
    """service: the process behind service_url, where it is the sandbox's to stop and start."""
    app.register_blueprint(_Control(world, app_url, service_url, service).blueprint())
    app.register_error_handler(HTTPException, answer_error)


class _Control:
    def __init__(
        self, world: World, app_url: str, service_url: str, service: Service | None
    ) -> None:
        self._world = world
        self._app_url = app_url
        self._service_url = service_url
        self._service = service

    def blueprint(self) -> Blueprint:
        blueprint = control_requests.blueprint(self._world.faults)
        stripe_control.add_to(blueprint, self._world.stripe)
        blueprint.get("/info")(self.info)
        blueprint.post("/session")(self.session)
        blueprint.get("/rows")(self.rows)
        blueprint.get("/service")(self.service)
        blueprint.post("/service")(self.turn_service)
        blueprint.post("/stripe/subscriptions")(self.create_subscription)
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
        given = body("user", "claims", "row")
        name, other, row = _user(given), claims(given), given.get("row", True)
        if not isinstance(row, bool):
            raise BadRequest("row is true or false")
        user_id = self._world.add_user(name) if row else self._world.user_id(name)
        # Of the page that asks, where it may: a guest's, or one that was opened by number.
        azp = request.headers.get("Origin", self._app_url)
        token = self._world.clerk.session_token(clerk_id(name), **{"azp": azp} | other)
        return {"token": token, "clerk_id": clerk_id(name), "user_id": user_id}

    def rows(self) -> ResponseReturnValue:
        return jsonify(self._world.rows())

    def service(self) -> ResponseReturnValue:
        return {"running": self._own_service().running}

    def turn_service(self) -> ResponseReturnValue:
        """Pull the plug, or start it again."""
        wanted = body("running").get("running")
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

    def create_subscription(self) -> ResponseReturnValue:
        given = body("user", "price", "status")
        user = clerk_id(_user(given))
        return stripe_control.create_subscription(self._world.stripe, given, clerk_user_id=user)

    def reset(self) -> ResponseReturnValue:
        body()
        self._world.reset()
        return {"reset": True}


def _user(given: dict[str, Any]) -> str:
    name = text(given, "user")
    tried(lambda: clerk_id(name))
    return name
