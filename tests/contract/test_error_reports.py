"""What Sentry is told, by its real SDK, of a service that runs for real: an error that nobody
foresaw, and nothing of the request, nothing secret.
"""

import gzip
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import httpx
import pytest
from flask import Flask, request
from service_under_test import APP_URL, MakeService, Service

from portal_service import ConfigError, Settings, error_reports
from portal_service.log import log
from sandbox.service import Service as Gunicorn
from sandbox.web import Server
from sandbox.world import World

Json = dict[str, Any]
# By which it would be seen what must not leave.
IN_THE_BODY = "a-word-of-the-body"
IN_A_HEADER = "a-word-of-a-header"


@pytest.fixture
def nothing_leaks() -> None:
    """Here errors leak on purpose."""


class Listener:
    """Sentry's ingestion on loopback: the events that came, each with all that was sent."""

    def __init__(self, url: str, events: "Queue[tuple[Json, str]]") -> None:
        self.dsn = url.replace("://", "://a_public_key@") + "/42"
        self._events = events

    def event(self) -> tuple[Json, str]:
        """The next one."""
        return self._events.get(timeout=30)

    def nothing_more(self) -> bool:
        try:
            self._events.get_nowait()
        except Empty:
            return True
        return False


def envelope(body: bytes) -> Iterator[Json]:
    """The events in what the SDK sends: a line about all, then of each item a line and its body."""
    rest = body.partition(b"\n")[2]
    while rest.strip():
        head, _, rest = rest.partition(b"\n")
        about = json.loads(head)
        length = about.get("length", rest.find(b"\n"))
        item, rest = rest[:length], rest[length:].lstrip(b"\n")
        if about["type"] == "event":
            yield json.loads(item)


@pytest.fixture(scope="module")
def sentry() -> Iterator[Listener]:
    events: Queue[tuple[Json, str]] = Queue()
    app = Flask("sentry")

    @app.post("/api/42/envelope/")
    def take() -> Json:
        body = request.get_data()
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        for event in envelope(body):
            events.put((event, f"{request.headers}{body.decode()}"))
        return {}

    @app.post("/rest/v1/rpc/<name>")
    def answer_nonsense(name: str) -> Json:
        """As a Supabase that nobody foresaw."""
        return {}

    with Server(app) as server:
        yield Listener(server.url, events)


def test_an_unforeseen_error_of_the_real_server_arrives_and_nothing_of_its_request(
    world: World, sentry: Listener, tmp_path: Path
) -> None:
    token = world.clerk.session_token("user_ada", email="ada@example.com")
    supabase = sentry.dsn.replace("a_public_key@", "").removesuffix("/42")
    environment = world.environment(APP_URL)
    environment |= {"SENTRY_DSN": sentry.dsn, "SUPABASE_URL": supabase, "WEB_CONCURRENCY": "2"}
    with Gunicorn(environment, tmp_path) as service:
        answer = httpx.post(
            f"{service.url}/api/stripe/portal?secret={IN_THE_BODY}",
            headers={
                "Authorization": f"Bearer {token}",
                "X-Other": IN_A_HEADER,
                "Cookie": f"x={IN_A_HEADER}",
            },
            json={"return_path": f"/{IN_THE_BODY}"},
            trust_env=False,
            timeout=30,
        )
        event, text = sentry.event()
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert event["tags"]["request_id"] == answer.json()["request_id"]
    (error,) = event["exception"]["values"]
    assert error["type"] == "KeyError"
    assert error["stacktrace"]["frames"][-1]["module"] == "portal_service.supabase_db"
    assert (event["logentry"]["message"], event["environment"]) == ("unexpected error", "test")
    assert event["extra"] == {"path": "/api/stripe/portal"}
    assert "request" not in event and "user" not in event and "breadcrumbs" not in event
    secrets = [environment[name] for name in environment if "SECRET" in name or "KEY" in name]
    for secret in (token, "ada@example.com", IN_THE_BODY, IN_A_HEADER, *secrets):
        assert secret not in text


@pytest.fixture
def reporting(make_service: MakeService, sentry: Listener) -> Service:
    return make_service(sentry_dsn=sentry.dsn)


SLIPPED = {
    "a key": "sk_test_51Abcdefghijk",
    "a webhook secret": "whsec_abcdefghijk",
    "a token": "eyJhbGciOi.eyJzdWIiOi.c2lnbmF0dXJl",
    "an address": "ada@example.com",
    "a session": "https://billing.stripe.com/p/session/test_abc",
}


@pytest.mark.parametrize("secret", SLIPPED.values(), ids=SLIPPED)
def test_what_slips_into_an_error_is_scrubbed_as_in_the_log(
    secret: str, reporting: Service, sentry: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        try:
            raise ValueError(f"this was {secret}")
        except ValueError as error:
            raise RuntimeError(f"no {secret} here") from error

    monkeypatch.setattr("portal_service.supabase_db.Database.account", fail)
    assert reporting.status().status_code == 500
    event, text = sentry.event()
    assert secret not in text
    values = [one["value"] for one in event["exception"]["values"]]
    assert values == ["this was [removed]", "no [removed] here"]


def test_what_the_log_calls_critical_arrives_and_a_vendors_failure_does_not(
    world: World, reporting: Service, sentry: Listener
) -> None:
    world.faults.stripe = "rate_limited"
    assert reporting.checkout().status_code == 503
    log(logging.CRITICAL, "the key of another account?", subscription="sub_1")
    event, _ = sentry.event()
    assert event["logentry"]["message"] == "the key of another account?"
    assert (event["level"], event["extra"]) == ("fatal", {"subscription": "sub_1"})
    assert sentry.nothing_more()


def test_where_sentry_is_away_the_answer_is_the_same(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = make_service(sentry_dsn="http://key@127.0.0.1:9/1")  # nobody listens there
    monkeypatch.setattr("portal_service.supabase_db.Database.account", lambda *_: 1 / 0)
    assert service.status().status_code == 500


def test_where_the_sdk_fails_the_answer_is_the_same(
    reporting: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portal_service.supabase_db.Database.account", lambda *_: 1 / 0)
    monkeypatch.setattr("sentry_sdk.utils.event_from_exception", lambda *_, **__: 1 / 0)
    assert reporting.status().json["code"] == "internal_error"


def test_without_the_extra_the_start_ends_with_its_name(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(error_reports.importlib.util, "find_spec", lambda name: None)
    environment = world.environment(APP_URL)
    Settings.from_environment(environment)  # without SENTRY_DSN it is not needed
    with pytest.raises(ConfigError) as told:
        Settings.from_environment(environment | {"SENTRY_DSN": "https://key@sentry.example/1"})
    assert "SENTRY_DSN is wrong: it needs the extra sentry" in str(told.value)
    assert "portal-service[sentry]" in str(told.value)


@pytest.mark.parametrize(
    "dsn", ["sentry", "https://sentry.example/1", "https://key@sentry.example/", "ftp://k@s/1"]
)
def test_a_dsn_that_is_none_stops_the_start_and_is_not_shown(dsn: str, world: World) -> None:
    with pytest.raises(ConfigError) as told:
        Settings.from_environment(world.environment(APP_URL) | {"SENTRY_DSN": dsn})
    assert "SENTRY_DSN is wrong: expected https://<key>@<host>/<id>" in str(told.value)
