"""`portal configure` makes Stripe's portal what portal.toml says, and the service finds it."""

import importlib
from pathlib import Path

import pytest
from installation import Installation, Json
from service_under_test import MakeService, Service, known_subscription

from portal_service.portal_choice import PortalChoice
from sandbox.stripe import OPERATOR_KEY, RESTRICTED_KEY
from sandbox.world import PLANS

SMALL = """
[features.subscription_cancel]
enabled = true
mode = "immediately"
"""


@pytest.fixture
def new(installation: Installation) -> Installation:
    """Nothing is set but what it needs; the service's own key may not write this."""
    world = installation.world
    world.stripe.forbidden[RESTRICTED_KEY] = ["POST /v1/billing_portal/configurations"]
    installation.environment = {
        "STRIPE_OPERATOR_KEY": OPERATOR_KEY,
        "STRIPE_API_BASE": world.stripe_url,
        "STRIPE_PLANS": PLANS,
    }
    Path("portal.toml").write_text(SMALL)
    return installation


def ours(installation: Installation) -> list[Json]:
    known = installation.world.stripe.configurations.values()
    return [one for one in known if not one["is_default"]]


def writes(installation: Installation) -> list[str]:
    return [c["path"] for c in installation.world.stripe.calls if c["method"] == "POST"]


def test_the_example_makes_a_portal_that_offers_what_is_sold(new: Installation) -> None:
    Path("portal.toml").write_text(new.run("configure", "--example").stdout)
    assert new.run("configure", "--yes").exit_code == 0
    (made,) = ours(new)
    features = made["features"]
    assert features["subscription_cancel"]["mode"] == "at_period_end"
    products = features["subscription_update"]["products"]
    assert {p["product"]: p["prices"] for p in products} == {
        "prod_pro": ["price_pro", "price_pro_year"],
        "prod_team": ["price_team", "price_team_year"],
    }
    new.environment = new.world.environment("http://localhost:8000")
    new.world.stripe.configurations = {made["id"]: made}
    assert new.check()["portal_configuration"][0]["found"].startswith(made["id"])


def test_it_is_made_once_and_found_again(new: Installation) -> None:
    assert new.run("configure", "--yes").exit_code == 0
    again = new.run("configure")
    assert again.exit_code == 0
    assert "nothing to write" in again.stdout

    (made,) = ours(new)
    made["features"]["subscription_cancel"]["mode"] = "at_period_end"  # by hand
    Path("portal.toml").write_text(f'name = "Ours"\n{SMALL}')
    changed = new.run("configure", "--yes")
    assert 'features.subscription_cancel.mode: "at_period_end" → "immediately"' in changed.stdout
    assert 'name: nothing → "Ours"' in changed.stdout
    (after,) = ours(new)
    assert (after["id"], after["name"]) == (made["id"], "Ours")
    assert after["features"]["subscription_cancel"] == made["features"]["subscription_cancel"] | {
        "mode": "immediately"
    }


def test_machines_have_to_say_yes_and_people_are_asked(
    new: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert new.run("configure").exit_code == 1
    module = importlib.import_module("portal_service.commands.configure")
    monkeypatch.setattr(module, "_at_a_terminal", lambda: True)
    for typed, made in (("n\n", 0), ("", 0), ("y\n", 1)):
        result = new.run("configure", typed=typed)
        assert "mode: nothing →" in result.stdout
        assert (result.exit_code, len(ours(new))) == (1 - made, made)


def test_seats_go_to_each_product(new: Installation) -> None:
    Path("portal.toml").write_text(
        "[features.payment_method_update]\nenabled = true\n[features.subscription_update]\n"
        'enabled = true\ndefault_allowed_updates = ["quantity"]\nproducts = "STRIPE_PLANS"\n'
        "adjustable_quantity = { enabled = true, maximum = 9 }\n"
    )
    assert new.run("configure", "--yes").exit_code == 0
    (made,) = ours(new)
    products = made["features"]["subscription_update"]["products"]
    assert [p["adjustable_quantity"]["maximum"] for p in products] == [9, 9]
    assert "nothing to write" in new.run("configure").stdout


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SMALL.replace("mode", "mood"), "line 4: features.subscription_cancel.mood is unknown"),
        (SMALL.replace("immediately", "now"), "line 4: features.subscription_cancel.mode is one"),
        (SMALL.replace("true", '"yes"'), "line 3: features.subscription_cancel.enabled is true or"),
        (SMALL.replace("enabled = true", ""), "line 2: features.subscription_cancel.enabled"),
        ('name = "x"\n[feature]\n', "line 2: feature is unknown"),
        (f"{SMALL}[metadata]\na = '1'\n", "line 5: metadata is unknown"),
        (f"api_key = 'x'\n{SMALL}", "line 1: api_key is unknown"),
        ("name = x", "(at line 1, column 8)"),
        (f"{SMALL}[features.subscription_update]\nenabled = true\nproducts = ['prod_x']\n",
         'line 7: features.subscription_update.products is "STRIPE_PLANS"'),
        (f"{SMALL}[features.subscription_update]\nenabled = true\nadjustable_quantity = 3\n",
         "line 7: features.subscription_update.adjustable_quantity is a table"),
    ],
)  # fmt: skip
def test_what_stripe_does_not_know_is_named_with_its_line(
    new: Installation, text: str, said: str
) -> None:
    Path("portal.toml").write_text(text)
    result = new.run("configure", "--yes")
    assert result.exit_code == 1
    assert said in result.stderr
    assert (ours(new), writes(new)) == ([], [])


def test_a_price_that_is_not_there_is_named_and_nothing_written(new: Installation) -> None:
    new.environment["STRIPE_PLANS"] = "pro=price_pro,price_nowhere"
    Path("portal.toml").write_text(new.run("configure", "--example").stdout)
    result = new.run("configure", "--yes")
    assert result.exit_code == 1
    assert "price_nowhere of STRIPE_PLANS does not exist" in result.stderr
    assert (ours(new), writes(new)) == ([], [])


def test_what_stripe_refuses_is_said(new: Installation) -> None:
    """As switching plans without a payment method."""
    Path("portal.toml").write_text(
        '[features.subscription_update]\nenabled = true\nproducts = "STRIPE_PLANS"\n'
        'default_allowed_updates = ["price"]\n'
    )
    result = new.run("configure", "--yes")
    assert (result.exit_code, ours(new)) == (1, [])
    assert "stripe_refused" in result.stderr


def test_a_file_that_is_not_there_and_a_key_that_may_not(new: Installation) -> None:
    missing = new.run("configure", "--file", "nowhere.toml")
    assert (missing.exit_code, "--example" in missing.stderr) == (1, True)
    new.environment["STRIPE_OPERATOR_KEY"] = RESTRICTED_KEY
    refused = new.run("configure", "--yes")
    assert (refused.exit_code, "Customer portal: write" in refused.stderr) == (1, True)


def test_several_that_carry_our_mark_are_named(new: Installation) -> None:
    new.run("configure", "--yes")
    (made,) = ours(new)
    new.world.stripe.configurations["bpc_2"] = made | {"id": "bpc_2"}
    result = new.run("configure", "--yes")
    assert result.exit_code == 1
    assert "bpc_2" in result.stderr


def opened_with(service: Service) -> str:
    assert service.portal().status_code == 200
    return str([*service.world.stripe.portal_sessions.values()][-1]["configuration"])


def test_the_service_finds_it_by_itself(new: Installation, service: Service) -> None:
    choice: PortalChoice = service.app.extensions["portal_service"].portal_choice
    (default,) = new.world.stripe.configurations
    new.run("configure", "--yes")
    (made,) = ours(new)
    known_subscription(service)
    assert opened_with(service) == default
    choice.look()
    assert opened_with(service) == made["id"]

    new.world.faults.update({"stripe": "error"})
    choice.look()
    new.world.faults.reset()
    assert opened_with(service) == made["id"]
    made["active"] = False
    choice.look()
    assert opened_with(service) == default


def test_it_looks_in_the_background_and_again_after_a_while(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    choice: PortalChoice = service.app.extensions["portal_service"].portal_choice
    begun: list[str] = []
    monkeypatch.setattr(PortalChoice, "_begin", lambda self: begun.append("look"))
    for _ in range(3):
        choice.known()
    assert begun == ["look"]
    monkeypatch.setattr(choice, "_due_at", 0.0)
    choice.known()
    assert begun == ["look"] * 2


def test_the_variable_wins(new: Installation, make_service: MakeService, service: Service) -> None:
    (default,) = new.world.stripe.configurations
    new.run("configure", "--yes")
    named = make_service(portal_configuration=default)
    named.app.extensions["portal_service"].portal_choice.look()
    known_subscription(named)
    assert opened_with(named) == default
    new.environment["STRIPE_PORTAL_CONFIGURATION"] = default
    assert "wins over it" in new.run("configure").stderr
