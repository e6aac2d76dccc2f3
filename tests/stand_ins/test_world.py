"""The world that the integration tests stand on."""

import requests
from flask.testing import FlaskClient

from portal_service import Settings
from sandbox.world import World

APP_URL = "http://localhost:8000"


def test_the_service_starts_with_what_it_is_told(world: World) -> None:
    settings, problems = Settings.collect(world.environment(APP_URL))
    assert problems == []
    assert settings is not None
    assert settings.livemode is False


def test_a_user_is_added_once(world: World) -> None:
    assert world.user_id("ada") is None
    assert world.add_user("ada") == world.add_user("ada") == world.user_id("ada")


def test_webhooks_reach_the_service_in_this_process(world: World, service_url: str) -> None:
    user_id = world.add_user("ada")
    world.stripe.create_subscription("user_ada", "price_team", "active")
    assert world.webhooks.wait_until_delivered()

    (row,) = world.rows()
    assert (row["user_id"], row["plan"]) == (user_id, "team")
    token = world.clerk.session_token("user_ada", azp=APP_URL)
    answer = requests.get(
        f"{service_url}/api/stripe/subscription",
        headers={"Authorization": f"Bearer {token}"},
        timeout=5,
    )
    assert answer.json()["plan"] == "team"


def test_a_reset_leaves_nothing(world: World, service_client: FlaskClient) -> None:
    world.add_user("ada")
    world.stripe.create_subscription("user_ada", "price_pro", "active")
    world.faults.update({"database": "down"})

    world.reset()

    assert world.rows() == []
    assert world.user_id("ada") is None
    assert world.webhooks.deliveries() == []
    assert world.faults.database == "up"
