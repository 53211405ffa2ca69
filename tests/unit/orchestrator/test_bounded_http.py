"""Heads within bounds: strangers can neither fill the memory nor hold a connection for ever."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from orchestrator.cli import bounded_http
from orchestrator.cli.bounded_http import LARGEST_HEAD
from tests.support.bounded_server import BoundedServer

PIECE = b"a" * 16 * 1024
# What the kernel's buffers on the way may swallow, and some more.
PLENTY = 64 * 1024 * 1024


class Server(BoundedServer):
    """An application that counts what it is sent, on a socket of its own."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.headers: list[dict[bytes, bytes]] = []
        super().__init__()

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body, more = body + message["body"], message["more_body"]
        self.bodies.append(body)
        self.headers.append(dict(scope["headers"]))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


def swallowed(connection: socket.socket, piece: bytes) -> int:
    """How many bytes the other side takes before it hangs up."""
    taken = 0
    try:
        while taken < PLENTY:
            connection.sendall(piece)
            taken += len(piece)
    except OSError:
        pass
    return taken


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"GET /", PIECE),
        (b"GET / HTTP/1.1\r\nhost: berth\r\nx: ", PIECE),
        (b"GET / HTTP/1.1\r\nhost: berth\r\n", b"x: " + PIECE + b"\r\n"),
        (b"POST / HTTP/1.1\r\nhost: b\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n", b"x: " + PIECE + b"\r\n"),
        (b"POST / HTTP/1.1\r\nhost: b\r\ntransfer-encoding: chunked\r\n\r\n1;x=", PIECE),
    ],
    ids=["path", "header", "headers", "trailers", "chunk extension"],
)
def test_a_head_without_end_is_cut_off(server: Server, start: bytes, piece: bytes) -> None:
    with server.connect() as connection:
        connection.sendall(start)
        assert swallowed(connection, piece) < PLENTY
    assert server.bodies == []


def test_a_large_body_and_many_requests_on_one_connection_are_fine(server: Server) -> None:
    body = PIECE * (2 * LARGEST_HEAD // len(PIECE))
    request = b"POST / HTTP/1.1\r\nhost: berth\r\ncontent-length: %d\r\n\r\n" % len(body)
    with server.connect() as connection:
        for _ in range(3):
            connection.sendall(request + body)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
    assert server.bodies == [body] * 3


def test_trailers_are_no_headers(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(
            b"POST / HTTP/1.1\r\nhost: berth\r\ntransfer-encoding: chunked\r\n\r\n"
            b"2\r\nhi\r\n0\r\nx-amz-target: Other.Thing\r\n\r\n"
        )
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
    assert server.bodies == [b"hi"]
    assert b"x-amz-target" not in server.headers[0]


@pytest.mark.parametrize("start", [b"", b"GET / HTTP/1.1\r\nhost: b"], ids=["nothing", "half a head"])
def test_a_head_that_does_not_come_is_not_waited_for(
    server: Server, start: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_http, "HEAD_SECONDS", 0.01)
    with server.connect() as connection:
        connection.sendall(start)
        assert connection.recv(1) == b""
