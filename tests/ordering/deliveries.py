"""What happens to one subscription at the world's Stripe, and the events that tell of it."""

import time

from service_under_test import Json

from sandbox.world import World


def get(subscription: Json) -> str:
    """The question about it, as `service_under_test.calls` has it."""
    return f"GET /v1/subscriptions/{subscription['id']}"


def changed(world: World, subscription: Json, action: str = "change_plan", **more: object) -> Json:
    """The event of something that happens to a subscription now."""
    world.stripe.act(subscription["id"], action, **more)
    events = world.stripe.events.values()
    return next(e for e in reversed(events) if e["type"].startswith("customer.subscription."))


def utc(timestamp: int) -> str:
    """A time of Stripe's as Postgres writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(timestamp))
