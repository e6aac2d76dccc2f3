"""OpenTelemetry's own instrumentation around the service under Gunicorn, as docs/tracing.md says,
and a collector on loopback: which spans arrive, and what is in none.
"""

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import pytest
from flask import Flask, request
from service_under_test import APP_URL, last_event, signature

from sandbox.service import Service as Gunicorn
from sandbox.web import Server
from sandbox.world import World

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "tracing.md").read_text()
PREFIX = "/api/stripe"
IN_THE_BODY = "a-word-of-the-body"
# Run by the Python that has OpenTelemetry's own definitions.
DECODE = """
import sys
from google.protobuf.json_format import MessageToJson
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
for line in sys.stdin:
    sent = ExportTraceServiceRequest.FromString(bytes.fromhex(line))
    print(MessageToJson(sent, indent=None))
"""
SERVER, CLIENT = "SPAN_KIND_SERVER", "SPAN_KIND_CLIENT"
Json = dict[str, Any]


class Collector:
    """What came, undecoded."""

    def __init__(self, installed: Path) -> None:
        self._python = installed / "python"
        self.bodies: list[bytes] = []
        self.resources: list[Json] = []

    def spans_when(self, enough: Callable[[list[Json]], bool]) -> list[Json]:
        last_chance = time.monotonic() + 30
        while not enough(found := self.spans()):
            assert time.monotonic() < last_chance, found
            Event().wait(0.1)
        return found

    def spans(self) -> list[Json]:
        """All spans so far, each with its attributes by name."""
        lines = "\n".join(body.hex() for body in list(self.bodies))
        done = subprocess.run(
            [self._python, "-c", DECODE], input=lines, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        sent = [json.loads(line) for line in done.stdout.splitlines()]
        found = [one for body in sent for one in body["resourceSpans"]]
        self.resources = [attributes(one["resource"]) for one in found]
        spans = [span for one in found for scope in one["scopeSpans"] for span in scope["spans"]]
        return [span | {"attributes": attributes(span)} for span in spans]


def of_kind(spans: list[Json], kind: str) -> list[Json]:
    return [span for span in spans if span["kind"] == kind]


def attributes(of: Json) -> Json:
    return {one["key"]: next(iter(one["value"].values())) for one in of.get("attributes", ())}


@pytest.fixture(scope="module")
def collector(installed: Path) -> Iterator[tuple[Collector, str]]:
    collector = Collector(installed)
    app = Flask("collector")

    @app.post("/v1/traces")
    def take() -> bytes:
        collector.bodies.append(request.get_data())
        return b""

    with Server(app) as server:
        yield collector, server.url


def documented() -> dict[str, str]:
    """The variables that the page sets."""
    block = PAGE.partition("\nENV ")[2].partition("\nCMD")[0]
    return dict(re.findall(r"(OTEL_\w+)=(\S+)", block))


def documented_command() -> str:
    command: list[str] = json.loads(PAGE.partition("\nCMD ")[2].partition("\n")[0])
    return " ".join(command)


@contextmanager
def started(
    world: World, url: str, installed: Path, folder: Path, send_after_ms: int
) -> Iterator[Gunicorn]:
    """Two workers that are forked from a master which has loaded the service."""
    start = folder / "start"
    start.write_text(
        f"#!/bin/sh\nshift\nPATH={installed}:$PATH\nexport GUNICORN_CMD_ARGS="
        f'"--config {ROOT}/gunicorn.conf.py --pythonpath {ROOT} $*"\n'
        f"exec {documented_command()}\n"
    )
    start.chmod(0o755)
    environment = world.environment(APP_URL) | documented()
    environment |= {
        "OTEL_EXPORTER_OTLP_ENDPOINT": url,
        "OTEL_BSP_SCHEDULE_DELAY": str(send_after_ms),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SANDBOX_SERVICE", str(start))
        with Gunicorn(environment | {"WEB_CONCURRENCY": "2"}, folder) as service:
            yield service


@pytest.fixture(scope="module")
def traced(
    shared_world: World,
    collector: tuple[Collector, str],
    installed: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Gunicorn]:
    folder = tmp_path_factory.mktemp("service")
    with started(shared_world, collector[1], installed, folder, 100) as service:
        yield service


@pytest.fixture(scope="module")
def spans(
    shared_world: World, collector: tuple[Collector, str], traced: Gunicorn
) -> tuple[list[Json], bytes, list[str]]:
    """Those of a user's and Stripe's requests; all that was sent; what must not be in it."""
    world = shared_world
    world.reset()
    world.add_user("ada")
    world.stripe.create_subscription("user_ada", "price_pro")
    body = json.dumps(last_event(world.stripe, "customer.subscription.created")).encode()
    token = world.clerk.session_token("user_ada", email="ada@example.com")
    bearer = {"Authorization": f"Bearer {token}", "Cookie": f"__session={token}"}
    with httpx.Client(base_url=traced.url, trust_env=False, timeout=30) as http:
        sent = {"Stripe-Signature": signature(body), "Content-Type": "application/json"}
        assert http.post(f"{PREFIX}/webhook", content=body, headers=sent).status_code == 200
        assert http.get(f"{PREFIX}/subscription", headers=bearer).status_code == 200
        wanted = {"return_path": f"/{IN_THE_BODY}"}
        portal = http.post(f"{PREFIX}/portal", json=wanted, headers=bearer)
        assert portal.status_code == 200
        assert http.get(f"{PREFIX}/subscription").status_code == 401
        for path in ("/healthz", "/readyz", "/metrics"):
            http.get(path)
    found = collector[0].spans_when(lambda found: len(of_kind(found, SERVER)) >= 4)
    environment = world.environment(APP_URL)
    secrets = [environment[name] for name in environment if re.search("SECRET|_KEY", name)]
    secrets += [
        token,
        "ada@example.com",
        IN_THE_BODY,
        portal.json()["url"],
        sent["Stripe-Signature"],
    ]
    return found, b"".join(collector[0].bodies), secrets


def test_each_request_is_a_span_with_its_route_and_status(
    spans: tuple[list[Json], Any, Any],
) -> None:
    served = sorted(
        (
            span["name"],
            span["attributes"]["http.route"],
            int(span["attributes"]["http.response.status_code"]),
        )
        for span in of_kind(spans[0], SERVER)
    )
    assert served == [
        (f"GET {PREFIX}/subscription", f"{PREFIX}/subscription", 200),
        (f"GET {PREFIX}/subscription", f"{PREFIX}/subscription", 401),
        (f"POST {PREFIX}/portal", f"{PREFIX}/portal", 200),
        (f"POST {PREFIX}/webhook", f"{PREFIX}/webhook", 200),
    ]


def test_each_call_to_a_vendor_is_a_span_below_its_request(
    spans: tuple[list[Json], Any, Any],
) -> None:
    """Those of no request are the background looks'."""
    served = {span["spanId"]: span for span in of_kind(spans[0], SERVER)}
    below = {
        (served[span["parentSpanId"]]["name"], span["attributes"]["peer.service"], span["name"])
        for span in of_kind(spans[0], CLIENT)
        if span.get("parentSpanId") in served
    }
    account = "POST /rest/v1/rpc/billing_account"
    session = "POST /v1/billing_portal/sessions"
    upsert = "POST /rest/v1/rpc/upsert_subscription"
    assert (f"GET {PREFIX}/subscription", "supabase", account) in below
    assert (f"POST {PREFIX}/portal", "stripe", session) in below
    assert (f"POST {PREFIX}/webhook", "supabase", upsert) in below
    answered = {
        span["attributes"]["http.response.status_code"] for span in of_kind(spans[0], CLIENT)
    }
    assert answered == {"200"}


def test_the_service_has_its_name(
    spans: tuple[list[Json], Any, Any], collector: tuple[Collector, str]
) -> None:
    assert {one["service.name"] for one in collector[0].resources} == {"portal_service"}


def test_nothing_secret_is_in_any_of_it(spans: tuple[Any, bytes, list[str]]) -> None:
    _, sent, secrets = spans
    assert len(secrets) > 8
    for secret in secrets:
        assert secret.encode() not in sent


def test_what_a_worker_has_when_it_ends_is_sent(
    shared_world: World, collector: tuple[Collector, str], installed: Path, tmp_path: Path
) -> None:
    path = f"{PREFIX}/plans"
    with started(shared_world, collector[1], installed, tmp_path, 600_000) as service:
        httpx.get(service.url + path, trust_env=False, timeout=30)
    names = [span["name"] for span in collector[0].spans()]
    assert f"GET {path}" in names
