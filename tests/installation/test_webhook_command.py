"""`portal webhook` makes the endpoint that our webhook needs, and never loses a secret."""

import stat
from pathlib import Path
from typing import Any

import pytest
from installation import Installation, Json
from service_under_test import OtherStripe

from portal_service import Settings, create_app
from portal_service.commands.env_file import EnvFile
from portal_service.events import USED_EVENTS
from portal_service.stripe_setup import API_VERSION, StripeSetup
from sandbox.stripe import OPERATOR_KEY, RESTRICTED_KEY, endpoints
from sandbox.web import Server

URL = "https://billing.example.com/api/stripe/webhook"


@pytest.fixture
def new(installation: Installation) -> Installation:
    """Nothing is set but an operator's key; the service's own may do nothing of this."""
    world = installation.world
    world.webhooks.url = None
    world.stripe.forbidden[RESTRICTED_KEY] = ["/v1/webhook_endpoints"]
    installation.environment = {
        "STRIPE_OPERATOR_KEY": OPERATOR_KEY,
        "STRIPE_API_BASE": world.stripe_url,
    }
    return installation


def there(installation: Installation) -> list[Json]:
    return list(installation.world.stripe.webhook_endpoints.values())


def put(installation: Installation, **changes: Any) -> str:
    stripe = installation.world.stripe
    made = endpoints.endpoint(stripe, f"we_{len(stripe.webhook_endpoints)}", URL, **changes)
    stripe.webhook_endpoints[made["id"]] = made
    return str(made["id"])


def test_it_makes_the_endpoint_and_says_the_secret_once(new: Installation) -> None:
    result = new.run("webhook", "https://billing.example.com/")
    assert result.exit_code == 0
    (made,) = there(new)
    assert (made["url"], made["api_version"]) == (URL, API_VERSION)
    assert set(made["enabled_events"]) == USED_EVENTS
    name, _, secret = result.stdout.strip().partition("=")
    assert (name, secret[:6]) == ("STRIPE_WEBHOOK_SECRET", "whsec_")
    assert secret not in result.stderr

    again = new.run("webhook", URL)
    assert (again.exit_code, len(there(new))) == (0, 1)
    assert "whsec_" not in again.output


def test_what_it_makes_is_what_check_wants(new: Installation, tmp_path: Path) -> None:
    full = new.world.environment("http://localhost:8000") | {"STRIPE_OPERATOR_KEY": OPERATOR_KEY}
    file = tmp_path / "secrets.env"
    with Server(create_app(Settings.from_environment(full))) as before:
        made_for = before.url  # an address of this machine, in test mode
    new.run("webhook", made_for, "--env-file", str(file))
    secret = EnvFile(file).get("STRIPE_WEBHOOK_SECRET")
    full["STRIPE_WEBHOOK_SECRET"] = secret or ""
    port = int(made_for.rpartition(":")[2])
    with Server(create_app(Settings.from_environment(full)), port):
        new.environment = full
        findings = new.check()
    assert {
        f["state"] for name in findings if name.startswith("webhook") for f in findings[name]
    } == {"green"}


def test_an_env_file_keeps_its_other_lines_and_is_its_owners(
    new: Installation, tmp_path: Path
) -> None:
    real, link = tmp_path / "real.env", tmp_path / ".env.link"
    real.write_text("A=1\nexport STRIPE_WEBHOOK_SECRET=whsec_old\n# B\nB=2")
    real.chmod(0o644)
    link.symlink_to(real)
    result = new.run("webhook", URL, "--env-file", str(link))
    assert (result.exit_code, result.stdout) == (0, "")
    first, secret, *rest = real.read_text().splitlines()
    assert (first, rest) == ("A=1", ["# B", "B=2"])
    assert secret.startswith("STRIPE_WEBHOOK_SECRET=whsec_made")
    assert "," not in secret
    assert stat.S_IMODE(real.stat().st_mode) == 0o600
    assert link.is_symlink()
    assert {path.name for path in tmp_path.iterdir()} == {"real.env", ".env.link"}


def test_a_file_that_can_not_be_written_makes_nothing(new: Installation, tmp_path: Path) -> None:
    result = new.run("webhook", URL, "--env-file", str(tmp_path / "nowhere" / ".env"))
    assert result.exit_code == 1
    assert "Nothing was changed" in result.stderr
    assert there(new) == []


@pytest.mark.parametrize("when", ["Stripe made it", "the secret is written"])
def test_ctrl_c_leaves_nothing_behind(
    new: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    file = tmp_path / ".env.new"
    file.write_text("A=1\n")
    make = StripeSetup.create_webhook_endpoint

    def interrupted(*args: Any) -> Any:
        if when == "Stripe made it":
            make(*args)
        raise KeyboardInterrupt

    target = (StripeSetup, "create_webhook_endpoint") if "made" in when else (EnvFile, "set")
    monkeypatch.setattr(*target, interrupted)
    result = new.run("webhook", URL, "--env-file", str(file))
    assert result.exit_code == 1
    assert (there(new), file.read_text()) == ([], "A=1\n")


def test_a_rotation_stands_beside_the_old_one_until_that_is_removed(
    new: Installation, tmp_path: Path
) -> None:
    old = put(new, api_version="2025-03-31.basil")
    file = tmp_path / ".env.live"
    file.write_text("STRIPE_WEBHOOK_SECRET='whsec_old'\n")

    told = new.run("webhook", URL)
    assert (told.exit_code, len(there(new))) == (1, 1)
    assert "--rotate" in told.stderr

    rotated = new.run("webhook", URL, "--rotate", "--env-file", str(file))
    assert rotated.exit_code == 0
    assert f"--remove {old}" in rotated.stderr
    made = there(new)[1]
    new_secret, kept = (EnvFile(file).get("STRIPE_WEBHOOK_SECRET") or "").split(",")
    assert (new_secret[:10], kept) == ("whsec_made", "whsec_old")
    assert new.run("webhook", URL, "--rotate").exit_code == 1
    assert len(there(new)) == 2

    assert new.run("webhook", URL, "--remove", old).exit_code == 0
    assert [one["id"] for one in there(new)] == [made["id"]]
    last = new.run("webhook", URL, "--remove", made["id"])
    assert (last.exit_code, len(there(new))) == (1, 1)
    assert "nothing would be delivered" in last.stderr
    assert new.run("webhook", URL, "--remove", "we_nowhere").exit_code == 1


def test_an_endpoint_gets_what_it_lacks_and_keeps_what_it_has(new: Installation) -> None:
    put(new, enabled_events=["invoice.paid"], status="disabled")
    assert new.run("webhook", URL).exit_code == 0
    (mended,) = there(new)
    assert set(mended["enabled_events"]) == USED_EVENTS | {"invoice.paid"}
    assert mended["status"] == "enabled"


def test_thin_makes_an_event_destination_instead(new: Installation, tmp_path: Path) -> None:
    destinations = new.world.stripe.event_destinations
    file = tmp_path / "thin.env"
    made = new.run("webhook", URL, "--thin", "--env-file", str(file))
    assert made.exit_code == 0, made.output
    (one,) = destinations.values()
    assert (one["event_payload"], one["webhook_endpoint"]["url"]) == ("thin", URL)
    assert set(one["enabled_events"]) == {f"v1.{name}" for name in USED_EVENTS}
    assert (EnvFile(file).get("STRIPE_WEBHOOK_SECRET") or "")[:10] == "whsec_thin"
    assert there(new) == []

    one |= {"enabled_events": ["v1.invoice.paid"], "status": "disabled"}
    assert new.run("webhook", URL, "--thin").exit_code == 0
    assert one["status"] == "enabled"
    assert len(one["enabled_events"]) == len(USED_EVENTS) + 1

    assert new.run("webhook", URL, "--thin", "--rotate").exit_code == 0
    assert new.run("webhook", URL, "--thin", "--remove", one["id"]).exit_code == 0
    assert one["id"] not in destinations
    assert len(destinations) == 1


@pytest.mark.parametrize(
    "address",
    ["http://billing.example.com", "ftp://x.example.com", "billing.example.com",
     "https://billing.example.com/elsewhere", f"{URL}?a=b", "https://a@billing.example.com"],
)  # fmt: skip
def test_an_address_that_will_not_do_is_refused(new: Installation, address: str) -> None:
    assert new.run("webhook", address).exit_code == 2
    assert there(new) == []


def test_http_is_for_test_mode_alone(new: Installation, live_stripe: OtherStripe) -> None:
    new.environment = {
        "STRIPE_OPERATOR_KEY": live_stripe.key, "STRIPE_API_BASE": live_stripe.url
    }  # fmt: skip
    assert new.run("webhook", "http://127.0.0.1:8000").exit_code == 2
    assert new.run("webhook", URL).exit_code == 0
    assert len(live_stripe.state.webhook_endpoints) == 1


def test_a_key_that_may_not_is_told_so(new: Installation) -> None:
    new.environment["STRIPE_OPERATOR_KEY"] = RESTRICTED_KEY
    result = new.run("webhook", URL)
    assert result.exit_code == 1
    assert "Webhook Endpoints: write" in result.stderr


def test_a_key_of_the_other_mode_is_refused(new: Installation) -> None:
    new.environment["STRIPE_SECRET_KEY"] = "rk_live_of_the_service"
    result = new.run("webhook", URL)
    assert (result.exit_code, there(new)) == (1, [])
    assert "other mode" in result.stderr
