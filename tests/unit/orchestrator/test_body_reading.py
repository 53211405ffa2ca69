"""Bodies read into the application's memory: every byte once and in order, whatever the client does."""

import random
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import pytest

from kit.certificates import ensure_certificates
from orchestrator.cli.body_reading import READ_BODY
from tests.support.bounded_server import BoundedServer

BODY = random.Random(7).randbytes(3_000_000)


class Server(BoundedServer):
    """Reads every body ``size`` bytes at a time, and notes the lengths and what was amiss."""

    def __init__(self, **config: Any) -> None:
        self.size = 1_000_000
        self.stalls_after = 30.0
        self.most: int | None = None
        self.bodies: list[bytes] = []
        self.lengths: list[int] = []
        self.trouble: list[type[Exception]] = []
        self.done = threading.Semaphore(0)
        self.began = threading.Semaphore(0)
        super().__init__(**config)

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        read, buffer, body = scope["extensions"][READ_BODY], memoryview(bytearray(self.size)), bytearray()
        try:
            while self.most is None or len(self.lengths) < self.most:
                length = await read(buffer, self.stalls_after)
                self.lengths.append(length)
                self.began.release()
                if not length:
                    break
                body += buffer[:length]
        except (TimeoutError, ConnectionError) as trouble:
            self.trouble.append(type(trouble))
        self.bodies.append(bytes(body))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})
        self.done.release()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


def head(length: int | None, *more: bytes) -> bytes:
    framing = b"transfer-encoding: chunked" if length is None else b"content-length: %d" % length
    return b"\r\n".join([b"PUT / HTTP/1.1", b"host: berth", framing, *more, b"", b""])


def in_chunks(body: bytes, size: int) -> bytes:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in [*pieces, b""])


def answered(connection: socket.socket) -> bytes:
    response = HTTPResponse(connection)
    response.begin()
    assert response.status == 200
    return response.read()


@pytest.mark.parametrize("size", [1_000_000, 999_999, 65536, 3_000_000, 5_000_000])
@pytest.mark.parametrize("chunk", [None, 32768, 1, 700_000])
def test_a_body_arrives_whole_and_in_full_pieces(server: Server, size: int, chunk: int | None) -> None:
    server.size = size
    body = BODY if chunk != 1 else BODY[:5000]
    with server.connect() as connection:
        for _ in range(2):
            if chunk is None:
                connection.sendall(head(len(body)) + body)
            else:
                connection.sendall(head(None) + in_chunks(body, chunk))
            assert answered(connection) == b"ok"
    assert server.bodies == [body] * 2
    # All but the last are full, and the last of all is the end.
    each = [min(size, len(body) - at) for at in range(0, len(body), size)]
    assert server.lengths == [*each, 0] * 2


def test_requests_that_come_with_the_body_of_the_one_before_are_answered(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(head(5) + b"first" + head(None) + in_chunks(BODY, 50_000) + head(0) + head(len(BODY)) + BODY)
        answers = b""
        while answers.count(b"\r\n\r\nok") < 4:
            piece = connection.recv(65536)
            assert piece
            answers += piece
    assert server.bodies == [b"first", BODY, b"", BODY]


def test_a_client_that_waits_to_be_told_is_told_to_go_on(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(head(4, b"expect: 100-continue"))
        assert connection.recv(25, socket.MSG_WAITALL) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"body")
        assert answered(connection) == b"ok"
    assert server.bodies == [b"body"]


def test_what_came_before_a_client_hung_up_is_given(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(head(len(BODY)) + BODY[:1_500_000])
        assert server.began.acquire(timeout=30)
    assert server.done.acquire(timeout=30)
    assert server.bodies == [BODY[:1_500_000]]
    assert server.trouble == [ConnectionError]


def test_what_came_before_a_client_fell_silent_is_given(server: Server) -> None:
    server.stalls_after = 0.1
    with server.connect() as connection:
        connection.sendall(head(len(BODY)) + BODY[:1_500_000])
        assert answered(connection) == b"ok"
    assert server.bodies == [BODY[:1_500_000]]
    assert server.trouble == [TimeoutError]


def test_a_client_is_not_read_from_beyond_what_is_asked_for(server: Server) -> None:
    server.most = 1
    with server.connect() as connection:
        connection.sendall(head(len(BODY)) + BODY[:1_000_000])
        assert answered(connection) == b"ok"
        # The rest is of no use to anyone, but the next request is.
        server.most = 2
        connection.sendall(BODY[1_000_000:] + head(4) + b"next")
        assert answered(connection) == b"ok"
    assert server.bodies == [BODY[:1_000_000], b"next"]


def test_by_tls_bodies_are_read_alike(tmp_path: Path) -> None:
    made = ensure_certificates(tmp_path / "tls", ["127.0.0.1"], now=datetime.now(UTC))
    server = Server(ssl_certfile=made.server, ssl_keyfile=made.key)
    trusting = ssl.create_default_context(cafile=made.authority)
    try:
        with trusting.wrap_socket(server.connect(), server_hostname="127.0.0.1") as connection:
            for _ in range(2):
                connection.sendall(head(len(BODY)) + BODY)
                assert answered(connection) == b"ok"
    finally:
        server.stop()
    assert server.bodies == [BODY] * 2
