"""A reverse proxy before the service: nginx where it is installed, else a small one of our own."""

import contextlib
import http.client
import itertools
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

START_SECONDS = 10.0
# What is done with a caller's X-Forwarded-For, as nginx writes it.
FORWARDED_FOR = {
    "passed on": "$http_x_forwarded_for",
    "appended to": "$proxy_add_x_forwarded_for",
    "replaced": "$remote_addr",
}

NGINX = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream replicas {{
        {servers}
        keepalive 32;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://replicas;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header X-Forwarded-For {forwarded_for};
            proxy_read_timeout 30s;
        }}
    }}
}}
"""


@contextlib.contextmanager
def reverse_proxy(
    urls: Sequence[str], folder: Path, forwarded_for: str = "passed on"
) -> Iterator[tuple[str, str]]:
    """Its name and its address. forwarded_for: one of FORWARDED_FOR."""
    nginx = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    with (
        _nginx(nginx, urls, folder, forwarded_for) if nginx else _our_own(urls, forwarded_for)
    ) as running:
        yield running


@contextlib.contextmanager
def _nginx(
    command: str, urls: Sequence[str], folder: Path, forwarded_for: str
) -> Iterator[tuple[str, str]]:
    folder.mkdir(parents=True, exist_ok=True)
    port = _free_port()
    servers = "\n        ".join(f"server {urlsplit(url).netloc} max_fails=0;" for url in urls)
    config = folder / "nginx.conf"
    header = FORWARDED_FOR[forwarded_for]
    config.write_text(NGINX.format(folder=folder, servers=servers, port=port, forwarded_for=header))
    process = subprocess.Popen([command, "-p", str(folder), "-c", str(config)])
    try:
        _wait_until_listening(process, port)
        yield "nginx", f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _wait_until_listening(process: "subprocess.Popen[bytes]", port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as trial:
            if trial.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError("nginx did not start")


def _free_port() -> int:
    with socket.socket() as any_port:
        any_port.bind(("127.0.0.1", 0))
        return int(any_port.getsockname()[1])


@contextlib.contextmanager
def _our_own(urls: Sequence[str], forwarded_for: str) -> Iterator[tuple[str, str]]:
    turn = itertools.cycle(urlsplit(url).netloc for url in urls)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, answer = 502, b""
            headers = _forwarded(dict(self.headers), forwarded_for, self.client_address[0])
            # As nginx: the next replica where a connection is refused, not where one was lost.
            for _ in urls:
                try:
                    connection = http.client.HTTPConnection(next(turn), timeout=30)
                    connection.connect()
                except OSError:
                    continue
                with contextlib.suppress(OSError, http.client.HTTPException):
                    connection.request("POST", self.path, body, headers)
                    got = connection.getresponse()
                    status, answer = got.status, got.read()
                connection.close()
                break
            head = f"HTTP/1.1 {status} As told\r\nContent-Length: {len(answer)}\r\n\r\n"
            self.wfile.write(head.encode() + answer)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield "a small proxy of our own", f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _forwarded(headers: dict[str, str], forwarded_for: str, client: str) -> dict[str, str]:
    name = "X-Forwarded-For"
    if forwarded_for == "replaced":
        headers[name] = client
    elif forwarded_for == "appended to":
        headers[name] = f"{headers[name]}, {client}" if name in headers else client
    return headers
