"""The started service, told marked secrets, is driven through its errors by vendors that repeat all
that they hear: nothing marked is in its log, standard output, answers or metrics.
"""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import parrot
import pytest
from flask import Flask
from parrot import GARBAGE, KEY_IN_USE, KNOWN_TO_VENDORS, STRIPE, SUPABASE, Parrot
from service_under_test import Log, MakeService, execute, last_event, refused, signature
from started import wait_for
from watch import Watch

from portal_service import Settings, deadline
from sandbox.service import ROOT
from sandbox.service import Service as Started
from sandbox.stripe import api as stripe_api
from sandbox.supabase import api as supabase_api
from sandbox.web import Server
from sandbox.world import JWT_SECRET, World

APP_URL = "http://localhost:8000"
STRIPE_KEY = "sk_test_51MarkedStripeKey"
HOOKS = ("whsec_MarkedFirstOne", "whsec_MarkedSecond+/=-One")
METRICS_TOKEN = "MarkedMetricsToken-and-the-rest-of-it"
REDIS_PASSWORD = "MarkedRedisPassword"
SECRETS = {
    "STRIPE_SECRET_KEY": STRIPE_KEY,
    "STRIPE_WEBHOOK_SECRET": ",".join(HOOKS),
    "METRICS_TOKEN": METRICS_TOKEN,
    "RATE_LIMIT_STORAGE_URI": f"redis://:{REDIS_PASSWORD}@127.0.0.1:1/0",  # nobody is there
}
# With the hyphens that keys of this kind can have.
NEW_KEY = "sb_secret_Marked0Ug-kTVKUodkm0Hg-xSvEMPvzMarked"


class Rig:
    """A started service between three parrots, and everything that it let be seen."""

    def __init__(self, world: World, folder: Path, log_format: str, stack: ExitStack) -> None:
        self.world = world
        self.watch = Watch()
        self.watch.keep_secret(*SECRETS.values(), *HOOKS, REDIS_PASSWORD, *KNOWN_TO_VENDORS)
        stripe = stripe_api.create_app(
            world.stripe, world.faults, {STRIPE_KEY}, lambda: world.stripe_url
        )
        supabase = supabase_api.create_app(world.database_url, JWT_SECRET, world.faults)
        self.stripe = Parrot(stripe)
        self.supabase = Parrot(supabase, {NEW_KEY: world.service_role_key})
        self.clerk = Parrot(world.clerk.app())
        urls = [stack.enter_context(Server(p)).url for p in self.parrots]
        key = world.service_role_key if log_format == "json" else NEW_KEY
        self.watch.keep_secret(key)
        self.environment = (
            world.environment(APP_URL)
            | SECRETS
            | {
                "STRIPE_API_BASE": urls[0],
                "SUPABASE_URL": urls[1],
                "CLERK_JWKS_URL": urls[2] + "/.well-known/jwks.json",
                "SUPABASE_SERVICE_ROLE_KEY": key,
                "LOG_FORMAT": log_format,
                "LOG_LEVEL": "DEBUG",
                "WEB_CONCURRENCY": "1",
            }
        )
        folder.mkdir()
        self.service = stack.enter_context(Started(self.environment, folder))
        self.http = stack.enter_context(
            httpx.Client(base_url=self.service.url, trust_env=False, timeout=20)
        )
        self._read = 0
        self._series: set[str] = set()

    @property
    def parrots(self) -> tuple[Parrot, Parrot, Parrot]:
        return self.stripe, self.supabase, self.clerk

    def token(self, **claims: Any) -> str:
        token = self.world.clerk.session_token("user_ada", email="marked.ada@example.com", **claims)
        self.watch.keep_secret(token)
        return token

    def call(self, method: str, path: str, **how: Any) -> httpx.Response:
        answer = self.http.request(method, path, **how)
        self.look_at(answer)
        return answer

    def look_at(self, answer: httpx.Response) -> None:
        body = answer.text
        if answer.status_code == 200 and path_of(answer) in ("portal", "checkout"):
            body = json.dumps(answer.json() | {"url": ""})
        where = f"the answer of {answer.request.url.path}"
        self.watch.look_at(where, f"{answer.status_code} {answer.headers} {body}")

    def all_calls(self) -> list[httpx.Response]:
        """Every call that asks a vendor."""
        ours = {"Authorization": f"Bearer {self.token()}"}
        body = json.dumps(last_event(self.world.stripe)).encode()
        event = {"Stripe-Signature": signature(body, HOOKS[1])}
        session = {"checkout_session_id": "cs_test_unknown"}
        calls: list[Callable[[], httpx.Response]] = [
            lambda: self.call("POST", "/api/stripe/portal", headers=ours),
            lambda: self.call("POST", "/api/stripe/checkout", headers=ours),
            lambda: self.call("GET", "/api/stripe/subscription", headers=ours),
            lambda: self.call("POST", "/api/stripe/subscription/refresh", headers=ours),
            lambda: self.call(
                "POST", "/api/stripe/subscription/refresh", headers=ours, json=session
            ),
            lambda: self.call("POST", "/api/stripe/webhook", headers=event, content=body),
            lambda: self.call("GET", "/readyz"),
        ]
        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(lambda call: call(), calls))

    def check(self) -> str:
        """Fail if anything marked was seen since the last time; gives what was logged."""
        for session in self.world.stripe.sessions.values():
            self.watch.keep_secret(f"/c/pay/{session['id']}")
        for session in self.world.stripe.portal_sessions.values():
            self.watch.keep_secret(session["url"], session["url"].rpartition("/")[2])
        written = self.service.log.read_text()
        new, self._read = written[self._read :], len(written)
        for line in new.splitlines():
            self.watch.look_at("the log", line)
        metrics = self.http.get("/metrics", headers={"Authorization": f"Bearer {METRICS_TOKEN}"})
        assert metrics.status_code == 200
        series = {line.rpartition(" ")[0] for line in metrics.text.splitlines()}
        for one in series - self._series:
            self.watch.look_at("a metric", one)
        self._series |= series
        complaints, self.watch.complaints = self.watch.complaints, []
        assert not complaints, "\n\n".join(complaints[:5])
        return new


BOTH_FORMATS = pytest.mark.parametrize("rig", ["json", "text"], indirect=True)


def path_of(answer: httpx.Response) -> str:
    return answer.request.url.path.rpartition("/")[2]


@pytest.fixture(scope="module")
def rigs(shared_world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Rig]]:
    folder = tmp_path_factory.mktemp("leaks")
    with ExitStack() as stack, ThreadPoolExecutor() as pool:

        def start(log_format: str) -> Rig:
            return Rig(shared_world, folder / log_format, log_format, stack)

        formats = ["json", "text"]
        yield dict(zip(formats, pool.map(start, formats), strict=True))


@pytest.fixture(params=["json"])
def rig(request: pytest.FixtureRequest, rigs: dict[str, Rig], world: World) -> Rig:
    """ada has a customer and a subscription at Stripe, of which an event is to be delivered.

    The log is JSON; `BOTH_FORMATS` is for the tests in which all kinds of lines are written, what a
    form does to a line being shown in tests/rules/test_observability.py.
    """
    rig = rigs[request.param]
    for each in rig.parrots:
        each.shape = None
        each.heard.clear()
    rig.watch.complaints.clear()
    world.add_user("ada")
    execute(world, "update users set email = 'marked.ada@example.com'")
    customer = world.stripe.create_customer(email="marked.ada@example.com")["id"]
    world.stripe.create_subscription("user_ada", "price_pro", customer=customer)
    execute(world, "insert into billing_customers values ('user_ada', false, %s)", customer)
    return rig


@BOTH_FORMATS
def test_good_calls(rig: Rig, world: World) -> None:
    """Also what vendors were told: a session token goes to nobody."""
    # Until it has looked at these vendors: nothing was seen yet, or those of another test.
    wait_for(lambda: rig.http.get("/readyz").is_success)
    answers = {answer.status_code for answer in rig.all_calls()}
    ours = {"Authorization": f"Bearer {rig.token()}"}
    execute(world, "delete from subscriptions")
    world.stripe.subscriptions.clear()
    rig.call("POST", "/api/stripe/checkout", headers=ours)

    log = rig.check()
    assert answers == {200, 409}  # checkout: there is a subscription
    assert world.stripe.portal_sessions and world.stripe.sessions
    heard = " ".join(text for each in rig.parrots for text in each.heard)
    assert STRIPE_KEY in heard and rig.environment["SUPABASE_SERVICE_ROLE_KEY"] in heard
    assert ours["Authorization"] not in heard and METRICS_TOKEN not in heard
    assert "/api/stripe/portal" in log and "rate limits are not counted" in log


@BOTH_FORMATS
def test_what_stripe_says(rig: Rig) -> None:
    for shape in (STRIPE | GARBAGE).values():
        rig.stripe.shape = shape
        rig.all_calls()
    assert "stripe call failed" in rig.check()


def test_what_stripe_says_while_a_key_is_in_use(
    make_service: MakeService,
    ada: str,
    nothing_leaks: Watch,
    log: Log,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In this process, where the 15 s for which checkout asks again can be made fewer."""
    monkeypatch.setattr(deadline, "CHECKOUT_SECONDS", 0.5)
    nothing_leaks.keep_secret(STRIPE_KEY, *KNOWN_TO_VENDORS)
    stripe = Parrot(Flask("nobody is asked"))
    stripe.shape = KEY_IN_USE
    with Server(stripe) as server:
        service = make_service(stripe_secret_key=STRIPE_KEY, stripe_api_base=server.url)
        refused(service.checkout(), "stripe_unavailable")
    assert STRIPE_KEY in " ".join(stripe.heard)
    for line in log.lines:
        nothing_leaks.look_at("the log", json.dumps(line))
    assert "stripe call failed" in log.text


@BOTH_FORMATS
def test_what_supabase_says(rig: Rig) -> None:
    for shape in (SUPABASE | GARBAGE).values():
        rig.supabase.shape = shape
        rig.all_calls()
    assert "supabase call failed" in rig.check()


def test_what_clerk_says(rig: Rig) -> None:
    bad = rig.world.clerk.sign(rig.world.clerk.claims("user_ada"), kid="ins_unknown")
    rig.watch.keep_secret(bad)
    for shape in GARBAGE.values():
        rig.clerk.shape = shape
        rig.call("GET", "/api/stripe/subscription", headers={"Authorization": f"Bearer {bad}"})
        rig.call("GET", "/readyz")
    rig.check()


def test_refused_callers(rig: Rig) -> None:
    world, clerk = rig.world, rig.world.clerk
    tokens = {
        "expired": rig.token(exp=1),
        "pending": rig.token(sts="pending"),
        "of another issuer": rig.token(iss="https://marked.example.org"),
        "foreign": rig.token(azp="https://evil.example"),
        "of no session": rig.token(sid=None),
        "impersonating": rig.token(act={"sub": "user_admin"}),
        "of an e-mail address": clerk.session_token("marked.ada@example.com"),
        "of a key": rig.token(azp=STRIPE_KEY),
        "cut": rig.token()[:-8],
        "the webhook's": HOOKS[0],
        "the metrics'": METRICS_TOKEN,
        "the database's": world.service_role_key,
        "Stripe's": STRIPE_KEY,
        "an address": parrot.PORTAL_URLS[0],
    }
    rig.watch.keep_secret(*tokens.values())
    posts = ("portal", "checkout", "subscription/refresh")
    for number, token in enumerate(tokens.values()):
        for headers in (
            {"Authorization": f"Bearer {token}"},
            {"Authorization": f"Bearer {token}", "Cookie": f"__session={token}"},
            {"Cookie": f"__session={token}"},
            {"Cookie": f"__session={token}", "Origin": f"https://{token[:20]}.example"},
            {"Authorization": f"Basic {token}", "X-Request-ID": "abcd1234"},
        ):
            answer = rig.call("POST", f"/api/stripe/{posts[number % 3]}", headers=headers)
            assert answer.status_code in (401, 403, 409, 200, 404, 503, 429, 500)
        rig.call("GET", "/api/stripe/subscription", headers={"Authorization": f"Bearer {token}"})
        for path in ("/metrics", "/readyz", "/nowhere"):
            if token != METRICS_TOKEN:
                rig.call("GET", path, headers={"Authorization": f"Bearer {token}"})
    rig.check()


def test_marked_input(rig: Rig) -> None:
    ours = {"Authorization": f"Bearer {rig.token()}"}
    for value in (*KNOWN_TO_VENDORS, *HOOKS, STRIPE_KEY, METRICS_TOKEN, rig.token()):
        for path in ("portal", "checkout", "subscription/refresh"):
            for body in (
                {"return_path": value},
                {"flow": value},
                {"plan": value},
                {"price": value},
                {"quantity": value},
                {"checkout_session_id": value},
                {value: value},
                [value],
            ):
                rig.call("POST", f"/api/stripe/{path}", headers=ours, json=body)
            rig.call("POST", f"/api/stripe/{path}", headers=ours, content=value.encode())
        quoted = httpx.QueryParams({"token": value, "email": value})
        for path in ("/api/stripe/subscription", "/healthz", "/metrics", "/nowhere"):
            rig.call("GET", path, headers=ours, params=quoted)
        rig.call("GET", f"/api/stripe/{value.replace('#', '/')}", headers=ours)
        rig.call("POST", f"/{value.replace('#', '/')}", headers=ours)
    rig.check()


@pytest.mark.parametrize("secret", [*HOOKS, "whsec_MarkedAnother"])
def test_deliveries_that_are_refused(rig: Rig, secret: str) -> None:
    rig.watch.keep_secret(secret)
    event = last_event(rig.world.stripe)
    event["data"]["object"] |= {"note": KNOWN_TO_VENDORS, "status": 7}
    for body in (
        json.dumps(event).encode(),
        json.dumps({"object": "event", "type": list(KNOWN_TO_VENDORS)}).encode(),
        " ".join(KNOWN_TO_VENDORS).encode(),
        json.dumps([*KNOWN_TO_VENDORS]).encode(),
    ):
        for header in (signature(body, secret), signature(body, secret, age=900), secret, ""):
            answer = rig.call(
                "POST", "/api/stripe/webhook", headers={"Stripe-Signature": header}, content=body
            )
            assert answer.status_code == 400
    rig.check()


def test_requests_that_gunicorn_refuses(rig: Rig) -> None:
    """Its own answers may repeat a request to whoever sent it; its log may not."""
    token = rig.token().encode()
    host, port = rig.service.url.removeprefix("http://").split(":")
    for request in (
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nAuthorization Bearer " + token + b"\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer\r\n " + token + b"\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nCookie: __session=" + token + b"\0\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nExpect: " + token + b"\r\n\r\n",
        b"GET /x?token=" + token + b" y HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /x?email=marked.ada@example.com marked.ada@example.com\r\nHost: x\r\n\r\n",
        b"POST /healthz HTTP/1.1\r\nTransfer-Encoding: " + STRIPE_KEY.encode() + b"\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nAuthorization: " + token * 20 + b"\r\n\r\n",
    ):
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(request)
            assert re.match(rb"HTTP/1.1 (4|501)", connection.recv(1000))
    rig.check()


def test_the_commands(rig: Rig) -> None:
    rig.stripe.shape = STRIPE["a bad key"]
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "portal", "sync"]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]} | rig.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "internal_error" in done.stdout
    rig.watch.look_at("the command", done.stdout)
    rig.check()


def test_a_start_that_fails_names_no_value(rigs: dict[str, Rig], tmp_path: Path) -> None:
    """Each secret where another one belongs, as it happens when they are pasted."""
    rig = rigs["json"]
    environment = dict(rig.environment)
    values = [STRIPE_KEY, NEW_KEY, HOOKS[0], "redis//MarkedRedis@x", "https://ada@example.com/x"]
    names = [
        "STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET", "SUPABASE_SERVICE_ROLE_KEY", "STRIPE_PLANS",
        "SUPABASE_URL", "CLERK_PUBLISHABLE_KEY", "CLERK_ISSUER", "CLERK_JWT_KEY", "APP_URL",
        "ALLOWED_ORIGINS", "STRIPE_CHECKOUT_PARAMS", "RATE_LIMIT", "RATE_LIMIT_STORAGE_URI",
        "STRIPE_PORTAL_CONFIGURATION", "LOG_LEVEL", "STRIPE_API_BASE",
    ]  # fmt: skip
    rig.watch.complaints.clear()
    rig.watch.keep_secret(*values)
    outputs = []
    for number, value in enumerate(values):
        wrong = dict.fromkeys(names, value)
        _, problems = Settings.collect(environment | wrong)
        assert len(problems) > 8
        outputs.append("\n".join(problems))
        if number == 0:
            done = subprocess.run(
                [
                    sys.executable,
                    "-m",
                    "gunicorn",
                    "-c",
                    str(ROOT / "gunicorn.conf.py"),
                    "wsgi:app",
                ],
                cwd=tmp_path,
                env={"PATH": os.environ["PATH"]} | environment | wrong,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=60,
            )
            assert done.returncode != 0
            outputs.append(done.stdout)
    for output in outputs:
        rig.watch.look_at("a start", output)
    complaints, rig.watch.complaints = rig.watch.complaints, []
    assert not complaints, complaints
