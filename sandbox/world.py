"""The world around the service: a real Postgres, and the stand-ins on free ports."""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import scalar_row

from sandbox import clerk_frontend
from sandbox.clerk import Clerk
from sandbox.clerk_sessions import ClerkSessions
from sandbox.clerk_users import ClerkUsers
from sandbox.clerk_webhooks import ClerkWebhooks
from sandbox.connections import Connections
from sandbox.faults import Faults
from sandbox.postgres import Postgres, migrate
from sandbox.postgres import reset as empty_tables
from sandbox.stripe import API_KEY as STRIPE_KEY
from sandbox.stripe import OPERATOR_KEY, RESTRICTED_KEY, WEBHOOK_SECRET
from sandbox.stripe import api as stripe_api
from sandbox.stripe.state import StripeState
from sandbox.stripe.webhooks import Webhooks
from sandbox.supabase import JWT_SECRET
from sandbox.supabase import api as supabase_api
from sandbox.web import Server

PLANS = "pro=price_pro,price_pro_year,prod_pro;team=price_team,price_team_year,prod_team"
WEBHOOK_PATH = "/api/stripe/webhook"
CLERK_WEBHOOK_PATH = "/api/stripe/clerk/webhook"
CLERK_WEBHOOK_SECRET = "whsec_c2FuZGJveCBvZiBwb3J0YWxfc2VydmljZQ=="  # noqa: S105

_USER_NAME = re.compile(r"[a-z0-9_-]{1,40}")


class World:
    """`with World(data_dir) as world: …` runs all of it until the block ends.

    postgres: a server that runs already and is left running, so that tests can share one.
    """

    def __init__(self, data_dir: Path, postgres: Postgres | None = None) -> None:
        self._data_dir = data_dir
        self._given_postgres = postgres
        self._running = ExitStack()
        self.faults = Faults()
        self.clerk = Clerk(self.faults)
        self.clerk_webhooks = ClerkWebhooks(CLERK_WEBHOOK_SECRET, self.faults)
        self.clerk_users = ClerkUsers(self.clerk_webhooks)
        self.clerk_sessions = ClerkSessions(self.clerk, self.clerk_users, self._arrived)
        self.webhooks = Webhooks(WEBHOOK_SECRET, self.faults)
        self.stripe = StripeState(self.webhooks)
        self.database_url = ""
        self._connections = Connections("")
        self.supabase_url = ""
        self.stripe_url = ""

    def start(self) -> "World":
        self._data_dir.mkdir(parents=True, exist_ok=True)
        with ExitStack() as starting:
            server = self._given_postgres or starting.enter_context(
                Postgres(self._data_dir / "postgres")
            )
            self.database_url = server.url
            migrate(self.database_url)
            self._connections = Connections(self.database_url)
            starting.callback(self._connections.close)
            self._start_stand_ins(starting)
            self._running = starting.pop_all()
        return self

    def stop(self) -> None:
        self._running.close()

    def __enter__(self) -> "World":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start_stand_ins(self, starting: ExitStack) -> None:
        supabase = supabase_api.create_app(
            self.database_url,
            JWT_SECRET,
            self.faults,
            third_party=lambda: self.clerk.public_key_pem,
        )
        self.supabase_url = starting.enter_context(Server(supabase)).url
        stripe = stripe_api.create_app(
            self.stripe,
            self.faults,
            {STRIPE_KEY, RESTRICTED_KEY, OPERATOR_KEY},
            public_url=lambda: self.stripe_url,
        )
        self.stripe_url = starting.enter_context(Server(stripe)).url
        clerk = self.clerk.app()
        clerk.register_blueprint(clerk_frontend.blueprint(self.clerk_sessions, self.faults))
        self.clerk.issuer = starting.enter_context(Server(clerk)).url
        starting.callback(self.webhooks.stop)
        starting.callback(self.clerk_webhooks.reset)

    @property
    def service_role_key(self) -> str:
        return supabase_api.api_key("service_role", JWT_SECRET)

    @property
    def anon_key(self) -> str:
        return supabase_api.api_key("anon", JWT_SECRET)

    def environment(self, app_url: str) -> dict[str, str]:
        """What the service is told, exactly as an operator would tell it."""
        return {
            "STRIPE_SECRET_KEY": STRIPE_KEY,
            "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
            "STRIPE_PLANS": PLANS,
            "STRIPE_API_BASE": self.stripe_url,
            "SUPABASE_URL": self.supabase_url,
            "SUPABASE_SERVICE_ROLE_KEY": self.service_role_key,
            "CLERK_PUBLISHABLE_KEY": self.clerk.publishable_key,
            "CLERK_ISSUER": self.clerk.issuer,
            "CLERK_JWKS_URL": self.clerk.jwks_url,
            "CLERK_WEBHOOK_SECRET": CLERK_WEBHOOK_SECRET,
            "APP_URL": app_url,
        }

    def deliver_to(self, service_url: str) -> None:
        """Send Stripe's and Clerk's webhooks to the service at this address from now on."""
        self.webhooks.url = service_url + WEBHOOK_PATH
        self.clerk_webhooks.url = service_url + CLERK_WEBHOOK_PATH

    def add_user(self, name: str) -> str:
        """The id of this user's row in the app's own table, made where there is none."""
        query = """
            insert into users (clerk_id, email) values (%s, %s)
            on conflict (clerk_id) do update set email = excluded.email
            returning id::text
        """
        (user_id,) = self._query(query, clerk_id(name), f"{name}@example.com")
        return str(user_id)

    def _arrived(self, user: str) -> None:
        """Who signs in has a row, as an app makes one at the first sign-in."""
        self.add_user(user.removeprefix("user_"))

    def user_id(self, name: str) -> str | None:
        found = self._query("select id::text from users where clerk_id = %s", clerk_id(name))
        return found[0] if found else None

    def rows(self) -> list[dict[str, Any]]:
        """All rows of `subscriptions`, oldest first."""
        query = """
            select to_jsonb(s) from subscriptions s
            order by to_jsonb(s) ->> 'created_at', to_jsonb(s) ->> 'stripe_subscription_id'
        """  # a table from before the upgrade lacks most columns, and is shown too
        return self._query(query)

    def reset(self) -> None:
        """Forget everything that happened since the first start."""
        self.faults.reset()
        self.clerk_users.reset()
        self.clerk_sessions.reset()
        self.clerk.organizations.reset()
        self.webhooks.drop()  # what is under way could still write a row
        self.stripe.reset()  # and the deliveries with it
        with self.transaction() as connection:
            empty_tables(connection)

    @contextmanager
    def transaction(self) -> Iterator[psycopg.Connection]:
        """The database, as whoever owns the project sees it."""
        with self._connections.transaction() as connection:
            yield connection

    def _query(self, query: str, *values: str) -> list[Any]:
        with self.transaction() as connection:
            return connection.cursor(row_factory=scalar_row).execute(query, values).fetchall()


def clerk_id(name: str) -> str:
    """Clerk's id of a user of the sandbox. Raises ValueError where the name can't be one."""
    if not _USER_NAME.fullmatch(name):
        raise ValueError("user is a name of small letters, digits, _ and -, such as ada")
    return f"user_{name}"
