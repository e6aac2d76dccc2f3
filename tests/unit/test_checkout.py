"""What a checkout session is asked for with, and that nobody is charged twice."""

from types import SimpleNamespace
from typing import Any

import pytest

from portal_service import checkout
from portal_service.errors import ServiceError
from portal_service.stripe_api import CustomerMissing, StripeRefused, StripeUnavailable
from portal_service.subscription import Account

from .given import account, paused, row, row_of_the_original, settings, subscription

Json = dict[str, Any]
SESSION_ID = "checkout_session_id={CHECKOUT_SESSION_ID}"


class FakeServices:
    """An account, a Stripe account with customers and sessions, and all that was done, in order."""

    def __init__(self, held: Account, **changes: Any) -> None:
        self.settings = settings(**changes)
        self.database = self.stripe = self.mirror = self
        self.held = held
        self.customers = {"cus_1"}
        self.subscriptions: list[Json] = []
        self.sessions: list[Json] = []  # newest first
        self.paid_meanwhile: set[str] = set()
        self.done: list[tuple[str, Any]] = []
        self.keys: list[str] = []

    def account(self, clerk_user_id: str) -> Account:
        assert clerk_user_id == "user_ada"
        return self.held

    def link_customer(self, clerk_user_id: str, customer: str) -> None:
        self.done.append(("link", customer))

    def create_customer(self, metadata: Json, key: str) -> str:
        assert metadata == {"clerk_user_id": "user_ada"}
        self.keys.append(key)
        self.done.append(("customer", key))
        self.customers.add(customer := f"cus_new{len(self.keys)}")
        return customer

    def refresh_customer(self, customer: str, rows: Any) -> list[Json]:
        self._must_know(customer)
        self.done.append(("ask", customer))
        return self.subscriptions

    def newest_checkout_sessions(self, customer: str) -> list[Json]:
        self._must_know(customer)
        return [dict(session) for session in self.sessions if session["customer"] == customer]

    def create_checkout_session(self, params: Json, key: str) -> str:
        self._must_know(params["customer"])
        self.keys.append(key)
        self.done.append(("session", params))
        number = len(self.sessions)
        session = {"id": f"cs_{number}", "status": "open", "url": f"https://stripe/{number}"}
        self.sessions.insert(0, session | {n: params[n] for n in ("mode", "metadata", "customer")})
        return str(session["url"])

    def checkout_session(self, session_id: str) -> Json:
        return next(session for session in self.sessions if session["id"] == session_id)

    def expire_checkout_session(self, session_id: str) -> None:
        self.done.append(("expire", session_id))
        session = self.checkout_session(session_id)
        if session_id in self.paid_meanwhile:
            session["status"] = "complete"
        if session["status"] != "open":
            raise StripeRefused
        session["status"] = "expired"

    def _must_know(self, customer: str) -> None:
        if customer not in self.customers:
            raise CustomerMissing

    def buy(self, **fields: Any) -> str:
        return checkout.session_url(self, "user_ada", fields)  # type: ignore[arg-type]

    def sent(self, **fields: Any) -> Json:
        """The parameters of the one session that this made."""
        self.buy(**fields)
        (params,) = [what for step, what in self.done if step == "session"]
        return dict(params)

    @property
    def steps(self) -> list[str]:
        return [step for step, _ in self.done]


def refusal(services: FakeServices, **fields: Any) -> str:
    with pytest.raises(ServiceError) as refused:
        services.buy(**fields)
    return refused.value.code


@pytest.fixture
def known() -> FakeServices:
    """A user whose customer is known and who has not bought anything."""
    return FakeServices(account(linked_customer="cus_1"))


# What is sent


def test_a_session_has_the_plan_the_addresses_and_whose_it_is(known: FakeServices) -> None:
    sent = known.sent()
    fingerprint = sent["metadata"].pop("portal_service_fingerprint")
    assert len(fingerprint) <= 500
    assert sent == {
        "mode": "subscription",
        "customer": "cus_1",
        "line_items": [{"price": "price_basic", "quantity": 1}],
        "success_url": f"https://app.example.com/dashboard?{SESSION_ID}",
        "cancel_url": "https://app.example.com/dashboard",
        "client_reference_id": "user_ada",
        "metadata": {"clerk_user_id": "user_ada"},
        "subscription_data": {"metadata": {"clerk_user_id": "user_ada"}},
    }


def test_what_the_caller_wants_is_sent(known: FakeServices) -> None:
    sent = known.sent(plan="team", quantity=5, locale="pt_BR", return_path="/x?y=1#z")
    assert sent["line_items"] == [{"price": "price_team", "quantity": 5}]
    assert sent["locale"] == "pt-BR"
    assert sent["success_url"] == f"https://app.example.com/x?y=1&{SESSION_ID}#z"
    assert sent["cancel_url"] == "https://app.example.com/x?y=1#z"


def test_both_paths_can_be_configured() -> None:
    services = FakeServices(
        account(linked_customer="cus_1"),
        checkout_success_path="/welcome?a=1",
        checkout_cancel_path="/pricing",
    )
    sent = services.sent()
    assert sent["success_url"] == f"https://app.example.com/welcome?a=1&{SESSION_ID}"
    assert sent["cancel_url"] == "https://app.example.com/pricing"


def configured(**params: Any) -> FakeServices:
    return FakeServices(account(linked_customer="cus_1"), checkout_params=params)


def test_configured_parameters_are_merged_in_and_ours_win() -> None:
    sent = configured(
        allow_promotion_codes=True,
        locale="fr",
        metadata={"team": "a", "clerk_user_id": "user_eve"},
        subscription_data={"trial_period_days": 14, "metadata": {"clerk_user_id": "user_eve"}},
    ).sent(locale="de")
    assert sent["allow_promotion_codes"] is True
    assert sent["locale"] == "de"
    assert sent["metadata"]["team"] == "a"
    assert sent["metadata"]["clerk_user_id"] == "user_ada"
    assert sent["subscription_data"] == {
        "trial_period_days": 14,
        "metadata": {"clerk_user_id": "user_ada"},
    }


TAX, NO_TAX = {"automatic_tax": {"enabled": True}}, {"automatic_tax": {"enabled": False}}
TAX_IDS = {"tax_id_collection": {"enabled": True}}


@pytest.mark.parametrize(
    ("params", "update"),
    [
        ({}, None),
        (NO_TAX, None),
        (TAX, {"address": "auto"}),
        (TAX_IDS, {"name": "auto", "address": "auto"}),
        (TAX | TAX_IDS, {"name": "auto", "address": "auto"}),
        ({"customer_update": {"shipping": "auto"}}, {"shipping": "auto"}),
        (TAX | {"customer_update": {"shipping": "auto"}}, {"shipping": "auto", "address": "auto"}),
        (TAX | {"customer_update": {"address": "never"}}, {"address": "auto"}),
    ],
    ids=str,
)
def test_the_customer_may_be_updated_as_stripe_demands(params: Json, update: Json | None) -> None:
    assert configured(**params).sent().get("customer_update") == update


@pytest.mark.parametrize(
    "fields",
    [{"plan": "free"}, {"price": "price_x"}, {"quantity": 0}, {"return_path": "//evil.com"}],
)
def test_a_bad_wish_is_refused_before_anything_is_done(known: FakeServices, fields: Json) -> None:
    assert refusal(known, **fields) == "invalid_request"
    assert known.done == []


# 1. The table


@pytest.mark.parametrize(
    "live",
    [
        row(),
        row(status="trialing"),
        row(status="past_due"),
        row(status="unpaid"),
        row(status="paused", paused_reason="pause_requested"),
        row(status="paused", paused_reason="final_payment_failure"),
        row(status="a_status_of_2030"),
        row(price_id="price_x", product_id=None),
        row_of_the_original(),
    ],
    ids=lambda row: f"{row['status']} {row['paused_reason']} {row['price_id']}",
)
@pytest.mark.parametrize("beside", [[], [row(status="canceled", price_id="price_team")]])
def test_whoever_has_a_live_row_buys_no_second_one(live: Json, beside: list[Json]) -> None:
    services = FakeServices(account(*beside, live))
    assert refusal(services) == "already_subscribed"
    assert services.done == []


NOT_LIVE = [
    row(status="canceled"),
    row(status="incomplete"),
    row(status="incomplete_expired"),
    row(status="paused", paused_reason="trial_end_without_payment_method"),
    row(status="paused", paused_reason=None),
    row_of_the_original(stripe_subscription_id=None),
]


@pytest.mark.parametrize("ended", NOT_LIVE, ids=lambda row: f"{row['status']}")
def test_whoever_has_none_can_buy_with_the_customer_of_the_best_row(ended: Json) -> None:
    services = FakeServices(account(ended))
    assert services.sent()["customer"] == "cus_1"
    assert services.steps == ["ask", "session"]


# 2. The customer


def test_the_linked_customer_comes_before_that_of_a_row() -> None:
    services = FakeServices(
        account(row(status="canceled", stripe_customer_id="cus_0"), linked_customer="cus_1")
    )
    assert services.sent()["customer"] == "cus_1"


@pytest.mark.parametrize("user_id", ["7", None])
@pytest.mark.parametrize(("key", "mode"), [("sk_test_unit", "test"), ("sk_live_unit", "live")])
def test_a_customer_is_made_and_kept_before_going_on(
    user_id: str | None, key: str, mode: str
) -> None:
    services = FakeServices(account(user_id=user_id), stripe_secret_key=key)
    assert services.sent()["customer"] == "cus_new1"
    assert services.steps == ["customer", "link", "ask", "session"]
    assert f"{mode}-user_ada-none" in services.keys[0]
    twin = FakeServices(account(user_id=user_id), stripe_secret_key=key)
    twin.buy()
    assert twin.keys[0] == services.keys[0]


def test_a_customer_whom_stripe_lost_is_replaced_once() -> None:
    services = FakeServices(account(linked_customer="cus_lost"))
    assert services.sent()["customer"] == "cus_new1"
    assert services.steps == ["customer", "link", "ask", "session"]
    assert "cus_lost" in services.keys[0]


def test_a_customer_whom_stripe_loses_at_last_is_replaced_too(known: FakeServices) -> None:
    def lose(params: Json, key: str) -> str:
        del known.create_checkout_session  # type: ignore[attr-defined]
        known.customers.discard("cus_1")
        raise CustomerMissing

    known.create_checkout_session = lose  # type: ignore[method-assign]
    assert known.sent()["customer"] == "cus_new1"


def test_a_second_loss_is_not_replaced_again() -> None:
    services = FakeServices(account(linked_customer="cus_lost"))
    services._must_know = lambda customer: (_ for _ in ()).throw(CustomerMissing)  # type: ignore
    assert refusal(services) == "customer_not_found"
    assert services.steps == ["customer", "link"]


@pytest.mark.parametrize("replayed", [True, False])
def test_an_old_fault_that_stripe_kept_with_the_key_is_got_around_by_another_key(
    replayed: bool,
) -> None:
    services = FakeServices(account())

    def fail_once(metadata: Json, key: str) -> str:
        del services.create_customer  # type: ignore[attr-defined]
        services.keys.append(key)
        raise StripeUnavailable(replayed)

    services.create_customer = fail_once  # type: ignore[method-assign]
    if replayed:
        services.buy()
        assert services.keys[1].startswith(services.keys[0])
        assert services.keys[1] != services.keys[0]
    else:  # a new fault may have made the customer: the key finds it again
        assert refusal(services) == "stripe_unavailable"
        assert services.done == []


# 3. Stripe


@pytest.mark.parametrize(
    ("at_stripe", "refused"),
    [
        (subscription(), True),
        (subscription(status="past_due"), True),
        (subscription(**paused("pause_requested")), True),
        (subscription(status="canceled"), False),
        (subscription(status="incomplete"), False),
        (subscription(**paused("trial_end_without_payment_method")), False),
        (subscription(**paused(None)), False),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_live_subscription_that_only_stripe_knows_is_refused_too(
    known: FakeServices, at_stripe: Json, refused: bool
) -> None:
    known.subscriptions = [subscription(status="canceled"), at_stripe]
    if refused:
        assert refusal(known) == "already_subscribed"
        assert known.steps == ["ask"]
    else:
        known.buy()


# 4. The session


def test_an_open_session_for_the_very_same_is_given_back(known: FakeServices) -> None:
    first = known.buy(plan="pro")
    assert known.buy(plan="pro") == first
    assert known.steps.count("session") == 1


@pytest.mark.parametrize(
    "fields", [{"plan": "team"}, {"plan": "pro", "quantity": 2}, {"plan": "pro", "locale": "de"},
               {"plan": "pro", "return_path": "/x"}]
)  # fmt: skip
def test_another_wish_expires_the_open_session_first(known: FakeServices, fields: Json) -> None:
    first = known.buy(plan="pro")
    second = known.buy(**fields)
    assert second != first
    assert [session["status"] for session in known.sessions] == ["open", "expired"]
    assert known.steps[-2:] == ["expire", "session"]


def test_all_other_open_sessions_of_ours_are_expired(known: FakeServices) -> None:
    known.buy(plan="pro")
    ours = dict(known.sessions[0])
    foreign = {"metadata": {}, "mode": "subscription"}
    known.sessions += [
        ours | {"id": "cs_b", "metadata": {"clerk_user_id": "user_ada"}},
        ours | {"id": "cs_c", "status": "complete"},
        ours | {"id": "cs_d"} | foreign,
        ours | {"id": "cs_e", "mode": "payment"},
    ]
    known.done.clear()
    known.buy(plan="pro")
    assert known.done == [("ask", "cus_1"), ("expire", "cs_b")]


def test_a_session_that_was_paid_this_very_moment_is_a_subscription(known: FakeServices) -> None:
    known.buy(plan="pro")
    known.paid_meanwhile.add("cs_0")
    assert refusal(known, plan="team") == "already_subscribed"
    assert known.steps.count("session") == 1


def test_a_session_that_expired_this_very_moment_is_in_nobodys_way(known: FakeServices) -> None:
    known.buy(plan="pro")
    listed = known.newest_checkout_sessions("cus_1")
    known.newest_checkout_sessions = lambda customer: listed  # type: ignore[method-assign]
    known.sessions[0]["status"] = "expired"
    known.buy(plan="team")
    assert known.steps.count("session") == 2


def test_a_session_that_cannot_be_expired_is_not_doubled(known: FakeServices) -> None:
    def refuse(session_id: str) -> None:
        raise StripeRefused

    known.buy(plan="pro")
    known.expire_checkout_session = refuse  # type: ignore[method-assign]
    assert refusal(known, plan="team") == "stripe_refused"
    assert known.steps.count("session") == 1


# The idempotency key of a session


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(now=6000.0)
    monkeypatch.setattr(checkout, "time", SimpleNamespace(time=lambda: clock.now))
    return clock


def key_of(services: FakeServices, **fields: Any) -> str:
    services.buy(**fields)
    return services.keys[-1]


def fresh() -> FakeServices:
    return FakeServices(account(linked_customer="cus_1"))


def test_two_clicks_have_one_key(clock: SimpleNamespace) -> None:
    first = key_of(fresh())
    clock.now += 59
    assert key_of(fresh()) == first
    assert len(first) <= 255


def test_a_new_try_has_a_new_key(clock: SimpleNamespace) -> None:
    services = fresh()
    first = key_of(services)
    services.sessions[0]["status"] = "expired"
    assert key_of(services) != first
    clock.now += 60
    assert key_of(fresh()) != first


@pytest.mark.parametrize("fields", [{"plan": "pro"}, {"quantity": 2}, {"locale": "de"}])
def test_another_wish_has_another_key(clock: SimpleNamespace, fields: Json) -> None:
    assert key_of(fresh(), **fields) != key_of(fresh())
