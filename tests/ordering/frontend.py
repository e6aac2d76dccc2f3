"""A signed-in user of the service, as a frontend calls it."""

from typing import Any
from urllib.parse import urlsplit

import requests

from sandbox.world import World, clerk_id

Json = dict[str, Any]
APP_URL = "http://localhost:8000"


class User:
    """name: of the sandbox's; the app's tables may or may not know it."""

    def __init__(self, world: World, service_url: str, name: str) -> None:
        self.world = world
        self.clerk_id = clerk_id(name)
        self._url = f"{service_url}/api/stripe"

    def call(self, method: str, path: str, **body: Any) -> requests.Response:
        token = self.world.clerk.session_token(self.clerk_id, azp=APP_URL)
        return requests.request(
            method,
            self._url + path,
            headers={"Authorization": f"Bearer {token}"},
            json=body or None,
            timeout=20,
        )

    def answer(self, method: str, path: str, **body: Any) -> Json:
        answer = self.call(method, path, **body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    @property
    def shown(self) -> Json:
        return self.answer("GET", "/subscription")

    @property
    def plan(self) -> str | None:
        return self.shown["plan"]

    def refresh(self, **body: Any) -> Json:
        return self.answer("POST", "/subscription/refresh", **body)

    def refused(self, path: str) -> str:
        """The code of the refusal."""
        return self.call("POST", path).json()["code"]

    def open_checkout(self) -> str:
        """The id of a new checkout session."""
        return urlsplit(self.answer("POST", "/checkout")["url"]).path.rpartition("/")[2]

    def buy(self) -> Json:
        """The paid checkout session, when Stripe sends the customer back."""
        return self.world.stripe.checkout(self.open_checkout(), "pay")
