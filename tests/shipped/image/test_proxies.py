"""The samples of docs/docker.md, in the real nginx and the real Caddy, before the image."""

import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from imaged import Service, free_port
from podman import ROOT

HOST = "billing.example.com"
MIB = 1 << 20


def sample(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", (ROOT / "docs/docker.md").read_text(), re.DOTALL)
    assert found, language
    return found[1]


def nginx(folder: Path, port: int, upstream: int) -> list[str]:
    site = sample("nginx")
    site = site.replace("127.0.0.1:8000", f"127.0.0.1:{upstream}")
    site = site.replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl")
    site = re.sub(r"(ssl_certificate) \S+;", rf"\1 {folder}/certificate.pem;", site)
    site = re.sub(r"(ssl_certificate_key) \S+;", rf"\1 {folder}/key.pem;", site)
    (folder / "nginx.conf").write_text(
        f"user root;\ndaemon off;\npid {folder}/pid;\nerror_log stderr;\nevents {{}}\n"
        f"http {{\naccess_log off;\nclient_body_temp_path {folder}/bodies;\n{site}}}\n"
    )
    command = ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    subprocess.run([*command, "-t"], check=True)
    return command


def caddy(folder: Path, port: int, upstream: int) -> list[str]:
    site = sample("caddyfile")
    site = site.replace("127.0.0.1:8000", f"127.0.0.1:{upstream}")
    site = site.replace(
        f"{HOST} {{", f"https://{HOST}:{port} {{\n\ttls {folder}/certificate.pem {folder}/key.pem"
    )
    said = subprocess.run(["caddy", "version"], check=True, capture_output=True, text=True).stdout
    if tuple(map(int, re.findall(r"\d+", said)[:3])) < (2, 6, 4):
        site = re.sub(r"request_buffers \S+", "buffer_requests", site)
    (folder / "Caddyfile").write_text(f"{{\n\tadmin off\n\tauto_https off\n}}\n{site}")
    which = ["--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]
    subprocess.run(["caddy", "validate", *which], check=True)
    return ["caddy", "run", *which]


Prepare = Callable[[Path, int, int], list[str]]


@contextmanager
def running(prepare: Prepare, folder: Path, upstream: int) -> Iterator[int]:
    """The proxy in front of this port; gives its own."""
    request = ["openssl", "req", "-x509", "-nodes", "-newkey", "rsa:2048", "-subj", f"/CN={HOST}"]
    files = ["-keyout", folder / "key.pem", "-out", folder / "certificate.pem"]
    subprocess.run(
        [*request, *files, "-addext", f"subjectAltName=DNS:{HOST}"], check=True, capture_output=True
    )
    port = free_port()
    process = subprocess.Popen(prepare(folder, port, upstream))
    try:
        wait_until_it_listens(port)
        yield port
    finally:
        process.terminate()
        process.wait(20)


def wait_until_it_listens(port: int) -> None:
    for _ in range(100):
        with socket.socket() as trial:
            if trial.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError("the proxy does not listen")


def connect(port: int) -> ssl.SSLSocket:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    plain = socket.create_connection(("127.0.0.1", port), timeout=10)
    return context.wrap_socket(plain, server_hostname=HOST)


def call(port: int, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
    with connect(port) as connection:
        head = f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n"
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode())
        with suppress(OSError):  # refused before it was read to its end
            connection.sendall(body)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    return int(answer.split()[1]), answer.partition(b"\r\n\r\n")[2]


@pytest.fixture(params=[nginx, caddy], ids=["nginx", "caddy"])
def proxy(request: pytest.FixtureRequest, image: str) -> Prepare:
    prepare: Prepare = request.param
    if shutil.which(prepare.__name__) is None:
        pytest.skip(f"the proxy's sample needs: apt-get install {prepare.__name__}")
    return prepare


def test_the_sample_lets_the_contract_through_and_nothing_else(
    proxy: Prepare, image: str, tmp_path: Path
) -> None:
    with (
        Service.started(image, "--env=TRUSTED_PROXY_HOPS=1") as service,
        running(proxy, tmp_path, service.port) as port,
    ):
        status, body = call(port, "GET", "/api/stripe/subscription")
        assert [status, b'"unauthorized"' in body] == [401, True]
        status, body = call(port, "POST", "/api/stripe/webhook", b"x" * MIB)
        assert [status, b'"invalid_signature"' in body] == [400, True]
        status, body = call(port, "POST", "/api/stripe/webhook", b"x" * (MIB + 1))
        assert [status in (413, 502), b"request_id" in body] == [True, False]  # Caddy 2.6: 502
        assert [call(port, "GET", path)[0] for path in ("/metrics", "/readyz", "/")] == [404] * 3
        assert service.get("/metrics").status_code == 200


def test_the_sample_takes_a_slow_body_in_before_it_passes_it_on(
    proxy: Prepare, tmp_path: Path
) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as upstream,
        running(proxy, tmp_path, upstream.getsockname()[1]) as port,
        connect(port) as client,
    ):
        client.sendall(
            f"POST /api/stripe/webhook HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 10\r\n"
            "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: http\r\n\r\nslow-".encode()
        )
        upstream.settimeout(0.5)
        with pytest.raises(TimeoutError):
            upstream.accept()
        client.sendall(b"-body")
        upstream.settimeout(10)
        connection, _ = upstream.accept()
        with connection:
            told = b""
            while not told.endswith(b"slow--body"):
                told += connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        assert client.recv(65536).startswith(b"HTTP/1.1 200")
    headers = told.decode().lower()
    assert "x-forwarded-for: 127.0.0.1\r\n" in headers
    assert "x-forwarded-proto: https\r\n" in headers
    assert f"host: {HOST}\r\n" in headers
    assert "6.6.6.6" not in headers
