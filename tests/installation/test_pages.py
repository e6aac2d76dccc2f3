"""The pages for operators, followed literally: their commands, with nothing replaced but addresses,
keys and ids.
"""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from dotenv import dotenv_values
from installation import Installation
from service_under_test import APP_URL

from portal_service import Settings, create_app
from portal_service.stripe_setup import API_VERSION
from sandbox.stripe import OPERATOR_KEY, endpoints
from sandbox.web import Server

ROOT = Path(__file__).parents[2]
BILLING = "https://billing.example.com"
# A new terminal, in which the command is installed and Supabase's is not.
TERMINAL = f"""\
set -eo pipefail
shopt -s expand_aliases
alias portal-service='"{sys.executable}" -m portal_service'
alias flask='"{sys.executable}" -m flask'
supabase() {{ echo "$@" >>supabase.log; }}
"""


@dataclass
class Page:
    """A page of docs/, its blocks and what is filled in before they are run."""

    name: str
    filled_in: Mapping[str, str]

    def section(self, heading: str) -> str:
        text = (ROOT / "docs" / self.name).read_text()
        found = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
        assert found, heading
        return found

    def blocks(self, heading: str, language: str = "console") -> list[str]:
        """Those of a section, with commands as a shell takes them."""
        found = re.findall(
            rf"^( *)```{language}\n(.*?)^ *```$", self.section(heading), re.MULTILINE | re.DOTALL
        )
        lines = [
            re.sub(rf"^{indent}(?:\$ )?", "", text, flags=re.MULTILINE) for indent, text in found
        ]
        return [self._filled_in(block) for block in lines]

    def _filled_in(self, block: str) -> str:
        for old, new in self.filled_in.items():
            block = block.replace(old, new)
        assert "…" not in block, block
        return block


def run(script: str, folder: Path, **variables: str) -> str:
    """What it prints, at a terminal where every question is answered with yes; fails unless every
    command of it ends well.
    """
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **variables}
    keyboard, terminal = os.openpty()
    os.write(keyboard, b"y\n" * 9)
    try:
        done = subprocess.run(
            ["bash", "-c", TERMINAL + script], cwd=folder, env=environment, stdin=terminal,
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    finally:
        os.close(terminal)
        os.close(keyboard)
    assert done.returncode == 0, (script, done.stdout, done.stderr)
    return done.stdout + done.stderr


def write_env(folder: Path, values: Mapping[str, str]) -> None:
    (folder / ".env").write_text("".join(f"{name}='{value}'\n" for name, value in values.items()))


def fill_in_env(folder: Path, values: Mapping[str, str]) -> None:
    """A copy of .env.example as somebody fills it in who has no webhook secret yet."""
    text = (ROOT / ".env.example").read_text()
    for name, value in values.items():
        if name != "STRIPE_WEBHOOK_SECRET":
            text, found = re.subn(rf"^#?{name}=.*$", f"{name}={value}", text, flags=re.MULTILINE)
            assert found, name
    (folder / ".env").write_text(text)


def supabase_init(project: Path) -> None:
    """A project as Supabase's CLI begins one."""
    (project / "supabase").mkdir(parents=True)
    (project / "supabase" / "config.toml").write_text("")


def free_address() -> str:
    with Server(lambda request, start: []) as server:
        return server.url


def served(folder: Path, url: str) -> Server:
    """The service, with the .env of the folder, at this address."""
    environment = {name: value or "" for name, value in dotenv_values(folder / ".env").items()}
    app = create_app(Settings.from_environment(environment))
    return Server(app, int(url.rpartition(":")[2]))


def test_getting_started_ends_with_a_green_check(
    installation: Installation, tmp_path: Path
) -> None:
    world, url = installation.world, free_address()
    world.webhooks.url = None
    world.stripe.configurations.clear()
    fill_in_env(tmp_path, world.environment(APP_URL))
    project = tmp_path / "your-project"
    supabase_init(project)
    nobodys = world.stripe.create_subscription(None, "price_pro")
    page = Page("setup.md", {BILLING: url, "rk_test_…": OPERATOR_KEY, "user_…": "user_ada",
                             "cus_…": nobodys["customer"]})  # fmt: skip

    run("\n".join(page.blocks("1. Supabase")), tmp_path)
    assert len(list((project / "supabase" / "migrations").iterdir())) == 2
    assert (project / "supabase.log").read_text() == "db push\n"

    (commands,) = page.blocks("3. Stripe")
    run(commands, tmp_path)
    (made,) = world.stripe.webhook_endpoints.values()
    assert made["url"].startswith(url)
    assert len(world.stripe.configurations) == 1

    serve, check, _ = page.blocks("4. The service")
    assert serve == "portal-service serve\n"  # as the wheel's tests run it
    with served(tmp_path, url):
        found = run(check, tmp_path, STRIPE_OPERATOR_KEY=OPERATOR_KEY)
    assert "\n0 red, 0 yellow, " in found

    dry_run, *others = page.blocks("5. Before you switch over")[0].splitlines()
    with pytest.raises(AssertionError, match=nobodys["id"]):  # exit code 1: something differs
        run(dry_run, tmp_path)
    found = run("\n".join(others), tmp_path)
    assert [row["clerk_owner_id"] for row in world.rows()] == ["user_ada"]
    assert "belongs to nobody" not in found


def test_after_an_upgrade_of_stripes_sdk_the_endpoint_is_rotated(
    installation: Installation, tmp_path: Path
) -> None:
    stripe, url = installation.world.stripe, installation.service_url
    stripe.webhooks.url = None
    old = endpoints.endpoint(stripe, "we_old", installation.webhook_url, api_version="2025-03-31")
    stripe.webhook_endpoints["we_old"] = old
    write_env(tmp_path, installation.environment)
    page = Page("upgrading.md", {BILLING: url, "we_…": "we_old"})
    rotate, remove = page.blocks("Stripe's SDK")

    run(rotate, tmp_path, STRIPE_OPERATOR_KEY=OPERATOR_KEY)
    assert (dotenv_values(tmp_path / ".env")["STRIPE_WEBHOOK_SECRET"] or "").count(",") == 1
    run(remove, tmp_path, STRIPE_OPERATOR_KEY=OPERATOR_KEY)
    (left,) = stripe.webhook_endpoints.values()
    assert left["api_version"] == API_VERSION


def test_an_app_of_ones_own_answers_and_has_the_commands(
    installation: Installation, tmp_path: Path
) -> None:
    page = Page("flask-app.md", {})
    (code,) = page.blocks("1. Install and register", "python")
    (tmp_path / "app.py").write_text(code)
    write_env(tmp_path, installation.environment)
    supabase_init(tmp_path)
    (commands,) = page.blocks("2. Look, and run")
    offline, migrate, serve, check = commands.splitlines()
    assert "run" in serve  # which would not end
    assert "red" in run(f"{offline}\n{migrate}\n{check}", tmp_path)
    asked = "from app import app; print(app.test_client().get('/api/stripe/subscription').json)"
    script = f'set -a; . ./.env; set +a\n"{sys.executable}" -c "{asked}"'
    assert "'code': 'unauthorized'" in run(script, tmp_path)
