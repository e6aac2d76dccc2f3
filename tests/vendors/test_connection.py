"""What comes over a connection as an answer, and what does not; what can't be sent over it."""

import socket
from contextlib import suppress

import pytest
from wire import OK, answers, wire

from portal_service.connection import Answer
from portal_service.transport import ConnectionLost, Transport


@pytest.fixture
def transport() -> Transport:
    return Transport.for_threads(8)


def ask(transport: Transport, url: str, path: str = "/v1/prices") -> Answer:
    return transport.ask("stripe", "GET", url + path, {}, None, 10)


def test_an_answer_in_chunks_comes_back_whole(transport: Transport) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    raw = head + b'2\r\n{"\r\n5\r\na": 1\r\n1\r\n}\r\n0\r\n\r\n'
    with wire(answers(raw)) as server:
        assert [ask(transport, server.url).body for _ in range(2)] == [b'{"a": 1}'] * 2
        assert server.connections == 1


def test_an_answer_without_a_length_ends_where_its_connection_does(transport: Transport) -> None:
    def ends(connection: socket.socket) -> bool:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n{}")
        return False

    with wire(ends) as server:
        assert [ask(transport, server.url).body for _ in range(2)] == [b"{}"] * 2
        assert (len(server.requests), server.connections) == (2, 2)


def test_a_hint_is_no_answer(transport: Transport) -> None:
    with wire(answers(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK)) as server:
        answer = ask(transport, server.url)
        assert (answer.status, answer.body, "link" in answer.headers) == (200, b"{}", False)


def test_what_stands_behind_an_answer_is_nobodys(transport: Transport) -> None:
    with wire(answers(OK + b"HTTP/1.1 500 Oops\r\n"), answers()) as server:
        assert [ask(transport, server.url).status for _ in range(2)] == [200, 200]
        assert server.connections == 2


@pytest.mark.parametrize(
    "raw",
    [
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
    ],
)
def test_what_is_no_answer_is_a_lost_connection(transport: Transport, raw: bytes) -> None:
    with wire(answers(raw)) as server, pytest.raises(ConnectionLost):
        ask(transport, server.url)


@pytest.mark.parametrize(
    ("path", "headers"),
    [("/v1/x y", {}), ("/v1/x\r\nA:b", {}), ("/", {"a": "b\nc"}), ("/", {"a\r": "b"})],
)
def test_nothing_slips_into_a_request(
    transport: Transport, path: str, headers: dict[str, str]
) -> None:
    with wire(answers()) as server:
        with suppress(ValueError):  # or the line break is left out, as urllib's parser does
            transport.ask("stripe", "GET", server.url + path, headers, None, 5)
        assert all(request.count(b"\r\n") == 3 for request in server.requests)
