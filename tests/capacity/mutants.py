"""Each part of checkout's rule is there for a reason: open_session without it is found to be wrong
by the very orders that test_every_order.py plays. `make mutants`.
"""


from test_every_order import ALL, LIST, TWO, pay, play, stage, without_pauses  # noqa: F401

QUICK = {LIST, "POST /v1/checkout/sessions", "answer"}

# name: what stands in the source, what stands there instead, and where that goes wrong.
ASKS = "        subscriptions = services.mirror.refresh_customer(account, customer)\n"
LISTS = "        sessions = services.stripe.newest_checkout_sessions(customer)\n"
PLAYS = {
    "two": lambda module: play(stage(module=module), TWO, turns=2),
    "a page": lambda module: play(stage(page="pro", module=module), TWO, turns=2),
    "somebody pays": lambda module: play(stage(ALL, "pro", module=module), TWO, 1, pay),
    "a fault": lambda module: play(stage(faulty={0}, module=module), TWO, turns=1),
}
BUGS = {
    "the key names the wish": (
        "{self.key}-{uuid.uuid4().hex}\" if self.is_dead else self.key",
        "{self.key}-{_digest(params)}\"",
        "two",
    ),
    "subscriptions are asked for before sessions": (LISTS + ASKS, ASKS + LISTS, "somebody pays"),
    "losers do not list again": (
        "            self.taken_since = self.taken_since or time.monotonic()\n            return None",
        "            raise",
        "two",
    ),
    "open ones are not expired": ("            _expire(services, session[\"id\"])\n    return",
                                  "            pass\n    return", "a page"),
    "an old session of the key is handed out": ("if made_before:", "if False:", "the same wish"),
    "a dead key is kept": ("            self.is_dead = True\n", "", "a fault"),
    "who goes another way does not look again": ("self.unseen = address", "return address", "slow"),
}  # fmt: skip
