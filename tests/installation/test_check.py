"""`portal check`: each fault by its name where only that one thing is wrong, in time, no secret."""

import importlib
from datetime import datetime, timedelta, tzinfo
from typing import Any

import pytest
import requests
from installation import Installation
from seeds import SEEDS, Seed, seeded, thin_destination
from service_under_test import OtherStripe, edit_row, put_row
from watch import Watch

from portal_service import Settings, create_app
from portal_service.commands import check_service
from portal_service.events import CHECK_EVENT, USED_EVENTS
from portal_service.stripe_setup import signed_event
from sandbox.stripe import OPERATOR_KEY, RESTRICTED_KEY
from sandbox.web import Server
from sandbox.world import WEBHOOK_SECRET

check = importlib.import_module("portal_service.commands.check")
FORGED = "192.0.2.1"
# What follows from another fault, and is told beside it.
FOLLOWS = {
    "stripe_key": {"supabase", "clock", "webhook_endpoint", "webhook_secret", "prices", "products",
                   "portal_configuration", "stripe_account", "webhook_deliveries"},
    "permission_subscriptions": {"clock"},
    "clock": {"webhook_deliveries"},
}  # fmt: skip


def not_green(findings: dict[str, list[dict[str, str]]]) -> set[str]:
    return {name for name, found in findings.items() if any(f["state"] != "green" for f in found)}


def test_what_is_right_is_green(installation: Installation) -> None:
    findings = installation.check()
    assert not_green(findings) == set()
    assert {"settings", "supabase", "schema", "writes", "access", "stripe_key", "permissions",
            "webhook_endpoint", "webhook_secret", "trusted_hops", "prices", "products",
            "portal_configuration", "clerk_keys", "clerk_issuer", "clock", "past_due", "trial",
            } <= findings.keys()  # fmt: skip


@pytest.mark.parametrize("seed", SEEDS, ids=str)
def test_each_fault_is_found_by_its_name(installation: Installation, seed: Seed) -> None:
    with seeded(seed, installation):
        findings = installation.check()
    named = [finding for finding in findings.get(seed.name, []) if seed.found in finding["found"]]
    assert [finding["state"] for finding in named] == [seed.state], findings
    assert not_green(findings) <= {seed.name} | FOLLOWS.get(seed.name, set())


@pytest.mark.parametrize(
    ("proxies", "trusted"),
    [([], 0), (["passed on"], 0), (["replaced"], 1), (["appended to"], 1),
     (["appended to", "replaced"], 2), (["appended to", "appended to"], 2)],
)  # fmt: skip
def test_as_many_trusted_hops_as_proxies_are_right(
    installation: Installation, proxies: list[str], trusted: int
) -> None:
    installation.serve(*proxies, TRUSTED_PROXY_HOPS=str(trusted))
    assert not_green(installation.check()) == set()


@pytest.mark.parametrize(
    ("address", "forwarded_for", "state"),
    [("203.0.113.9", f"{FORGED}, 203.0.113.9", "green"), ("10.0.0.1", "203.0.113.9", "yellow"),
     (FORGED, f"{FORGED}, 203.0.113.9", "yellow"), ("127.0.0.1", "127.0.0.1", "yellow"),
     (None, "", "green")],
)  # fmt: skip
def test_an_app_around_ours_may_trust_its_proxies_itself(
    address: str | None, forwarded_for: str, state: str
) -> None:
    """By a ProxyFix of its own, of which our setting says nothing."""
    caller = {"address": address, "forwarded_for": forwarded_for, "trusted_proxy_hops": 0}
    assert check_service.trusted_hops("https://…", caller).state == state


def test_where_the_service_does_not_say_what_it_gets_hops_can_not_be_told(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portal_service.events.CHECK_EVENT", "of another release")
    findings = installation.check()
    assert not_green(findings) == {"trusted_hops"}
    assert "can't be told" in findings["trusted_hops"][0]["found"]


def test_a_firewall_that_refuses_forged_addresses_leaves_the_secret_green(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(request: dict[str, Any], start: Any) -> Any:
        if "HTTP_X_FORWARDED_FOR" in request:
            start("403 Forbidden", [("Content-Length", "0")])
            return [b""]
        return service(request, start)

    service = create_app(Settings.from_environment(installation.environment))
    with Server(refused) as firewall:
        installation.world.deliver_to(firewall.url)
        findings = installation.check()
    assert not_green(findings) == {"trusted_hops"}
    assert "answered 403" in findings["trusted_hops"][0]["found"]


@pytest.mark.parametrize(
    ("secret", "kind", "status"),
    [("whsec_of_another_endpoint", CHECK_EVENT, 400), (WEBHOOK_SECRET, "customer.created", 200),
     (WEBHOOK_SECRET, CHECK_EVENT, 200)],
)  # fmt: skip
def test_only_who_has_the_secret_and_asks_hears_of_the_proxies(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, secret: str, kind: str, status: int
) -> None:
    monkeypatch.setattr("portal_service.stripe_setup.CHECK_EVENT", kind)
    body, headers = signed_event(secret, livemode=False)
    answer = requests.post(installation.webhook_url, body, headers=headers, timeout=30)
    assert answer.status_code == status
    assert ("caller" in answer.json()) == (secret == WEBHOOK_SECRET and kind == CHECK_EVENT)


def test_there_are_seeds_of_every_check() -> None:
    """Of what can be red or yellow; `stripe_account` takes a live key."""
    checks = {one.name for one in check.CHECKS}
    families = {seed.name.partition("_")[0] for seed in SEEDS}
    assert {name for name in checks if name.partition("_")[0].rstrip("s") not in
            {family.rstrip("s") for family in families}} <= {"past_due"}  # fmt: skip


def test_nothing_is_changed(installation: Installation) -> None:
    world = installation.world
    before = [dict(vars(world.stripe)[name]) for name in ("customers", "sessions", "events")]
    installation.check()
    after = [dict(vars(world.stripe)[name]) for name in ("customers", "sessions", "events")]
    assert (before, world.rows()) == (after, [])
    changes = [call for call in world.stripe.calls if call["method"] != "GET"]
    assert {call["status"] for call in changes} <= {400, 404}


def test_offline_it_asks_nobody(installation: Installation) -> None:
    world = installation.world
    world.stripe.calls.clear()
    asked = world.clerk.jwks_requests
    installation.environment["SUPABASE_URL"] = "http://127.0.0.1:1"
    findings = installation.check("--offline")
    assert findings.keys() == {"settings", "modes", "app_url", "trial", "past_due"}
    assert (list(world.stripe.calls), world.clerk.jwks_requests) == ([], asked)


def test_an_operators_key_sees_what_the_services_may_not(installation: Installation) -> None:
    hidden = ["/v1/webhook_endpoints", "/v2/"]
    installation.world.stripe.forbidden[RESTRICTED_KEY] = hidden
    assert not_green(installation.check()) == {"webhook_endpoint"}
    assert not_green(installation.check("--operator-key", OPERATOR_KEY)) == set()
    installation.environment["STRIPE_OPERATOR_KEY"] = OPERATOR_KEY
    assert not_green(installation.check()) == set()


def test_in_live_mode_the_rows_tell_whose_account_it_is(
    installation: Installation, live_stripe: OtherStripe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a key that may do everything is told."""
    installation.environment |= {
        "STRIPE_SECRET_KEY": live_stripe.key, "STRIPE_API_BASE": live_stripe.url
    }  # fmt: skip
    installation.environment["APP_URL"] = "http://localhost:8000"
    put_row(installation.world, livemode=True)
    monkeypatch.setattr(live_stripe.state.webhooks, "url", installation.webhook_url)
    findings = installation.check()
    assert findings["stripe_account"][0]["state"] == "red"
    assert findings["stripe_key"][0]["state"] == "yellow"
    assert findings["webhook_endpoint"][0]["found"].endswith("is not https")
    assert findings["app_url"][0]["state"] == "red"

    edit_row(installation.world, "sub_row", livemode=False)
    assert installation.check()["stripe_account"][0]["state"] == "green"


def test_our_clock_is_held_to_both_vendors(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Late(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return datetime.now(tz) - timedelta(minutes=10)

    monkeypatch.setattr("portal_service.commands.check_clocks.datetime", Late)
    found = installation.check()["clock"]
    assert [finding["state"] for finding in found] == ["red", "red"]
    assert {"Stripe", "Supabase"} == {f["found"].split()[2].partition("'")[0] for f in found}


def test_a_thin_destination_will_do(installation: Installation) -> None:
    thin_destination(enabled_events=[f"v1.{name}" for name in USED_EVENTS])(installation)
    findings = installation.check("--url", installation.webhook_url)
    assert not_green(findings) == set()
    assert "thin" in findings["webhook_endpoint"][0]["found"]


def test_a_vendor_that_hangs_is_given_up_and_the_rest_is_told(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a check heeds no time-out, as a name that can't be resolved."""
    monkeypatch.setattr(check, "ALL_SECONDS", 1.0)
    installation.world.faults.update({"stripe": "hang"})
    findings = installation.check()
    assert findings["stripe_key"][0]["found"] == "No answer in time"
    assert findings["clerk_keys"][0]["state"] == "green"


def test_it_takes_no_longer_than_it_says() -> None:
    """With four seconds for Python's start and the app's."""
    assert check._EACH_SECONDS < check.ALL_SECONDS <= 15 - 4


def test_ctrl_c_ends_it_at_once(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(check, "_side_by_side", interrupted)
    result = installation.run("check")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "Aborted" in result.stderr


def test_people_see_what_is_wrong_first_with_its_cure(installation: Installation) -> None:
    installation.world.webhooks.url = None
    result = installation.run("check")
    first, cure, *_, last = result.stdout.splitlines()
    assert first.split()[:2] == ["red", "webhook_endpoint"]
    assert cure.strip().startswith("→ portal-service webhook https://")
    assert last == "1 red, 0 yellow, " + last.rpartition(", ")[2]


def test_no_secret_is_ever_shown(installation: Installation, nothing_leaks: Watch) -> None:
    environment = installation.environment
    nothing_leaks.keep_secrets_of(Settings.from_environment(environment))
    nothing_leaks.keep_secret(OPERATOR_KEY, "MarkedRedis", "metrics_of_ours")
    environment["METRICS_TOKEN"] = "metrics_of_ours"
    environment["RATE_LIMIT_STORAGE_URI"] = "redis://:MarkedRedis@127.0.0.1:1/0"
    environment["STRIPE_OPERATOR_KEY"] = OPERATOR_KEY
    environment["STRIPE_WEBHOOK_SECRET"] = WEBHOOK_SECRET
    installation.world.stripe.forbidden[RESTRICTED_KEY] = ["/v1/"]
    installation.world.stripe.forbidden[OPERATOR_KEY] = ["/v1/", "/v2/"]
    for words in (["check"], ["check", "--json"], ["check", "--offline"]):
        installation.run(*words)
    nothing_leaks.look_at("check", installation.printed)
