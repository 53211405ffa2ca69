"""Answers that leave whole: what a client sees is what ASGI's two messages would have brought."""

import socket
from collections.abc import Iterator
from http.client import HTTPResponse
from typing import Any

import pytest

from orchestrator.cli.whole_answers import SEND_WHOLE
from tests.support.bounded_server import BoundedServer


class Server(BoundedServer):
    """Answers every request whole, by its path."""

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        body = scope["path"].encode()
        headers = [(b"content-length", b"%d" % len(body)), (b"x-kind", b"whole")]
        await scope["extensions"][SEND_WHOLE](200, headers, body)


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


def answered(connection: socket.socket, method: str = "GET") -> tuple[str | None, bytes]:
    response = HTTPResponse(connection, method=method)
    response.begin()
    assert response.status == 200
    assert response.headers["x-kind"] == "whole"
    return response.headers["content-length"], response.read()


def test_requests_on_one_connection_are_answered_in_turn(server: Server) -> None:
    with server.connect() as connection:
        for path in (b"/one", b"/" + b"x" * 60_000):
            connection.sendall(b"GET %s HTTP/1.1\r\nhost: berth\r\n\r\n" % path)
            assert answered(connection) == (str(len(path)), path)


def test_requests_that_come_together_are_answered_together(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(b"".join(b"GET /%d HTTP/1.1\r\nhost: berth\r\n\r\n" % number for number in range(9)))
        got = b""
        while got.count(b"\r\n\r\n/") < 9:
            piece = connection.recv(65536)
            assert piece
            got += piece
    assert [line for line in got.split(b"\r\n\r\n") if line.startswith(b"/")][-1].startswith(b"/8")


def test_a_head_is_answered_without_a_body(server: Server) -> None:
    with server.connect() as connection:
        for _ in range(2):
            connection.sendall(b"HEAD /five HTTP/1.1\r\nhost: berth\r\n\r\n")
            assert answered(connection, "HEAD") == ("5", b"")


@pytest.mark.parametrize("asked", [b"HTTP/1.1\r\nconnection: close", b"HTTP/1.0"])
def test_a_client_that_wants_no_more_is_hung_up_on_after_its_answer(server: Server, asked: bytes) -> None:
    with server.connect() as connection:
        connection.sendall(b"GET /last %s\r\nhost: berth\r\n\r\n" % asked)
        got = b""
        while piece := connection.recv(65536):
            got += piece
    assert got.endswith(b"\r\n\r\n/last")
    assert b"connection: close" in got.lower()
