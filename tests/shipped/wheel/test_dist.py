"""What can be installed: the wheel and the sdist, and the service from the wheel alone."""

import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from email import message_from_bytes
from pathlib import Path

import pytest
from built import DIST, ROOT, build
from packaging.metadata import Metadata
from started import StartedSandbox

from portal_service import __version__
from portal_service.commands import NAMES
from sandbox.world import World

PACKAGE = ROOT / "portal_service"
BESIDE = {"gunicorn.conf.py": ROOT / "gunicorn.conf.py"} | {
    f"migrations/{path.name}": path for path in (ROOT / "supabase" / "migrations").iterdir()
}
REQUIRED = [
    "APP_URL",
    "CLERK_ISSUER",
    "STRIPE_PLANS",
    "STRIPE_SECRET_KEY",
    "STRIPE_WEBHOOK_SECRET",
    "SUPABASE_SERVICE_ROLE_KEY",
    "SUPABASE_URL",
]
NEED_SETTINGS = [["serve"], ["sync"], ["replay"], ["link", "user_x", "cus_x"]]
ADDRESS = re.compile(r"\w+://[^\s\"]+")  # of a registry, of a file of this machine

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def command(python: Path, tmp_path: Path) -> Command:
    """`portal-service …` in an empty folder, told of nothing but these variables."""

    def command(*arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [str(python.with_name("portal-service")), *arguments],
            cwd=tmp_path,
            env={"PATH": os.defpath} | environ,
            capture_output=True,
            text=True,
            timeout=120,
        )

    return command


# What is in them


def test_the_wheel_is_the_package_and_what_ships_beside_it(wheel: Path) -> None:
    expected = {
        path.relative_to(PACKAGE).as_posix(): path
        for path in PACKAGE.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    } | BESIDE
    with zipfile.ZipFile(wheel) as file:
        found = {
            name.partition("/")[2]: file.read(name)
            for name in file.namelist()
            if name.startswith("portal_service/")
        }
        others = {name.partition("/")[0] for name in file.namelist()} - {"portal_service"}
    assert {"py.typed", "openapi.json"} <= found.keys()
    assert found == {name: path.read_bytes() for name, path in expected.items()}
    assert others == {f"portal_service-{__version__}.dist-info"}


def test_the_checkout_gives_the_same_wheel_byte_for_byte(wheel: Path, tmp_path: Path) -> None:
    """So the sdist, which it was built from, lacks nothing, and a build can be repeated."""
    build("--wheel", "--outdir", str(tmp_path))
    assert (tmp_path / wheel.name).read_bytes() == wheel.read_bytes()


def test_the_sdist_holds_no_secrets_tests_or_sandbox(wheel: Path) -> None:
    (sdist,) = DIST.glob("*.tar.gz")
    with tarfile.open(sdist) as file:
        names = {name.partition("/")[2] for name in file.getnames()}
    assert {"LICENSE", "README.md", "CHANGELOG.md", ".env.example", "llms.txt"} <= names
    assert {".env", "tests", "sandbox"}.isdisjoint(name.partition("/")[0] for name in names)


def test_the_metadata_is_valid_and_names_no_address(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as file:
        text = file.read(f"portal_service-{__version__}.dist-info/METADATA")
    about = Metadata.from_email(text, validate=True)
    assert (about.name, str(about.version)) == ("portal-service", __version__)
    assert str(about.requires_python) == ">=3.11"
    assert about.license_expression == "MIT"
    assert about.provides_extra == ["redis", "sentry"]
    headers = "\n".join(f"{name}: {value}" for name, value in message_from_bytes(text).items())
    assert not ADDRESS.search(headers)


# The command, in an empty folder


@pytest.mark.parametrize("name", ["", "serve", *NAMES])
def test_each_command_has_its_help(command: Command, name: str) -> None:
    said = command(*([name] if name else []), "--help")
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.startswith(f"Usage: portal-service {name}".rstrip())
    if not name:
        assert all(f"\n  {other} " in said.stdout for other in NAMES)


def test_it_says_its_version(command: Command) -> None:
    assert command("--version").stdout == f"portal-service {__version__}\n"


def test_sentry_without_its_extra_ends_the_start_and_names_it(command: Command) -> None:
    said = command("serve", SENTRY_DSN="https://key@sentry.example/1")
    assert said.returncode == 1
    assert "SENTRY_DSN is wrong: it needs the extra sentry" in said.stdout + said.stderr


def test_as_a_module_it_is_the_same_command(python: Path, tmp_path: Path) -> None:
    said = subprocess.run(
        [python, "-m", "portal_service", "--version"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert said.stdout == f"portal-service {__version__}\n"


@pytest.mark.parametrize("arguments", NEED_SETTINGS, ids=lambda arguments: arguments[0])
def test_without_settings_it_names_each_and_ends(command: Command, arguments: list[str]) -> None:
    said = command(*arguments, PORT="0")
    assert (said.returncode, said.stdout) == (1, "")
    missing = re.findall(r"^  ([A-Z_]+)(?: or [A-Z_]+)? is missing: ", said.stderr, re.MULTILINE)
    assert sorted(missing) == REQUIRED
    assert "Traceback" not in said.stderr


def test_migrate_writes_what_a_checkout_writes(command: Command, tmp_path: Path) -> None:
    for name in ("by-wheel", "by-checkout"):
        (tmp_path / name).mkdir()
    said = command("migrate", "--to", "by-wheel")
    assert (said.returncode, said.stderr) == (0, "")
    subprocess.run(
        [sys.executable, "-m", "portal_service", "migrate", "--to", tmp_path / "by-checkout"],
        cwd=ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=60,
    )
    written = [
        {path.name.partition("_")[2]: path.read_bytes() for path in (tmp_path / name).iterdir()}
        for name in ("by-wheel", "by-checkout")
    ]
    assert written[0] == written[1]
    assert len(written[0]) == len(BESIDE) - 1


# The service, against the world of the sandbox


def test_sync_compares_the_table_with_stripe(command: Command, world: World) -> None:
    said = command("sync", "--dry-run", "--json", **world.environment("http://localhost:8000"))
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout)["differences"] == []


@pytest.fixture
def told_of_the_wheel(python: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever starts a sandbox now gets the wheel's service in it."""
    monkeypatch.setenv("SANDBOX_SERVICE", str(python.with_name("portal-service")))


@pytest.mark.usefixtures("told_of_the_wheel")
def test_it_is_the_wheel_that_serves_beside_no_checkout(python: Path, tmp_path: Path) -> None:
    with StartedSandbox(tmp_path) as sandbox:
        log = (tmp_path / "service.log").read_text()
        started = re.search(r"\[(\d+)\] \[INFO\] Starting gunicorn", log)
        assert started, log
        process = Path("/proc", started[1])
        arguments = (process / "cmdline").read_text().split("\0")
        assert arguments[0] == str(python)
        assert str(ROOT) not in " ".join(arguments)
        assert str(ROOT) not in (process / "environ").read_text().partition("PYTHONPATH=")[2]
        assert (process / "cwd").readlink() == tmp_path
        assert sandbox.stop() == 0


@pytest.mark.usefixtures("told_of_the_wheel")
def test_the_whole_story_is_true_of_it() -> None:
    story = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    told = subprocess.run(
        [*story, "tests/shipped/test_story.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert told.returncode == 0, told.stdout
    assert re.search(r"^\d+ passed in ", told.stdout, re.MULTILINE), told.stdout


# The list of what is in it


def listed(python: Path) -> str:
    """CycloneDX, of the environment that holds the wheel and what it needs.

    Without what changes from one day or machine to the next, and without the addresses that
    packages give of themselves.
    """
    tool = [Path(sys.executable).with_name("cyclonedx-py"), "environment", python]
    options = ["--pyproject", ROOT / "pyproject.toml", "--output-reproducible", "--of=JSON"]
    said = subprocess.run([*tool, *options], capture_output=True, check=True, timeout=300)
    bom = json.loads(said.stdout)
    bom["metadata"]["component"]["version"] = __version__
    bom["metadata"]["component"]["purl"] = f"pkg:pypi/portal-service@{__version__}"
    for component in (*bom["components"], *bom["metadata"]["tools"]["components"]):
        component.pop("externalReferences", None)
    return json.dumps(bom, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def test_the_list_of_packages_lies_beside_the_wheel(python: Path, wheel: Path) -> None:
    text = listed(python)
    bom = json.loads(text)
    (DIST / f"{wheel.name.removesuffix('-py3-none-any.whl')}.cdx.json").write_text(text)

    assert (bom["bomFormat"], bom["metadata"]["component"]["name"]) == (
        "CycloneDX",
        "portal-service",
    )
    pins = re.findall(
        r"^([a-z0-9][\w.-]*)==([^\s;]+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE
    )
    assert {component["purl"] for component in bom["components"]} == {
        f"pkg:pypi/{name}@{version}" for name, version in pins
    }
    assert all(component.get("licenses") for component in bom["components"])
    assert ADDRESS.findall(text) == [bom["$schema"]]
    assert str(ROOT) not in text and str(python.parent) not in text
    assert not {"serialNumber", "timestamp"} & (bom.keys() | bom["metadata"].keys())
