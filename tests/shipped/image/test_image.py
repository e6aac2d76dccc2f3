"""The Docker image: what is in it, and that it runs as the docs say. `make image`."""

import json
import re
import time
from pathlib import Path

import podman
import pytest
from imaged import DECOY, SETTINGS, Service

WRITABLE = ["--read-only=false"]


def listing(image: str, *condition: str) -> set[str]:
    """What `find` finds in the whole image, as the user of ours."""
    command = ["find", "/", "-xdev", "(", "-path", "/proc", "-o", "-path", "/sys", ")", "-prune"]
    found = podman.run(
        image, *command, "-o", *condition, "-print",
        options=[*WRITABLE, "--user=10001:10001"], check=False,
    )  # fmt: skip
    return set(found.stdout.splitlines())


def ours(path: str) -> bool:
    return path == "/app" or path.startswith("/app/")


def test_only_what_runs_is_inside(image: str) -> None:
    inside = listing(image, "-path", "/app*")
    top = {path.split("/")[2] for path in inside if path != "/app"}
    assert top == {"bytecode", "gunicorn.conf.py", "portal_service", "venv", "wsgi.py"}
    assert podman.run(image, "grep", "-r", DECOY, "/app", check=False).returncode == 1
    assert not any("decoy" in path for path in inside)


def test_exactly_the_pinned_packages_are_installed(image: str) -> None:
    script = (
        "import importlib.metadata as m, json;"
        "print(json.dumps([[d.name, d.version] for d in m.distributions()]))"
    )
    installed = json.loads(podman.run(image, "python", "-c", script).stdout)
    pinned = re.findall(
        r"^([\w.-]+)==(\S+)", (podman.ROOT / "requirements.txt").read_text(), re.MULTILINE
    )
    assert {(re.sub(r"[_.]", "-", name).lower(), version) for name, version in installed} == set(
        pinned
    )


def test_beside_its_folder_it_is_the_base(image: str) -> None:
    base = listing(podman.base())
    assert {path for path in listing(image) if not ours(path)} == base


def test_nothing_raises_the_rights_of_its_user(image: str) -> None:
    raising = listing(image, "-perm", "/6000")
    assert raising == listing(podman.base(), "-perm", "/6000")
    assert not any(ours(path) for path in raising)


def test_its_user_can_change_nothing_even_where_the_disk_can_be_written(image: str) -> None:
    condition = ["!", "-type", "l", "-writable"]
    assert listing(image, *condition) == listing(podman.base(), *condition)
    assert not any(ours(path) for path in listing(image, *condition))


def test_its_user_can_read_everything_and_all_of_it_is_compiled(image: str) -> None:
    assert listing(image, "-path", "/app*", "!", "-readable") == set()
    script = (
        "import importlib.util, pathlib, sysconfig;"
        "library = pathlib.Path(sysconfig.get_path('stdlib'));"
        "files = [*pathlib.Path('/app').rglob('*.py'), *library.glob('*.py')];"
        "cached = {f: pathlib.Path(importlib.util.cache_from_source(str(f))) for f in files};"
        "print(len(files) > 1000, [str(f) for f in files if not cached[f].exists()])"
    )
    assert podman.run(image, "python", "-c", script).stdout == "True []\n"


def test_it_serves_from_a_read_only_file_system(service: Service) -> None:
    assert service.get("/healthz").json() == {"status": "ok"}
    metrics = service.get("/metrics")
    assert [metrics.status_code, "portal_requests_total{" in metrics.text] == [200, True]
    refused = service.get("/api/stripe/subscription")
    assert [refused.status_code, refused.json()["code"]] == [401, "unauthorized"]
    assert service.get("/openapi.json").status_code == 200


def test_its_processes_are_nobodys(service: Service) -> None:
    process = service.container.inspect("{{.State.Pid}}")
    status = Path(f"/proc/{process}/status").read_text()
    assert re.findall(r"^[UG]id:\s(.*)", status, re.MULTILINE) == ["\t".join(["10001"] * 4)] * 2


def test_it_writes_its_log_at_once_and_without_secrets(service: Service) -> None:
    request_id = service.get("/api/stripe/subscription").headers["X-Request-ID"]
    log = service.container.log()
    assert request_id in log
    assert "Traceback" not in log
    assert not any(value in log for name, value in SETTINGS.items() if "SECRET" in name)


def test_its_healthcheck_knows_well_from_ill(image: str, service: Service) -> None:
    assert service.container.healthcheck() == 0
    command = json.loads(service.container.inspect("{{json .Config.Healthcheck.Test}}"))[1:]
    proxied = ["--env=http_proxy=http://127.0.0.1:9", f"--env=PORT={service.port}"]
    assert podman.run(image, *command, options=proxied).returncode == 0
    nobody_there = podman.run(image, *command, options=["--env=PORT=9"], check=False)
    assert nobody_there.returncode == 1


def test_it_stops_at_once_when_it_is_told_to(image: str) -> None:
    with Service.started(image) as service:
        began = time.monotonic()
        assert service.container.stop() == 0
        assert time.monotonic() - began < 5


@pytest.mark.parametrize("missing", ["STRIPE_SECRET_KEY", "APP_URL"])
def test_without_a_setting_it_ends_and_names_it(image: str, missing: str) -> None:
    given = [f"--env={name}={value}" for name, value in SETTINGS.items() if name != missing]
    ended = podman.run(image, options=["--read-only", *given], check=False)
    assert ended.returncode == 1
    named = re.findall(r"^  (\w+)", ended.stderr + ended.stdout, re.MULTILINE)
    assert named == [missing]


def test_without_any_it_names_all(image: str) -> None:
    ended = podman.run(image, check=False)
    assert ended.returncode != 0
    said = ended.stderr + ended.stdout
    assert all(name in said for name in SETTINGS)
    assert "Traceback" not in said


def test_its_commands_run_too(image: str) -> None:
    given = [f"--env={name}={value}" for name, value in SETTINGS.items()]
    helped = podman.run(
        image, "flask", "--app", "wsgi", "portal", "--help", options=["--read-only", *given]
    )
    assert "sync" in helped.stdout
