"""The files of deploy/: what they name exists, each alert has its page, and the tools that read
them accept them. promtool and Caddy are Debian's; their tests are skipped where they are missing.
"""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from test_operations import listed

from portal_service import Settings, cors, deliveries, sync_runs
from portal_service.config import ConfigError

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
RULES = yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"][0]["rules"]
DASHBOARD = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text())
TARGETS = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]
EXPRESSIONS = {rule["alert"]: rule["expr"] for rule in RULES} | {expr: expr for expr in TARGETS}
KUBERNETES = [
    document
    for path in sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    if path.name != "kustomization.yaml"
    for document in yaml.safe_load_all(path.read_text())
]
# Of Prometheus and of histograms themselves.
OTHER_LABELS = {"job", "le", "instance"}
NEEDS_PROMTOOL = pytest.mark.skipif(
    not shutil.which("promtool"), reason="promtool (Debian's prometheus) is not installed"
)


def run(*command: object) -> str:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# Alerts and dashboard


@pytest.mark.parametrize("expression", EXPRESSIONS.values(), ids=EXPRESSIONS)
def test_every_metric_and_label_that_is_asked_for_exists(expression: str) -> None:
    known = listed()
    without_job = expression.replace('"portal_service"', "")
    asked = re.findall(r"\b(portal_\w+)(?:\{([^}]*)\})?", without_job)
    assert asked or re.search(r"\bup\{", expression)
    grouped = set(re.findall(r"\w+", " ".join(re.findall(r"\bby \(([^)]*)\)", expression))))
    all_labels: set[str] = set()
    for name, matchers in asked:
        metric = name if name in known else re.sub(r"_(bucket|count|sum)$", "", name)
        assert metric in known, name
        assert metric == name or metric.endswith("_seconds"), name
        assert set(re.findall(r"(\w+)\s*[=!]~?\s*\"", matchers)) <= known[metric] | OTHER_LABELS
        all_labels |= known[metric]
    assert grouped <= all_labels | OTHER_LABELS


def test_every_reason_and_outcome_that_is_asked_for_exists() -> None:
    values = re.findall(r'(?:reason|outcome)="([^"]+)"', " ".join(EXPRESSIONS.values()))
    known = {*get_args(deliveries.Reason), *get_args(cors.Reason), *get_args(deliveries.Outcome)}
    known |= set(get_args(sync_runs.Outcome))
    assert set(values) <= known | {"failed"}


def test_every_alert_has_a_page_that_leads_to_the_cure() -> None:
    pages = dict(re.findall(r"^## (Portal\w+)\n(.*?)(?=^## |\Z)", RUNBOOK, re.M | re.S))
    assert list(pages) == sorted(pages, key=[rule["alert"] for rule in RULES].index)
    assert 6 <= len(pages) <= 10
    for rule in RULES:
        page = pages[rule["alert"]]
        steps = re.findall(r"^\*\*(.+?)\.\*\*", page, re.MULTILINE)
        assert steps == ["What it means", "First command", "Cure"], rule["alert"]
        assert "`" in page.partition("First command")[2].partition("**Cure")[0]
        assert rule["annotations"]["runbook"] == f"docs/runbook.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in ("page", "ticket")


def test_every_alert_is_tested_firing_and_quiet() -> None:
    tests = yaml.safe_load((DEPLOY / "alerts.test.yml").read_text())["tests"]
    tried = [one for test in tests for one in test["alert_rule_test"]]
    for rule in RULES:
        fires = {bool(one["exp_alerts"]) for one in tried if one["alertname"] == rule["alert"]}
        assert fires == {True, False}, rule["alert"]


@NEEDS_PROMTOOL
def test_the_alerts_fire_when_they_should() -> None:
    run("promtool", "test", "rules", DEPLOY / "alerts.test.yml")
    run("promtool", "check", "config", DEPLOY / "prometheus.yml")


@NEEDS_PROMTOOL
def test_the_dashboards_expressions_can_be_read(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{n}", "expr": expr.replace("$__rate_interval", "1m")}
        for n, expr in enumerate(TARGETS)
    ]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"{len(TARGETS)} rules found" in run("promtool", "check", "rules", file)


def test_the_dashboards_panels_stand_side_by_side() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert at["x"] + at["w"] <= 24 and not cells & taken, panel["title"]
        taken |= cells


# Compose


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return found


def test_every_file_that_compose_mounts_is_there() -> None:
    for name, service in compose()["services"].items():
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            if source.startswith("."):
                assert (DEPLOY / source).exists(), (name, source)
            else:
                assert source in compose()["volumes"]
    assert (DEPLOY / compose()["services"]["service"]["build"]["context"] / "Dockerfile").exists()


def test_the_service_can_be_scaled_and_is_not_public() -> None:
    service = compose()["services"]["service"]
    assert "ports" not in service and "container_name" not in service
    assert service["read_only"] and service["cap_drop"] == ["ALL"]
    published = [p for one in compose()["services"].values() for p in one.get("ports", ())]
    public = [port for port in published if not port.startswith("127.0.0.1:")]
    assert public == ["80:80", "443:443", "443:443/udp"]  # Caddy's


def test_what_compose_sets_is_right() -> None:
    with pytest.raises(ConfigError) as missing:
        Settings.from_environment(compose()["services"]["service"]["environment"])
    for name in compose()["services"]["service"]["environment"]:
        assert name not in str(missing.value)  # each of them is right; all others are missing


@pytest.mark.skipif(not shutil.which("caddy"), reason="Caddy is not installed")
def test_caddy_reads_its_file(tmp_path: Path) -> None:
    text = (DEPLOY / "Caddyfile").read_text().replace("{$DOMAIN}", "billing.example.com")
    version = run("caddy", "version").removeprefix("v")
    if tuple(map(int, re.findall(r"\d+", version)[:3])) < (2, 6, 4):
        text = text.replace("request_buffers 1MiB", "buffer_requests")
    file = tmp_path / "Caddyfile"
    file.write_text(text)
    run("caddy", "adapt", "--validate", "--adapter", "caddyfile", "--config", file)


# Kubernetes


def named(kind: str) -> dict[str, Any]:
    (found,) = (one for one in KUBERNETES if one["kind"] == kind)
    return dict(found)


def pods() -> dict[str, dict[str, Any]]:
    jobs = [one for one in KUBERNETES if one["kind"] == "CronJob"]
    found = {job["metadata"]["name"]: job["spec"]["jobTemplate"]["spec"] for job in jobs}
    found["deployment"] = named("Deployment")["spec"]
    return {name: spec["template"] for name, spec in found.items()}


@pytest.mark.parametrize("version", ["1.31", "1.37"])
@pytest.mark.parametrize(
    "document", KUBERNETES, ids=lambda d: f"{d['kind']}-{d['metadata']['name']}"
)
def test_kubernetes_published_schema_takes_it(document: dict[str, Any], version: str) -> None:
    kubernetes_validate = pytest.importorskip(
        "kubernetes_validate", reason="the package kubernetes-validate is not installed"
    )
    kubernetes_validate.validate(document, version, strict=True)


def test_the_kustomization_has_every_file_but_the_secret() -> None:
    folder = DEPLOY / "kubernetes"
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    others = {"kustomization.yaml", "secret.example.yaml"}
    assert set(listed) == {path.name for path in folder.iterdir()} - others


def test_names_lead_to_each_other() -> None:
    labels = named("Deployment")["spec"]["template"]["metadata"]["labels"].items()
    selectors = [
        named("Deployment")["spec"]["selector"]["matchLabels"],
        named("Service")["spec"]["selector"],
        named("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
    ]
    assert all(selector.items() <= labels for selector in selectors)
    (expression,) = named("NetworkPolicy")["spec"]["podSelector"]["matchExpressions"]
    for pod in pods().values():
        assert pod["metadata"]["labels"][expression["key"]] in expression["values"]
        (container,) = pod["spec"]["containers"]
        pairs = [pair for one in container["envFrom"] for pair in one.items()]
        sources = {kind: source["name"] for kind, source in pairs}
        assert sources["secretRef"] == named("Secret")["metadata"]["name"]
        assert sources["configMapRef"] == named("ConfigMap")["metadata"]["name"]
    backend = named("Ingress")["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
    assert backend["name"] == named("Service")["metadata"]["name"]


def test_pods_may_do_nothing_that_they_need_not() -> None:
    for name, pod in pods().items():
        spec = pod["spec"]
        (container,) = spec["containers"]
        assert spec["securityContext"]["runAsNonRoot"], name
        assert spec["automountServiceAccountToken"] is False
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]


def test_a_pod_has_time_to_end() -> None:
    spec = named("Deployment")["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    pause = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    gunicorn = (ROOT / "gunicorn.conf.py").read_text()
    graceful = int(re.findall(r"^graceful_timeout = (\d+)", gunicorn, re.MULTILINE)[0])
    assert spec["terminationGracePeriodSeconds"] > pause + graceful


def test_the_settings_of_kubernetes_are_settings_and_the_secrets_are_apart() -> None:
    environment = named("ConfigMap")["data"] | named("Secret")["stringData"]
    explained = (ROOT / ".env.example").read_text()
    for name in environment:
        assert re.search(rf"^#?{name}=", explained, re.MULTILINE), name
    assert not [name for name in named("ConfigMap")["data"] if re.search("SECRET|KEY", name)
                and "PUBLISHABLE" not in name]  # fmt: skip
