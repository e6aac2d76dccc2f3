"""The picture of the sandbox, held to the code: no circle, and no vendor knows another."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Each folder from top to bottom; whatever is imported is in a lower layer, also for types alone.
LAYERS: dict[str, list[set[str]]] = {
    "sandbox": [
        {"example"},
        {"__main__"},
        {"control", "guest"},
        {"world"},
        {"clerk_frontend"},
        {"clerk_sessions"},
        {"clerk_users"},
        {"stripe", "supabase", "clerk", "clerk_webhooks", "postgres"},
        {"organizations"},
        {"command_line", "control_requests"},
        {"__init__", "connections", "faults", "service", "web"},
    ],
    "sandbox.stripe": [
        {"__main__"},
        {"api"},
        {"calls", "pages"},
        {"control", "portal_page", "resources", "store", "subscriptions"},
        {"schedules"},
        {"state"},
        {"expand", "portal", "portal_buttons"},
        {"checkout", "portal_flows"},
        {"checkout_rules", "endpoints", "products"},
        {"catalogue", "lists", "subscribing"},
        {"account"},
        {"initial_catalogue", "lifecycle", "page_words", "webhooks"},
        {"call_faults", "idempotency", "params", "portal_settings", "pricing"},
        {"__init__", "delivery", "errors", "shapes"},
    ],
    "sandbox.supabase": [
        {"__main__"},
        {"api"},
        {"rpc", "tables"},
        {"database", "rows"},
        {"negotiation", "tokens"},
        {"__init__", "answers"},
    ],
    "sandbox.postgres": [{"__init__"}, {"server"}, {"hosted", "programs"}],
}
# Who may import an outside library: modules of the folder `sandbox`, folders as one.
LIBRARIES = {
    "stripe": {"stripe"},
    "httpx": {"stripe"},
    "jwt": {"clerk", "supabase"},
    "cryptography": {"clerk"},
    "psycopg": {"connections", "postgres", "supabase", "world"},
    "flask_cors": {"guest", "supabase"},
}
# Values in, values out: no clock, no thread, no request.
PURE = ("errors", "initial_catalogue", "lifecycle", "portal_settings", "pricing", "shapes")


def files_of(package: str) -> dict[str, list[Path]]:
    """The modules of a package with their files; a package inside is one module."""
    found: dict[str, list[Path]] = {}
    folder = ROOT / package.replace(".", "/")
    for path in folder.rglob("*.py"):
        name = path.relative_to(folder).parts[0].removesuffix(".py")
        found.setdefault(name, []).append(path)
    return found


def imported(paths: list[Path]) -> Iterator[str]:
    """The dotted names that are imported anywhere in these files, `from a import b` as a.b."""
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(), str(path))):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, "no relative imports"
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def inner_imports(package: str, paths: list[Path]) -> set[str]:
    """The modules of the package that these files import."""
    names = files_of(package)
    found = set()
    for dotted in imported(paths):
        if dotted.startswith(f"{package}."):
            first = dotted.removeprefix(f"{package}.").partition(".")[0]
            found.add(first if first in names else "__init__")
    return found


@pytest.mark.parametrize("package", LAYERS)
def test_every_module_has_its_layer(package: str) -> None:
    named = [name for layer in LAYERS[package] for name in layer]
    assert sorted(named) == sorted(files_of(package))


@pytest.mark.parametrize("package", LAYERS)
def test_imports_point_down_only(package: str) -> None:
    layer = {name: place for place, names in enumerate(LAYERS[package]) for name in names}
    up = {
        f"{name} -> {other}"
        for name, paths in files_of(package).items()
        for other in inner_imports(package, paths) - {name}
        if layer[other] <= layer[name]
    }
    assert not up


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_library_is_known_where_it_belongs_alone(library: str) -> None:
    users = {
        name
        for name, paths in files_of("sandbox").items()
        if any(dotted.split(".")[0] == library for dotted in imported(paths))
    }
    assert users == LIBRARIES[library]


@pytest.mark.parametrize("name", PURE)
def test_the_rules_of_stripe_know_no_clock_thread_or_request(name: str) -> None:
    roots = {dotted.split(".")[0] for dotted in imported(files_of("sandbox.stripe")[name])}
    assert not roots & {"flask", "httpx", "socket", "threading", "time", "werkzeug"}
    above = {"account", "state"} & inner_imports("sandbox.stripe", files_of("sandbox.stripe")[name])
    assert not above


def test_the_service_is_never_imported_and_started_in_one_place() -> None:
    starts = set()
    for name, paths in files_of("sandbox").items():
        roots = {dotted.split(".")[0] for dotted in imported(paths)}
        assert not roots & {"portal_service", "wsgi", "tests", "pytest"}, name
        starts |= {name for path in paths if "wsgi:app" in path.read_text()}
    assert starts == {"service"}
