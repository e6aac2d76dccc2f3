"""An installation as an operator's commands find it: the world, a running service, an endpoint."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from reverse_proxy import reverse_proxy
from service_under_test import APP_URL

from portal_service import Settings, create_app
from portal_service.__main__ import main
from sandbox.stripe import RESTRICTED_KEY
from sandbox.web import Server
from sandbox.world import WEBHOOK_PATH, World

Json = dict[str, Any]


class Installation:
    """environment: what the command is told. printed: all that was ever said.

    running: what is started and ends with the test. folder: for what a proxy needs.
    """

    def __init__(self, world: World, running: ExitStack, folder: Path) -> None:
        self.world = world
        self._running = running
        self._folder = folder
        self.environment = world.environment(APP_URL) | {"STRIPE_SECRET_KEY": RESTRICTED_KEY}
        self.service_url = ""
        self.printed = ""

    def serve(self, *proxies: str, **variables: str) -> None:
        """Start the service, and proxies in front of it, the innermost first: each by what it does
        with X-Forwarded-For. Stripe delivers to the outermost from now on.
        """
        settings = Settings.from_environment(self.environment | variables)
        url = self._running.enter_context(Server(create_app(settings))).url
        for number, forwarded_for in enumerate(proxies):
            folder = self._folder / f"proxy-{number}"
            _, url = self._running.enter_context(reverse_proxy([url], folder, forwarded_for))
        self.service_url = url
        self.world.deliver_to(url)

    @property
    def webhook_url(self) -> str:
        return self.service_url + WEBHOOK_PATH

    def run(self, *words: str, typed: str = "") -> Result:
        result = CliRunner().invoke(main, list(words), env=self.environment, input=typed)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        self.printed += result.output
        return result

    def check(self, *words: str) -> dict[str, list[Json]]:
        """The findings by name, held to what is true of all of them."""
        result = self.run("check", "--json", *words)
        answer = json.loads(result.stdout)
        found: dict[str, list[Json]] = {}
        for finding in answer["checks"]:
            assert (finding["cure"] is None) == (finding["state"] == "green"), finding
            found.setdefault(finding["name"], []).append(finding)
        states = [finding["state"] for finding in answer["checks"]]
        assert states == sorted(states, key=["red", "yellow", "green"].index)
        assert answer["ok"] == ("red" not in states)
        assert result.exit_code == int("red" in states)
        return found
