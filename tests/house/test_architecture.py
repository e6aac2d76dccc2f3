"""The picture of the house, held to the code: who may import whom, and who knows what."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "portal_service"

# From top to bottom. A module imports from lower layers only; those of the lowest one may import
# each other, without going in circles.
LAYERS: list[set[str]] = [
    {"__main__", "gunicorn_worker"},
    {"__init__"},
    {"billing", "webhook", "clerk_webhook", "health", "commands"},
    {"caller", "portal", "checkout", "refresh", "request_body", "leaving"},
    {"open_session", "moving"},
    {"readiness"},
    {"services"},
    {"mirror", "plans", "prices", "portal_choice", "sync_runs"},
    {"whose"},
    {"stripe_permissions", "stripe_setup"},
    {"supabase_db", "stripe_api", "clerk"},
    {"stripe_client"},
    {"sdk_transports"},
    {"transport"},
    {
        "subscription",
        "entitlement",
        "owner",
        "deliveries",
        "cors",
        "last_call",
        "tracing",
        "config",
        "config_values",
        "errors",
        "deadline",
        "observability",
        "log",
        "metrics",
        "routing",
        "events",
        "inputs",
        "single_flight",
        "once",
        "reports",
        "stripe_errors",
        "supabase_errors",
        "slots",
        "connection",
        "counters",
        "metrics_folder",
        "queue_time",
        "known_tokens",
        "error_reports",
    },
]
# Who may import an outside library: each vendor has its one module.
VENDORS = {
    "flask": {"__init__", "__main__", "billing", "caller", "clerk_webhook", "commands", "errors",
              "health", "observability", "request_body", "routing", "services", "webhook"},
    "werkzeug": {"__init__", "clerk_webhook", "errors", "request_body", "routing"},
    "standardwebhooks": {"clerk_webhook"},
    "dotenv": {"__main__"},
    "flask_cors": {"__init__"},
    "supabase": {"supabase_db"},
    "postgrest": {"supabase_db"},
    "httpx": {"supabase_db", "sdk_transports"},
    "httptools": {"connection", "transport"},
    "jwt": {"clerk"},
    # The mirror knows the release that is pinned, the settings the names of parameters, the
    # webhook how a signature is checked; only stripe_api calls Stripe.
    "stripe": {"stripe_client", "sdk_transports", "stripe_errors", "stripe_setup", "mirror",
               "config_values", "webhook"},
    "gunicorn": {"gunicorn_worker"},
    "sentry_sdk": {"error_reports"},
    "opentelemetry": {"tracing"},
    "prometheus_client": {"metrics", "metrics_folder", "health"},
}  # fmt: skip


@cache
def modules() -> dict[str, list[ast.Module]]:
    """The syntax of each module; a package inside is one module."""
    found: dict[str, list[ast.Module]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        found.setdefault(name, []).append(ast.parse(path.read_text(), str(path)))
    return found


def imported(tree: ast.AST) -> Iterator[str]:
    """The dotted names that are imported, `from a import b` as a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "no relative imports"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def inner_imports(name: str) -> set[str]:
    """The modules of the package that a module imports."""
    found = set()
    for tree in modules()[name]:
        for dotted in imported(tree):
            package, _, rest = dotted.partition(".")
            if package == "portal_service":
                first = rest.partition(".")[0]
                found.add(first if first in modules() else "__init__")
    return found - {name}


def layer(name: str) -> int:
    return next(number for number, names in enumerate(LAYERS) if name in names)


def test_every_module_has_its_layer() -> None:
    assert set(modules()) == set().union(*LAYERS)
    assert sum(map(len, LAYERS)) == len(modules())


@pytest.mark.parametrize("name", sorted(modules()))
def test_imports_point_down_only(name: str) -> None:
    lowest = len(LAYERS) - 1
    up = {
        other
        for other in inner_imports(name)
        if layer(other) <= layer(name) and not layer(other) == layer(name) == lowest
    }
    assert not up


def test_the_lowest_modules_do_not_import_in_circles() -> None:
    left = {name: inner_imports(name) for name in LAYERS[-1]}
    while free := [name for name, imports in left.items() if not imports & left.keys()]:
        for name in free:
            del left[name]
    assert not left


@pytest.mark.parametrize("library", sorted(VENDORS))
def test_a_library_is_known_where_it_belongs_alone(library: str) -> None:
    users = {
        name
        for name, trees in modules().items()
        if any(dotted.split(".")[0] == library for tree in trees for dotted in imported(tree))
    }
    assert users <= VENDORS[library]


@pytest.mark.parametrize(
    "name, known",
    [
        ("owner", {"config"}),
        ("subscription", {"config"}),
        ("entitlement", {"config", "subscription"}),
    ],
)
def test_the_domain_does_no_io_and_logs_nothing(name: str, known: set[str]) -> None:
    (tree,) = modules()[name]
    roots = {dotted.split(".")[0] for dotted in imported(tree)}
    assert roots <= {"collections", "dataclasses", "datetime", "re", "typing", "portal_service"}
    assert inner_imports(name) == known


def test_the_sandbox_and_the_tests_are_never_imported() -> None:
    for name, trees in modules().items():
        for tree in trees:
            for dotted in imported(tree):
                assert dotted.split(".")[0] not in ("sandbox", "tests", "pytest"), name


def at_import(tree: ast.AST) -> Iterator[ast.AST]:
    """What runs when a module is imported: everything but the bodies of functions."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from node.decorator_list
            yield from (d for d in (*node.args.defaults, *node.args.kw_defaults) if d)
        elif not isinstance(node, ast.Lambda):
            yield node
            yield from at_import(node)


def reads_environment(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv", "environb")


def test_nothing_reads_the_environment_at_import_and_few_read_it_at_all() -> None:
    readers = set()
    for name, trees in modules().items():
        for tree in trees:
            assert not any(map(reads_environment, at_import(tree))), name
            if any(map(reads_environment, ast.walk(tree))):
                readers.add(name)
    # The settings; where Gunicorn's workers count; the company's certificates.
    assert readers == {"config", "health", "metrics_folder", "transport"}


def test_the_package_can_be_imported_with_an_empty_environment() -> None:
    code = "import portal_service.__main__, portal_service.health"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env={}, check=True, timeout=60)


def test_a_modules_first_line_says_what_belongs_in_it() -> None:
    for name, trees in modules().items():
        for tree in trees:
            assert ast.get_docstring(tree) or not tree.body, name
