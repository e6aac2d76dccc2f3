"""`python -m sandbox`: everything at once, one address, until Ctrl-C."""

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from flask import Flask, Response, send_file
from flask.typing import ResponseReturnValue

from sandbox import control, guest
from sandbox.command_line import CannotStart, check_port, port_number, stop_signals
from sandbox.service import ROOT, Service, ServiceFailed
from sandbox.stripe.store import StripeStore
from sandbox.web import Server
from sandbox.world import World

DEMO = Path(__file__).with_name("demo")
# The page gets by with what this address and the service send: nothing comes from outside.
POLICY = "default-src 'self'; connect-src 'self' http://127.0.0.1:*; img-src 'self' data:"
INLINE = "script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'"

# The service's settings that are whoever's who starts the sandbox: who pays, and where people come
# back to.
_AS_TOLD = (
    "BILLING_OWNER",
    "BILLING_ORG_ROLES",
    "PORTAL_RETURN_PATH",
    "CHECKOUT_SUCCESS_PATH",
    "CHECKOUT_CANCEL_PATH",
)

WELCOME = """
The sandbox is at  {app_url}

  portal_service  {service_url}  (its log: {log})
  Supabase's API  {supabase_url}
  Stripe          {stripe_url}
  Clerk           {clerk_issuer}
  Postgres        {database_url}

By hand, as the demo user ada:
  TOKEN=$(curl -s {app_url}/_sandbox/session -d '{{"user": "ada"}}' | grep -o 'eyJ[^"]*')
  curl -H "Authorization: Bearer $TOKEN" {service_url}/api/stripe/subscription
  curl -H "Authorization: Bearer $TOKEN" -X POST {service_url}/api/stripe/checkout
  curl {app_url}/_sandbox/stripe/checkout/cs_test_… -d '{{"action": "pay"}}'
  curl {app_url}/_sandbox/deliveries
A token lives for a minute, as Clerk's do.

Data is kept in {data}; `make clean` removes it. Ctrl-C stops everything."""


def main(
    environ: Mapping[str, str] = os.environ,
    guest_app: Callable[[str], AbstractContextManager[Callable[[], None]]] | None = None,
) -> int:
    """Until a signal ends it; returns the status of the process.

    guest_app: given its `.env.local`, runs the guest for as long as its block lasts; what the block
    is given raises CannotStart once the guest has ended by itself.
    """
    stopped = stop_signals()
    try:
        with ExitStack() as running:
            service, store, env_local = _start(running, environ)
            look = running.enter_context(guest_app(env_local)) if guest_app else None
            while not stopped.wait(0.5):
                store.save()
                if service.died:
                    raise ServiceFailed(f"The service stopped by itself:\n{service.last_words()}")
                if look:
                    look()
            print("Stopping …", flush=True)
    except (CannotStart, ServiceFailed) as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


def _start(running: ExitStack, environ: Mapping[str, str]) -> tuple[Service, StripeStore, str]:
    port = _port(environ)
    data = Path(environ.get("SANDBOX_DATA") or ROOT / ".sandbox").absolute()
    guest_url = guest.address(environ)
    app = _page()
    server = Server(app, port)  # takes the port now, and answers once everything runs
    app_url = f"http://localhost:{server.url.rpartition(':')[2]}"
    print("Starting Postgres, the stand-ins and the service …", flush=True)
    try:
        world = running.enter_context(World(data))
    except RuntimeError as error:  # of Postgres, in a sentence
        raise CannotStart(str(error)) from error
    store = _remember(world, data)
    running.callback(store.save)
    environment = _environment(world, app_url, environ) | guest.settings(guest_url)
    service = Service(environment, data)
    running.callback(service.close)
    world.deliver_to(service.url)
    service.start()
    control.register(
        app,
        world,
        app_url=app_url,
        service_url=service.url,
        service=service,
        billing_owner=environment.get("BILLING_OWNER", "user"),
    )
    if guest_url:
        guest.welcome(app, world, guest_url, service.url)
    running.enter_context(server)
    _welcome(world, service, app_url, data)
    if guest_url:
        print(guest.WORDS.format(guest_url=guest_url, app_url=app_url), flush=True)
    env_local = guest.env_local(world, guest_url, service.url) if guest_url else ""
    return service, store, env_local


def _remember(world: World, data: Path) -> StripeStore:
    """Stripe's state and the tables are of one past; where one is lost, both begin anew."""
    store = StripeStore(world.stripe, data / "stripe.json")
    if not store.load():
        world.reset()
    return store


def _environment(world: World, app_url: str, environ: Mapping[str, str]) -> dict[str, str]:
    """What the service is told: some of it as whoever starts the sandbox says, else as usual."""
    by_number = app_url.replace("localhost", "127.0.0.1")
    told = {name: environ[name] for name in _AS_TOLD if name in environ}
    # The page is welcome also where APP_URL is a guest's; a guest's previews may be too.
    origins = [app_url, by_number, environ.get("ALLOWED_ORIGINS", "")]
    return (
        world.environment(app_url)
        | told
        | {
            "ALLOWED_ORIGINS": ",".join(filter(None, origins)),
            "LOG_FORMAT": "text",
            "WEB_CONCURRENCY": "2",
        }
    )


def _page() -> Flask:
    app = Flask(__name__, static_folder=DEMO, static_url_path="/demo")
    app.config["SEND_FILE_MAX_AGE_DEFAULT"] = 0

    @app.get("/")
    @app.get("/dashboard")  # where the service sends people back to
    def page() -> ResponseReturnValue:
        return send_file(DEMO / "index.html")

    @app.get("/plain/")
    def example() -> ResponseReturnValue:
        response = send_file(ROOT / "examples" / "plain" / "index.html")
        # One file, as a team may copy it: script and style stand in it.
        response.headers["Content-Security-Policy"] = f"{POLICY}; {INLINE}"
        return response

    @app.get("/plain/portal-service.js")
    def package() -> ResponseReturnValue:
        return send_file(DEMO / "portal-service.js")

    @app.after_request
    def allow_nothing_from_outside(response: Response) -> Response:
        response.headers.setdefault("Content-Security-Policy", POLICY)
        return response

    return app


def _port(environ: Mapping[str, str]) -> int:
    """Where the sandbox is to be. Raises CannotStart where it can't be there."""
    value = environ.get("SANDBOX_PORT") or "8000"
    number = port_number(value)
    if number is None:
        raise CannotStart(f"SANDBOX_PORT is a port number, not {value!r}.")
    check_port(number, "127.0.0.1", "Take another: SANDBOX_PORT=8001")
    return number


def _welcome(world: World, service: Service, app_url: str, data: Path) -> None:
    text = WELCOME.format(
        app_url=app_url,
        service_url=service.url,
        log=_short(service.log),
        supabase_url=world.supabase_url,
        stripe_url=world.stripe_url,
        clerk_issuer=world.clerk.issuer,
        database_url=world.database_url,
        data=_short(data),
    )
    print(text, flush=True)


def _short(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


if __name__ == "__main__":
    sys.exit(main())
