"""Too many, too slow, too idle: what one stranger can do to the others. All of it stays on this
machine, and ends by itself.
"""

import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from service_under_test import APP_URL, Log, MakeService, Service, calls, refused
from under_attack import POSTS, Answer, forged, part, read, received, request

from sandbox.clerk import Clerk
from sandbox.service import Service as Gunicorn
from sandbox.world import World

ROOT = Path(__file__).parents[2]
HOST = "billing.example.com"


def needed(program: str, package: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is missing: apt-get install {package}")


def together(count: int, act: Callable[[int], Any]) -> list[Any]:
    with ThreadPoolExecutor(min(count, 16)) as pool:
        return list(pool.map(act, range(count)))


# Rate limits


def test_a_limit_in_memory_is_exact_under_a_burst(make_service: MakeService, ada: str) -> None:
    service = make_service(rate_limit="5/hour", refresh_rate_limit="3/hour")
    headers = service.bearer()
    service.status()  # Clerk's keys are there

    for path, limit in (("/portal", 5), ("/subscription/refresh", 3)):
        statuses = together(
            20, lambda _, path=path: service.call("POST", path, headers=headers).status_code
        )
        assert statuses.count(429) == 20 - limit


@dataclass
class Redis:
    """A real server at a socket of its own, that can be stopped."""

    folder: Path
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def uri(self) -> str:
        return f"redis+unix://{self.folder}/redis.sock"

    def start(self) -> None:
        options = ["--port", "0", "--unixsocket", "redis.sock", "--save", "", "--appendonly", "no"]
        self.process = subprocess.Popen(
            ["redis-server", *options], cwd=self.folder, stdout=subprocess.DEVNULL
        )
        wait_until(lambda: can_connect(self.folder / "redis.sock"))

    def stop(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait(10)
            self.process = None


def can_connect(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as trial:
        return trial.connect_ex(str(path)) == 0


def wait_until(true: Callable[[], bool], seconds: float = 10) -> None:
    last_chance = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < last_chance, "waited in vain"
        time.sleep(0.01)


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """For sockets, whose paths must be short."""
    with TemporaryDirectory(prefix="portal-") as folder:
        yield Path(folder)


@pytest.fixture
def redis(short_folder: Path) -> Iterator[Redis]:
    needed("redis-server", "redis-server")
    pytest.importorskip("redis", reason="the client is missing: requirements-redis.txt")
    redis = Redis(short_folder)
    redis.start()
    yield redis
    redis.stop()


def close_limiters(*services: Service) -> None:
    """Else the collector of garbage finds open sockets, which is a warning."""
    for service in services:
        service.app.extensions["portal_service"].limiter.storage.storage.close()


def test_a_limit_in_redis_is_exact_over_two_replicas(
    make_service: MakeService, ada: str, redis: Redis
) -> None:
    replicas = [
        make_service(
            rate_limit="7/hour", refresh_rate_limit="4/hour", rate_limit_storage_uri=redis.uri
        )
        for _ in range(2)
    ]
    for replica in replicas:
        replica.status()
    headers = {user: replicas[0].bearer(user) for user in ("ada", "eve")}

    for path, limit in (("/portal", 7), ("/subscription/refresh", 4)):
        for user in ("ada", "eve"):  # each with a limit of their own
            statuses = together(
                20,
                lambda number, path=path, user=user: (
                    replicas[number % 2].call("POST", path, headers=headers[user]).status_code
                ),
            )
            assert statuses.count(429) == 20 - limit
    for replica in replicas:
        answer = replica.checkout()  # counts with the portal
        refused(answer, "rate_limited")
        assert 1 <= int(answer.headers["Retry-After"]) <= 3600
    close_limiters(*replicas)


def test_when_redis_is_down_the_service_is_not_and_says_so(
    make_service: MakeService, ada: str, redis: Redis, log: Log
) -> None:
    service = make_service(rate_limit="2/hour", rate_limit_storage_uri=redis.uri)
    assert [service.checkout().status_code for _ in range(3)] == [200, 200, 429]
    errors = service.metric("portal_rate_limit_errors_total")

    redis.stop()
    assert [service.checkout().status_code for _ in range(3)] == [200] * 3
    assert service.metric("portal_rate_limit_errors_total") == errors + 3
    said = [line for line in log.lines if line["message"] == "rate limits are not counted"]
    assert [line["level"] for line in said] == ["ERROR"] * 3
    assert all(line["request_id"] for line in said)
    assert str(redis.folder) not in log.text

    redis.start()  # it has forgotten, and counts again
    assert [service.checkout().status_code for _ in range(3)] == [200, 200, 429]
    assert service.metric("portal_rate_limit_errors_total") == errors + 3
    close_limiters(service)


def test_the_service_starts_without_its_redis(
    make_service: MakeService, ada: str, short_folder: Path
) -> None:
    pytest.importorskip("redis", reason="the client is missing: requirements-redis.txt")
    service = make_service(rate_limit_storage_uri=f"redis+unix://{short_folder}/nobody.sock")
    assert service.checkout().status_code == 200


@contextmanager
def silent_redis(how: str) -> Iterator[int]:
    """The port of one that does not answer. full: not even the connection comes about."""
    with ExitStack() as stack, socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0 if how == "full" else 50)
        for _ in range(8 if how == "full" else 0):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]


@pytest.mark.parametrize("how", ["silent", "full"])
def test_a_redis_that_hangs_holds_nobody(
    make_service: MakeService, ada: str, how: str, log: Log
) -> None:
    pytest.importorskip("redis", reason="the client is missing: requirements-redis.txt")
    with silent_redis(how) as port:
        service = make_service(rate_limit_storage_uri=f"redis://127.0.0.1:{port}")
        service.status()
        errors = service.metric("portal_rate_limit_errors_total")
        answers: list[Any] = []
        caller = threading.Thread(target=lambda: answers.append(service.checkout()), daemon=True)
        caller.start()
        caller.join(20)
        assert answers, "still waiting for Redis"
        assert answers[0].status_code == 200
        assert service.metric("portal_rate_limit_errors_total") == errors + 1
        assert "rate limits are not counted" in log.text


# Floods


def flood(clerk: Clerk) -> list[str]:
    """Tokens each of which could be a reason to ask Clerk for new keys."""
    header = read(clerk.session_token("user_ada").partition(".")[0])
    claims = clerk.claims("user_ada")
    stranger = Clerk(clerk._faults)
    unknown = [forged(header | {"kid": f"ins_{n}"}, claims, stranger._key) for n in range(60)]
    forgeries = [forged(header, claims | {"jti": str(n)}, stranger._key) for n in range(20)]
    without = forged({k: v for k, v in header.items() if k != "kid"}, claims, stranger._key)
    unsigned = f"{part(header | {'alg': 'none'})}.{part(claims)}."
    return [*unknown, *forgeries, *[without] * 10, *[unsigned] * 10]


@pytest.mark.parametrize("clerk_is", ["up", "down"])
def test_a_flood_of_bad_tokens_asks_clerk_once_per_cool_down(
    world: World, service: Service, database_calls: list[str], clerk_is: str
) -> None:
    service.status()
    world.faults.clerk = clerk_is
    tokens = flood(world.clerk)
    good = service.bearer()
    database_calls.clear()
    before = world.clerk.jwks_requests

    def attempt(number: int) -> int:
        headers = {"Authorization": f"Bearer {tokens[number]}"}
        status: int = service.call("GET", "/subscription", headers=headers).status_code
        return status

    # 503 is for those that come while one fetches.
    assert set(together(len(tokens), attempt)) <= {401, 503}
    assert world.clerk.jwks_requests - before <= 1
    assert database_calls == []
    assert service.call("GET", "/subscription", headers=good).status_code == 200


def test_a_flood_of_good_tokens_asks_clerk_once(world: World, service: Service) -> None:
    headers = [service.bearer(f"user{number}") for number in range(40)]
    before = world.clerk.jwks_requests

    statuses = together(
        40, lambda number: service.call("GET", "/subscription", headers=headers[number]).status_code
    )
    assert set(statuses) <= {200, 503}  # those that come while one fetches
    assert 200 in statuses
    assert world.clerk.jwks_requests == before + 1


def test_a_flood_of_unsigned_webhooks_costs_no_call_at_all(
    world: World, service: Service, database_calls: list[str]
) -> None:
    world.stripe.create_subscription("user_ada", "price_pro")
    world.stripe.calls.clear()
    before = world.clerk.jwks_requests
    bodies = [b"", b"{}", b"\xff", b"x" * (1 << 20), b'{"type": "customer.subscription.updated"}']
    signatures = [
        "",
        "t=1,v1=0",
        f"t={int(time.time())},v1={'0' * 64}",
        "é".encode().decode("latin-1"),
    ]

    def attempt(number: int) -> int:
        headers = {"Stripe-Signature": signatures[number % 4]}
        body = bodies[number % 5]
        status: int = service.call("POST", "/webhook", data=body, headers=headers).status_code
        return status

    assert together(200, attempt) == [400] * 200
    assert database_calls == []
    assert calls(world.stripe) == []
    assert world.clerk.jwks_requests == before


def test_a_flood_without_tokens_costs_no_call_at_all(
    world: World, service: Service, database_calls: list[str]
) -> None:
    before = world.clerk.jwks_requests
    for path in POSTS:
        statuses = together(
            50, lambda _, path=path: service.call("POST", path, json={"flow": "x"}).status_code
        )
        assert statuses == [401] * 50
    assert database_calls == []
    assert calls(world.stripe) == []
    assert world.clerk.jwks_requests == before


def test_unknown_callers_make_no_new_series_of_metrics(service: Service) -> None:
    def series() -> set[str]:
        lines = service.root("/metrics").text.splitlines()
        return {line.rpartition(" ")[0] for line in lines if not line.startswith("#")}

    def strange(number: int) -> None:
        service.root(f"/strange/{number}")
        service.call("GET", f"/strange-{number}", headers={"X-Request-ID": f"request-{number}"})
        service.call("POST", "/webhook", data=f'{{"type": "strange.{number}"}}')

    strange(0)
    series()  # which has some of its own
    before = series()
    for number in range(1, 50):
        strange(number)
    assert series() == before


# Slow bodies and idle connections, before the nginx of the documentation


@pytest.fixture
def few_threads(shared_world: World, tmp_path: Path) -> Iterator[Gunicorn]:
    """The real server with four threads in all."""
    environment = shared_world.environment(APP_URL)
    environment |= {"WEB_CONCURRENCY": "1", "THREADS": "4", "TRUSTED_PROXY_HOPS": "1"}
    with Gunicorn(environment, tmp_path) as running:
        yield running


def certificate(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # OpenSSL keeps the machine's clock where the suite runs at another date.
        .not_valid_before(datetime(2000, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2100, 1, 1, tzinfo=UTC))
        .sign(key, hashes.SHA256())
    )
    (folder / "certificate.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    secret = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(secret)


def sample() -> str:
    """What docs/docker.md tells operators to write into their nginx."""
    text = (ROOT / "docs/docker.md").read_text()
    found = re.search(r"```nginx\n(.*?)```", text, re.DOTALL)
    assert found
    return found[1]


class Nginx:
    """The documented sample, only with addresses and certificates of this test."""

    def __init__(self, folder: Path, upstream: str) -> None:
        self.socket = folder / "nginx.sock"
        certificate(folder)
        site = sample()
        for documented, here in (
            ("127.0.0.1:8000", upstream.removeprefix("http://")),
            ("listen 443 ssl", f"listen unix:{self.socket} ssl"),
            ("/etc/ssl/billing.example.com.pem", f"{folder}/certificate.pem"),
            ("/etc/ssl/private/billing.example.com.key", f"{folder}/key.pem"),
        ):
            assert documented in site
            site = site.replace(documented, here)
        places = "".join(
            f"{name}_temp_path {folder}/{name};\n"
            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        user = "user root;\n" if os.getuid() == 0 else ""
        configuration = folder / "nginx.conf"
        configuration.write_text(
            f"{user}daemon off;\npid {folder}/pid;\nerror_log stderr;\n"
            f"events {{}}\nhttp {{\naccess_log off;\n{places}{site}}}\n"
        )
        command = ["nginx", "-p", str(folder), "-c", str(configuration), "-e", "stderr"]
        self._process = subprocess.Popen(command, stderr=sys.stderr.fileno())
        self._context = ssl.create_default_context(cafile=f"{folder}/certificate.pem")

    def __enter__(self) -> "Nginx":
        try:
            wait_until(lambda: can_connect(self.socket))
        except BaseException:
            self._process.terminate()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(20)

    def connect(self, seconds: float = 20) -> ssl.SSLSocket:
        plain = socket.socket(socket.AF_UNIX)
        plain.settimeout(seconds)
        plain.connect(str(self.socket))
        return self._context.wrap_socket(plain, server_hostname=HOST)

    def call(self, head: bytes, body: bytes = b"") -> Answer:
        with self.connect() as connection:
            connection.sendall(head + body)
            return Answer(received(connection))


def test_slow_bodies_and_idle_connections_starve_nobody_behind_nginx(
    shared_world: World, world: World, few_threads: Gunicorn, short_folder: Path
) -> None:
    needed("nginx", "nginx-light")
    world.add_user("ada")
    token = world.clerk.session_token("user_ada")
    question = request("GET", "/api/stripe/subscription", f"Authorization: Bearer {token}")
    slow = request("POST", "/api/stripe/webhook", "Content-Length: 100000")
    chunked = request("POST", "/api/stripe/portal", "Transfer-Encoding: chunked")

    with Nginx(short_folder, few_threads.url) as nginx, ExitStack() as hanging:
        assert nginx.call(question).status == 200
        for number in range(50):
            connection = hanging.enter_context(nginx.connect())
            connection.sendall((slow + b"{" * 500) if number % 2 else (chunked + b"5\r\nab"))
            idle = hanging.enter_context(nginx.connect())
            if number % 2:
                idle.sendall(b"GET /api/stripe/subscription HTTP/1.1\r\nHost: x\r\nX-Slow")

        for _ in range(5):
            assert nginx.call(question).status == 200
            nginx.call(request("POST", "/api/stripe/webhook", "Content-Length: 2"), b"{}").refused(
                "invalid_signature", 400
            )
        # The service has not heard of them: it answers at its own door too.
        assert requests.get(f"{few_threads.url}/healthz", timeout=20).status_code == 200


def test_without_the_proxy_a_few_slow_bodies_are_enough(few_threads: Gunicorn) -> None:
    """Why the documentation insists on one: this is what it saves us from."""
    host, port = few_threads.url.removeprefix("http://").split(":")
    head = request("POST", "/api/stripe/webhook", "Content-Length: 100000")
    with ExitStack() as hanging:
        for _ in range(8):
            connection = hanging.enter_context(socket.create_connection((host, int(port))))
            connection.sendall(head + b"{")
        with pytest.raises(requests.Timeout):
            requests.get(f"{few_threads.url}/healthz", timeout=1.5)
    assert requests.get(f"{few_threads.url}/healthz", timeout=10).status_code == 200
