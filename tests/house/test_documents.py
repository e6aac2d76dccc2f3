"""The pages for people and for coding assistants: links lead somewhere, names exist, maps
are whole.
"""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from portal_service import Settings
from portal_service.__main__ import main

ROOT = Path(__file__).parents[2]
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text()
    for path in sorted([
        *ROOT.glob("*.md"), ROOT / "llms.txt", *ROOT.glob("docs/*.md"), *ROOT.glob("bench/*.md"),
        *ROOT.glob("tests/**/README.md"), ROOT / "frontend" / "README.md",
        *ROOT.glob("examples/*/README.md"),
    ])
}  # fmt: skip
MODULES = [path.name for path in (ROOT / "portal_service").glob("*.py")] + [
    f"{path.parent.name}/" for path in (ROOT / "portal_service").glob("*/__init__.py")
]
SETTINGS = {name for field in fields(Settings) for name in field.metadata["names"]}
GUNICORNS = {"PORT", "WEB_CONCURRENCY", "THREADS"}
# Variables of other programs, and of make, Docker's build and the sandbox.
OTHERS = {
    "BENCH", "BENCH_PYTHON", "CHAOS", "CHROMIUM", "DATABASE_URL", "DATE", "ON_ERROR_STOP",
    "PYTHON", "PYTHON_IMAGE", "REQUIREMENTS", "SANDBOX", "SANDBOX_APP_URL", "SANDBOX_DATA",
    "SANDBOX_PORT", "SANDBOX_SERVICE", "SERVICE", "STRIPE_LOG", "STRIPE_OPERATOR_KEY", "VENV",
    "DOMAIN", "GRAFANA_PASSWORD", "GUNICORN_CMD_ARGS", "HTTPS_PROXY",
    "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST", "OTEL_LOGS_EXPORTER",
    "OTEL_METRICS_EXPORTER", "OTEL_PYTHON_EXCLUDED_URLS", "OTEL_SEMCONV_STABILITY_OPT_IN",
    "OTEL_SERVICE_NAME", "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG",
    "BILLING_URL", "CLERK_JWT_KEY", "EXAMPLE", "NEXT_PUBLIC_BILLING_URL",  # of the Next.js example
    "NEXT_PUBLIC_CLERK_JS_URL", "NEXT_PUBLIC_CLERK_PROXY_URL", "NEXT_PUBLIC_CLERK_SIGN_IN_URL",
}  # fmt: skip


def outside_of_code(text: str) -> str:
    """Without what stands between fences, which is no Markdown."""
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(text: str) -> set[str]:
    """As GitHub makes them of headings."""
    titles = re.findall(r"^#+ (.+)$", outside_of_code(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def table(text: str, heading: str) -> str:
    return text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", outside_of_code(PAGES[page])):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), link
        assert target.resolve().is_relative_to(ROOT), link
        assert not anchor or anchor in anchors(target.read_text()), link


def test_the_index_has_every_page() -> None:
    linked = set(re.findall(r"\]\(([^)#]+)\)", PAGES["docs/README.md"]))
    pages = {Path(page).name for page in PAGES if page.startswith("docs/")} - {"README.md"}
    assert pages <= linked


@pytest.mark.parametrize(("page", "lines"), [("README.md", 110), ("CONTRIBUTING.md", 60)])
def test_the_first_pages_stay_short(page: str, lines: int) -> None:
    assert len(PAGES[page].splitlines()) <= lines


@pytest.mark.parametrize("page", [page for page in PAGES if page != "CHANGELOG.md"])
def test_every_variable_that_is_named_exists(page: str) -> None:
    named = set(re.findall(r"(?<![\w…])([A-Z][A-Z_]{3,})=", PAGES[page]))
    named |= set(re.findall(r"`([A-Z]+_[A-Z_]*[A-Z])`", PAGES[page]))
    assert named <= SETTINGS | GUNICORNS | OTHERS


def test_every_setting_is_explained_and_nothing_else() -> None:
    text = (ROOT / ".env.example").read_text()
    assigned = re.findall(r"^#?([A-Z_]+)=", text, re.MULTILINE)
    assert len(assigned) == len(set(assigned))
    assert set(assigned) <= SETTINGS | GUNICORNS
    assert {f.metadata["names"][0] for f in fields(Settings)} | GUNICORNS <= set(assigned)
    explained = set(re.findall(r"[A-Z][A-Z_]+", text))
    assert {name for name in SETTINGS if not name.startswith("NEXT_PUBLIC_")} <= explained


@pytest.mark.parametrize("page", [page for page in PAGES if page != "CHANGELOG.md"])
def test_every_command_and_target_that_is_named_exists(page: str) -> None:
    for command in re.findall(r"portal-service ([a-z]+)", PAGES[page]):
        assert command in main.commands
    makefile = (ROOT / "Makefile").read_text()
    named = re.findall(r"(?:`|^\$ )make ((?:[a-z0-9-]+ ?)+)", PAGES[page], re.MULTILINE)
    for target in " ".join(named).split():
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def first_cells(text: str) -> list[str]:
    """What is between backticks in the first column of a table."""
    cells = re.findall(r"^\| ([^|]*) \|", text, re.MULTILINE)
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def test_the_map_of_the_modules_is_whole() -> None:
    named = first_cells(table(PAGES["docs/architecture.md"], "Each module"))
    assert sorted(named) == sorted(["portal_service/", *MODULES])


def test_the_map_of_the_folders_is_whole_and_names_what_exists() -> None:
    named = first_cells(table(PAGES["README.md"], "Where things are"))
    for name in named:
        places = (ROOT, ROOT / "portal_service")
        assert any(list(place.glob(name.rstrip("/"))) for place in places), name
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and path.name[0] not in "._"}
    assert folders - {"dist"} <= {name.partition("/")[0] for name in named}
