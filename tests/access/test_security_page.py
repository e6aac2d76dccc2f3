"""docs/security.md says of permissions, secrets and logs what the code does."""

import ast
import re
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from portal_service import Settings
from portal_service.errors import ERRORS
from portal_service.stripe_permissions import PERMISSIONS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()
READS = {"retrieve", "list"}


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def rows(title: str) -> list[list[str]]:
    """The cells of a section's table, without its head."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


# The modules that call Stripe, each with the section that lists what it calls. Those of
# stripe_permissions ask for nothing that the service's key may not do anyway.
CALLERS = {
    "stripe_api.py": "A restricted Stripe key",
    "stripe_setup.py": "An operator's Stripe key",
    "stripe_permissions.py": None,
}


def calls_of_stripe(module: str) -> set[str]:
    """Every `….v1.<resource>.<method>(…)` of a module, and those of Stripe's second API."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / "portal_service" / module).read_text())):
        if isinstance(node, ast.Call):
            call = re.fullmatch(r"\w+\.v[12]\.([\w.]+)", ast.unparse(node.func))
            found |= {call[1]} if call else set()
    return found


def test_few_modules_call_stripe() -> None:
    modules = {p.relative_to(ROOT / "portal_service") for p in ROOT.glob("portal_service/**/*.py")}
    # The requests of sdk_transports are those that go out.
    calling = {str(m) for m in modules - {Path("sdk_transports.py")} if calls_of_stripe(str(m))}
    assert calling == CALLERS.keys()


@pytest.mark.parametrize("module", [module for module, title in CALLERS.items() if title])
def test_a_key_may_do_what_is_asked_for_and_nothing_else(module: str) -> None:
    table = rows(CALLERS[module] or "")
    listed = [call for _, _, calls, _ in table for call in re.findall(r"`([\w.]+)`", calls)]
    assert sorted(listed) == sorted(calls_of_stripe(module))
    for _, permission, calls, _ in table:
        methods = {call.rpartition(".")[2] for call in re.findall(r"`([\w.]+)`", calls)}
        assert permission.split()[0] == ("read" if methods <= READS else "write")


def test_check_asks_for_each_permission_of_the_services_key() -> None:
    listed = {(row[0], row[1]) for row in rows("A restricted Stripe key")}
    assert set(PERMISSIONS) == listed


@pytest.mark.parametrize("field", [f for f in fields(Settings) if not f.repr], ids=lambda f: f.name)
def test_every_secret_can_be_rotated(field: object) -> None:
    variables = " ".join(row[1] for row in rows("Rotating secrets without downtime"))
    for name in field.metadata["names"]:  # type: ignore[attr-defined]
        assert f"`{name}`" in variables


def test_every_variable_that_is_named_exists() -> None:
    gunicorns = {"WEB_CONCURRENCY"}
    known = {name for f in fields(Settings) for name in f.metadata["names"]} | gunicorns
    named = set(re.findall(r"`([A-Z][A-Z_]{4,})(?:=[^`]*)?`", PAGE))
    assert named - known == {"STRIPE_LOG", "DEBUG", "STRIPE_OPERATOR_KEY"}


def test_every_number_is_the_codes() -> None:
    from portal_service import clerk, errors, plans, readiness, webhook

    assert plans.KEPT_SECONDS == 60 and "once in 60 s and process" in PAGE
    assert errors.RETRY_AFTER_SECONDS == 5 and "once in 5 s as long as it never said" in PAGE
    assert readiness.LOOK_EVERY_SECONDS == 5 and "looked up every 5 s" in PAGE
    assert clerk._COOLDOWN_SECONDS == 30 and "once in 30 s" in PAGE
    assert clerk._LIFESPAN_SECONDS == 300 and "after 300 s at the latest" in PAGE
    assert clerk.LEEWAY_SECONDS == 5 and "5 s of leeway" in PAGE
    assert webhook.TOLERANCE_SECONDS == 300 and "at most 300 s old or ahead" in PAGE
    assert next(f for f in fields(Settings) if f.name == "trusted_proxy_hops").default == 0
    assert next(f for f in fields(Settings) if f.name == "metrics_token").default is not MISSING


def test_every_code_path_and_file_that_is_named_exists() -> None:
    for code in ("internal_error",):
        assert code in ERRORS
    for path in re.findall(r"`((?:tests|docs|portal_service)/[\w./]*)`", PAGE):
        assert (ROOT / path).exists(), path
    makefile = (ROOT / "Makefile").read_text()
    for target in " ".join(re.findall(r"`make ([a-z ]+)`", PAGE)).split():
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_nothing_decides_by_the_address_of_a_caller_or_by_host() -> None:
    looked_at = set()
    for path in (ROOT / "portal_service").rglob("*.py"):
        if path.name == "sdk_transports.py":
            continue  # its requests are those that go out
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "request":
                looked_at.add((path.name, node.attr))
    addresses = {"remote_addr", "access_route", "host", "host_url", "url", "base_url", "root_url",
                 "scheme", "is_secure"}  # fmt: skip
    # Told to `portal check`, which has the webhook's secret.
    assert {one for one in looked_at if one[1] in addresses} == {("webhook.py", "remote_addr")}
