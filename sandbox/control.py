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

# What a user may change of themselves at Clerk.
USER = ("email", "first_name", "last_name")


def register(
    app: Flask,
    world: World,
    *,
    app_url: str,
    service_url: str,
    service: Service | None = None,
    billing_owner: str = "user",
) -> None:
    """service: the process behind service_url, where it is the sandbox's to stop and start.
    billing_owner: who pays, as that service was told.
    """
    control = _Control(world, app_url, service_url, service, billing_owner)
    app.register_blueprint(control.blueprint())
    app.register_error_handler(HTTPException, answer_error)


class _Control:
    def __init__(
        self,
        world: World,
        app_url: str,
        service_url: str,
        service: Service | None,
        billing_owner: str,
    ) -> None:
        self._world = world
        self._app_url = app_url
        self._service_url = service_url
        self._service = service
        self._billing_owner = billing_owner

    def blueprint(self) -> Blueprint:
        blueprint = control_requests.blueprint(self._world.faults)
        stripe_control.add_to(blueprint, self._world.stripe)
        self._world.clerk.organizations.add_to(blueprint)
        blueprint.get("/info")(self.info)
        blueprint.post("/session")(self.session)
        blueprint.get("/clerk/deliveries")(self.clerk_deliveries)
        blueprint.post("/clerk/users/<name>")(self.act_on_user)
        blueprint.post("/clerk/organizations/<organization>")(self.act_on_organization)
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
            "billing_owner": self._billing_owner,
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
        given = body("user", "claims", "row", "organization", "version")
        name, other, row = _user(given), claims(given), given.get("row", True)
        if not isinstance(row, bool):
            raise BadRequest("row is true or false")
        clerk = self._world.clerk
        active = clerk.organizations.claims_of_request(clerk_id(name), given)
        user_id = self._world.add_user(name) if row else self._world.user_id(name)
        # Of the page that asks, where it may: a guest's, or one that was opened by number.
        azp = request.headers.get("Origin", self._app_url)
        token = clerk.session_token(clerk_id(name), **{"azp": azp} | active | other)
        return {"token": token, "clerk_id": clerk_id(name), "user_id": user_id}

    def clerk_deliveries(self) -> ResponseReturnValue:
        return jsonify(self._world.clerk_webhooks.deliveries())

    def act_on_user(self, name: str) -> ResponseReturnValue:
        """What a user does in Clerk's own pages: change something, or delete the account."""
        given, who = body("delete", *USER), tried(lambda: clerk_id(name))
        if given.get("delete") is True:
            return tried(lambda: self._world.clerk_users.delete(who))
        changes = {field: text(given, field) for field in USER if field in given}
        if not changes:
            raise BadRequest(f"Say what is new of {', '.join(USER)}, or that delete is true")
        return tried(lambda: self._world.clerk_users.change(who, **changes))

    def act_on_organization(self, organization: str) -> ResponseReturnValue:
        """An admin of it gives it another name, or deletes it; nobody is a member then."""
        given = body("delete", "name")
        organizations = self._world.clerk.organizations.all()
        if organization not in organizations:
            raise NotFound(f"there is no organization {organization}")
        if given.get("delete") is not True:
            name = text(given, "name")
            return self._world.clerk_users.rename_organization(organization, name)
        del organizations[organization]
        return self._world.clerk_users.delete_organization(organization)

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
