"""The one way out, over real sockets."""

import gzip
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
import stripe
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from prometheus_client import REGISTRY
from wire import OK, Wire, answers, blackhole, drips, resets, wire

from portal_service import deadline
from portal_service.connection import Answer
from portal_service.sdk_transports import StripeTransport, SupabaseClient
from portal_service.slots import NoSlot, Slots, TimedOut
from portal_service.transport import ConnectionLost, Transport, Unreachable, template

SHORT = 0.3
# Bytes: more than the kernel takes for a socket at once, and the last record of TLS is a big one.
BEYOND_BUFFERS = 8 * 1024 * 1024 + 10_000


@pytest.fixture
def slots() -> Slots:
    return Slots(8)


@pytest.fixture
def transport(slots: Slots, monkeypatch: pytest.MonkeyPatch) -> Transport:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return Transport(slots)


def ask(
    transport: Transport, at: Wire | str, path: str = "/v1/prices", timeout: float = 10
) -> Answer:
    url = at if isinstance(at, str) else at.url
    return transport.ask("stripe", "GET", url + path, {}, None, timeout)


# What comes back


def test_an_answer_comes_back_whole_and_decoded(transport: Transport) -> None:
    packed = gzip.compress(b'{"a": 1}')
    head = f"HTTP/1.1 418 Tea\r\nContent-Encoding: gzip\r\nDate: x\r\nContent-Length: {len(packed)}"
    with wire(answers(head.encode() + b"\r\n\r\n" + packed)) as server:
        answer = ask(transport, server)
        assert (answer.status, answer.headers["date"], answer.body) == (418, "x", b'{"a": 1}')


def test_a_redirect_is_an_answer(transport: Transport) -> None:
    with wire(answers(b"HTTP/1.1 302 F\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n")) as server:
        assert ask(transport, server).status == 302
        assert len(server.requests) == 1


def test_supabases_client_reads_it(transport: Transport) -> None:
    packed = gzip.compress(b"[1]")
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n"
    with wire(answers(head.encode() + packed)) as server, SupabaseClient(transport, 5) as client:
        query, sent = httpx.QueryParams({"id": 'in.("a b","c")'}), '{"ä":1}'.encode()
        answer = client.request("POST", f"{server.url}/rest/v1/x", params=query, content=sent)
        assert answer.json() == [1]
        (heard,) = server.requests
        assert heard.startswith(b"POST /rest/v1/x?id=in.%28%22a+b%22%2C%22c%22%29 HTTP/1.1\r\n")
        assert heard.endswith('\r\n\r\n{"ä":1}'.encode())


def test_stripes_sdk_reads_it(transport: Transport) -> None:
    body = b'{"id": "cus_1", "object": "customer"}'
    head = b"HTTP/1.1 200 OK\r\nRequest-Id: req_1\r\nContent-Length: %d\r\n\r\n" % len(body)
    with wire(answers(head + body)) as server:
        client = stripe.StripeClient(
            "sk_test_x",
            http_client=StripeTransport(transport, 5),
            base_addresses={"api": server.url},
        )
        created = client.v1.customers.create({"metadata": {"a": "b c"}})
        assert (created.id, created.last_response.request_id) == ("cus_1", "req_1")
        (heard,) = server.requests
        assert heard.startswith(b"POST /v1/customers HTTP/1.1\r\n")
        assert b"\r\nidempotency-key: " in heard.lower()  # or a repetition would not be safe
        assert heard.endswith(b"\r\n\r\nmetadata[a]=b+c")


# The clock on the wall


@pytest.mark.parametrize(
    "behaviour",
    [
        drips(b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x", b"\r\nContent-Length: 0\r\n\r\n"),
        drips(b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n", b"x", b""),
        drips(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b"x", b""),
        drips(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", b"0\r\n\r\n"
        ),
        drips(b"", b"", b""),
    ],
    ids=["head", "body", "body without an end", "chunks", "nothing at all"],
)
def test_an_answer_that_drips_ends_in_time(transport: Transport, behaviour) -> None:
    with wire(behaviour) as server, pytest.raises(TimedOut):
        ask(transport, server, timeout=SHORT)


def test_what_is_left_of_the_budget_counts_where_it_is_less(transport: Transport) -> None:
    with wire(drips(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", b"\r\n")) as server:
        with deadline.within(SHORT), pytest.raises(TimedOut) as late:
            ask(transport, server, timeout=60)
        assert not late.value.counts
        with deadline.within(0), pytest.raises(deadline.OutOfTime):
            ask(transport, server, timeout=60)
        assert len(server.requests) == 1


def test_the_next_address_of_a_name_gets_its_share(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    with blackhole() as port, wire(answers()) as server:
        addresses = [("127.0.0.1", port), ("127.0.0.1", server.port)]
        monkeypatch.setattr(
            socket,
            "getaddrinfo",
            lambda *_, **__: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", a) for a in addresses],
        )
        assert ask(transport, "http://several.example", timeout=2).status == 200


def test_an_address_that_takes_no_connection_is_a_time_out(transport: Transport) -> None:
    with blackhole() as port, pytest.raises(TimedOut):
        ask(transport, f"http://127.0.0.1:{port}", timeout=SHORT)


def test_a_call_in_time_is_not_ended_by_an_earlier_ones_clock(transport: Transport) -> None:
    with wire(drips(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", b"\r\n"), answers()) as server:
        with pytest.raises(TimedOut):
            ask(transport, server, timeout=SHORT)
        assert ask(transport, server).body == b"{}"


# Connections


def test_a_connection_is_kept(transport: Transport) -> None:
    with wire(answers()) as server:
        for _ in range(3):
            ask(transport, server)
        assert (len(server.requests), server.connections) == (3, 1)


def test_each_thread_keeps_one(transport: Transport) -> None:
    meet = threading.Barrier(6)

    def meets(connection: socket.socket) -> bool:
        meet.wait(10)
        return answers()(connection)

    with wire(meets) as server:
        for _ in range(2):
            threads = [threading.Thread(target=ask, args=[transport, server]) for _ in range(6)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert (len(server.requests), server.connections) == (12, 6)


def test_a_reset_connection_is_tried_once_more(transport: Transport) -> None:
    with wire(resets, answers()) as server:
        assert ask(transport, server).status == 200
        assert len(server.requests) == 2


@pytest.mark.parametrize(
    "behaviour", [resets, lambda c: bool(c.sendall(OK[:-1]))], ids=["before", "within"]
)
def test_and_no_more_than_once(transport: Transport, behaviour) -> None:
    with wire(behaviour) as server:
        with pytest.raises(ConnectionLost):
            ask(transport, server)
        assert len(server.requests) == 2


def test_a_kept_connection_that_was_ended_is_not_used(transport: Transport) -> None:
    hung_up = threading.Event()

    def once(connection: socket.socket) -> bool:
        connection.sendall(OK)
        connection.close()
        hung_up.set()
        return False

    with wire(once, answers()) as server:
        ask(transport, server)
        assert hung_up.wait(30)
        assert ask(transport, server).status == 200
        assert (len(server.requests), server.connections) == (2, 2)
    assert sample("portal_vendor_retries_total", vendor="stripe", call="GET /v1/x") == 0


def test_nobody_there_is_told_at_once(transport: Transport) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(Unreachable):
            ask(transport, f"http://127.0.0.1:{closed.getsockname()[1]}")
    with pytest.raises(Unreachable):
        ask(transport, "http://nowhere.invalid")


# Certificates and proxies


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of localhost, signed by itself; with its key. Good on any date, since OpenSSL has the
    machine's own, whatever the suite's is.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    names = [x509.DNSName("localhost")]
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2120, 1, 1, tzinfo=UTC))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    path.write_bytes(
        signed.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


@pytest.fixture
def over_tls(certificate: Path) -> Iterator[Wire]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with wire(answers(), context=context) as server:
        yield server


def test_a_certificate_that_nobody_knows_is_refused(transport: Transport, over_tls: Wire) -> None:
    with pytest.raises(Unreachable):
        ask(transport, over_tls)
    assert over_tls.requests == []


def test_a_company_has_certificates_of_its_own(
    transport: Transport, over_tls: Wire, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert [ask(transport, over_tls).status for _ in range(2)] == [200, 200]
    assert over_tls.connections == 1


def test_a_certificate_of_another_name_is_refused(
    transport: Transport, over_tls: Wire, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with pytest.raises(Unreachable):
        ask(transport, over_tls.url.replace("localhost", "127.0.0.1"))
    assert over_tls.requests == []


def test_a_vendor_that_drips_over_tls_ends_in_time(
    transport: Transport, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    dripping = drips(b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x", b"\r\nContent-Length: 0\r\n\r\n")
    with wire(dripping, context=context) as server, pytest.raises(TimedOut):
        ask(transport, server, timeout=SHORT)


@pytest.mark.parametrize("encrypted", [False, True])
def test_what_no_buffer_holds_goes_there_and_comes_back(
    transport: Transport, certificate: Path, monkeypatch: pytest.MonkeyPatch, encrypted: bool
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    sent, said = os.urandom(BEYOND_BUFFERS), os.urandom(BEYOND_BUFFERS)
    answer = answers(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(said) + said)
    with wire(answer, context=context if encrypted else None) as server:
        for _ in range(2):
            heard = transport.ask("stripe", "POST", server.url + "/v1/prices", {}, sent, 30)
            assert heard.body == said
        assert [request.endswith(sent) for request in server.requests] == [True, True]
        assert server.connections == 1


def test_who_does_not_take_the_question_is_a_time_out(transport: Transport) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(TimedOut):
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1/prices"
        transport.ask("stripe", "POST", url, {}, bytes(4 * BEYOND_BUFFERS), SHORT)


@pytest.mark.parametrize("value", ["http://localhost:{port}", "localhost:{port}"])
def test_a_proxy_of_the_environment_is_used(
    transport: Transport, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    with wire(answers()) as proxy:
        monkeypatch.setenv("HTTP_PROXY", value.format(port=proxy.port))
        assert ask(transport, "http://vendor.example").status == 200
        assert proxy.requests[0].startswith(b"GET http://vendor.example/v1/prices HTTP/1.1\r\n")


def test_a_proxy_connects_us_through_to_what_is_encrypted(
    transport: Transport, over_tls: Wire, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    def connects(connection: socket.socket) -> bool:
        with socket.create_connection(("localhost", over_tls.port)) as behind:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=pumped, args=[behind, connection])
            back.start()
            pumped(connection, behind)
            back.join()
        return False

    with wire(connects) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", "//us:a%20b@"))
        monkeypatch.setenv("NO_PROXY", "")
        assert [ask(transport, over_tls).status for _ in range(2)] == [200, 200]
        transport._hosts.clear()
    assert (len(over_tls.requests), over_tls.connections) == (2, 1)
    (told,) = proxy.requests
    assert told.startswith(b"CONNECT localhost:%d HTTP/1.1\r\n" % over_tls.port)
    assert b"\r\nProxy-Authorization: Basic dXM6YSBi\r\n" in told  # us:a b
    assert all(b"Proxy-Authorization" not in request for request in over_tls.requests)


def pumped(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("refusal", [b"HTTP/1.1 407 Who are you\r\n\r\n", b"x\r\n\r\n"])
def test_a_proxy_that_does_not_connect_us_is_unreachable(
    transport: Transport, monkeypatch: pytest.MonkeyPatch, refusal: bytes
) -> None:
    with wire(answers(refusal)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with pytest.raises(Unreachable):
            ask(transport, "https://vendor.example")


def test_a_proxy_is_not_used_where_the_environment_says_so(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    with wire(answers()) as proxy, wire(answers()) as server:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", "localhost")
        ask(transport, server)
        assert (len(server.requests), len(proxy.requests)) == (1, 0)


# Slots, and what is counted


def sample(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_a_call_without_a_place_is_not_made_and_counted(transport: Transport, slots: Slots) -> None:
    refused = {"vendor": "clerk", "call": "GET /.well-known/jwks.json", "reason": "busy"}
    before = sample("portal_vendor_refused_total", **refused)
    with wire(answers()) as server, slots.asking("clerk"):
        with pytest.raises(NoSlot):
            transport.ask("clerk", "GET", f"{server.url}/.well-known/jwks.json", {}, None, 1)
        assert server.connections == 0
    assert sample("portal_vendor_refused_total", **refused) == before + 1


def test_seconds_and_who_waits_are_counted(transport: Transport) -> None:
    seen = []

    def looks(connection: socket.socket) -> bool:
        seen.append(sample("portal_vendor_in_flight", vendor="stripe"))
        return answers()(connection)

    labels = {"vendor": "stripe", "call": "GET /v1/customers/{id}"}
    before = sample("portal_vendor_seconds_count", **labels)
    with wire(looks) as server:
        ask(transport, server, "/v1/customers/cus_1?expand=x")
    assert sample("portal_vendor_seconds_count", **labels) == before + 1
    assert seen == [1.0]
    assert sample("portal_vendor_in_flight", vendor="stripe") == 0.0


def test_a_second_try_of_ours_is_counted(transport: Transport) -> None:
    labels = {"vendor": "stripe", "call": "GET /v1/prices/{id}"}
    before = sample("portal_vendor_retries_total", **labels)
    with wire(resets, answers()) as server:
        ask(transport, server, "/v1/prices/price_1")
    assert sample("portal_vendor_retries_total", **labels) == before + 1


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/v1/checkout/sessions/cs_test_1/expire", "/v1/checkout/sessions/{id}/expire"),
        ("/v1/prices/gold-monthly", "/v1/prices/{id}"),
        ("/rest/v1/rpc/billing_account", "/rest/v1/rpc/billing_account"),
        ("/rest/v1/subscriptions?stripe_customer_id=eq.cus_1", "/rest/v1/subscriptions"),
        ("/rest/v1/a_table_of_theirs", "/rest/v1/{id}"),
    ],
)
def test_no_id_is_in_a_metrics_label(path: str, shown: str) -> None:
    assert template(f"https://x.example{path}") == shown


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (NoSlot("busy"), httpx.PoolTimeout),
        (TimedOut(), httpx.ReadTimeout),
        (Unreachable("x"), httpx.ConnectError),
        (ConnectionLost("x"), httpx.ReadError),
    ],
)
def test_what_supabases_client_is_told(
    transport: Transport, monkeypatch: pytest.MonkeyPatch, error: Exception, kind: type[Exception]
) -> None:
    monkeypatch.setattr(transport, "ask", lambda *_: (_ for _ in ()).throw(error))
    with SupabaseClient(transport, 5) as client, pytest.raises(kind):
        client.request("GET", "http://x.example")


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (NoSlot("busy"), False),
        (TimedOut(), True),
        (Unreachable("x"), True),
        (ConnectionLost("x"), False),  # it was tried twice
        (deadline.OutOfTime(), False),
    ],
)
def test_what_stripes_sdk_is_told(
    transport: Transport, monkeypatch: pytest.MonkeyPatch, error: Exception, again: bool
) -> None:
    monkeypatch.setattr(transport, "ask", lambda *_: (_ for _ in ()).throw(error))
    with pytest.raises(stripe.APIConnectionError) as told:
        StripeTransport(transport, 5).request("get", "http://x.example", {})
    assert told.value.should_retry is again
