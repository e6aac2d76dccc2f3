"""The service's commands as an operator runs them, in a world where time costs nothing."""

import importlib
import json
import time
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import pytest
import stripe
from click.testing import Result
from flask.testing import FlaskClient
from outside import Outside, signed
from table import connect

from portal_service import Settings, create_app
from portal_service.subscription import Row, differences, row_of
from sandbox.world import WEBHOOK_PATH

Json = dict[str, Any]


class Terminal:
    """slept: for how long the commands wanted to wait, and did not."""

    def __init__(self, out: Outside, patch: pytest.MonkeyPatch, **changes: str) -> None:
        self.out = out
        self.settings = Settings.from_environment(out.environment | changes)
        self.app = create_app(self.settings)
        self.slept: list[float] = []
        patch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0.01)
        slept = SimpleNamespace(sleep=self.slept.append, time=time.time)
        for name in ("retry", "sync"):
            module = importlib.import_module(f"portal_service.commands.{name}")
            patch.setattr(module, "time", slept)

    @cached_property
    def service(self) -> FlaskClient:
        """Beside the commands, in another process as it were."""
        return create_app(self.settings).test_client()

    def run(self, *words: str, typed: str = "") -> Result:
        """typed: what the operator answers when asked."""
        result = self.app.test_cli_runner().invoke(args=["portal", *words], input=typed)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def json(self, *words: str) -> Json:
        return json.loads(self.run(*words, "--json").stdout)

    def deliver(self, event: Json) -> Json:
        body, headers = signed(event)
        answer = self.service.post(WEBHOOK_PATH, data=body, headers=headers)
        assert answer.status_code == 200, answer.json
        return answer.json

    @property
    def rows(self) -> dict[str, Row]:
        return {row["stripe_subscription_id"]: row for row in self.out.world.rows()}

    def execute(self, query: str, *values: Any) -> None:
        with connect(self.out.world.database_url) as connection:
            connection.execute(query, values or None)

    def select(self, query: str) -> list[Json]:
        with connect(self.out.world.database_url) as connection:
            found = connection.execute(f"select to_jsonb(found) from ({query}) found")
            return found.fetchall()

    def wrong_rows(self) -> Json:
        """Subscription -> what its row does not say as Stripe does, of all at Stripe."""
        rows = self.rows
        wrong: Json = {}
        for name, subscription in self.out.world.stripe.subscriptions.items():
            row = rows.get(name)
            expected = row_of(subscription, self.settings.plans, None)
            found = differences(row, expected) if row else "there is no row"
            if found:
                wrong[name] = found
        return wrong
