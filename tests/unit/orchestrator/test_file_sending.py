"""Files leave through the kernel, and whatever happens on the way ends well: on real sockets."""

import asyncio
import errno
import logging
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.client import HTTPResponse, IncompleteRead
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from kit.certificates import ensure_certificates
from orchestrator.cli import bounded_http
from orchestrator.cli.bounded_http import BoundedHttp
from orchestrator.cli.file_sending import ZERO_COPY
from orchestrator.cli.serve import listen

# More than the kernel's buffers on the way hold, so that the other end decides how fast it goes.
SIZE = 48 * 1024 * 1024
ASK = b"%s /%d-%d HTTP/1.1\r\nhost: berth\r\n\r\n"


class Server:
    """Sends parts of one file: ``/<offset>-<count>``. Notes which ways it was offered, and when it was done."""

    def __init__(self, path: Path, **config: Any) -> None:
        self.path = path
        self.offered: list[bool] = []
        self.done = threading.Semaphore(0)
        self.says = 0
        self.waits_for_hang_up = False
        self._socket = listen("127.0.0.1", 0, "test")
        self.address = self._socket.getsockname()
        self._server = uvicorn.Server(
            uvicorn.Config(
                self._app,
                http=BoundedHttp,
                interface="asgi3",
                log_config=None,
                lifespan="off",
                timeout_graceful_shutdown=30,
                **config,
            )
        )
        self._thread = threading.Thread(target=lambda: asyncio.run(self._server.serve([self._socket])))
        self._thread.start()

    def connect(self) -> socket.socket:
        connection = socket.create_connection(self.address)
        connection.settimeout(30)
        return connection

    def begin_stop(self) -> None:
        self._server.should_exit = True

    def stop(self) -> None:
        self.begin_stop()
        self._thread.join()
        self._socket.close()

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        self.offered.append(ZERO_COPY in scope.get("extensions", {}))
        offset, count = (int(part) for part in scope["path"][1:].split("-"))
        length = str(count + self.says).encode()
        while self.waits_for_hang_up and (await receive())["type"] != "http.disconnect":
            pass
        try:
            with self.path.open("rb", buffering=0) as file:
                await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
                if self.offered[-1]:
                    await send({"type": ZERO_COPY, "file": file, "offset": offset, "count": count})
                else:
                    data = os.pread(file.fileno(), count, offset)
                    await send({"type": "http.response.body", "body": data})
        finally:
            self.done.release()


@pytest.fixture(scope="module")
def content() -> bytes:
    return os.urandom(SIZE)


@pytest.fixture
def path(tmp_path: Path, content: bytes) -> Path:
    (tmp_path / "file").write_bytes(content)
    return tmp_path / "file"


@pytest.fixture
def server(path: Path) -> Iterator[Server]:
    server = Server(path)
    yield server
    server.stop()


def answer(connection: socket.socket, method: str = "GET") -> bytes:
    response = HTTPResponse(connection, method=method)
    response.begin()
    assert response.status == 200
    return response.read()


def test_parts_are_sent_one_after_the_other_on_one_connection(server: Server, content: bytes) -> None:
    with server.connect() as connection:
        for offset, count in ((0, SIZE), (1001, SIZE - 2000), (SIZE - 1, 1), (5, 0)):
            connection.sendall(ASK % (b"GET", offset, count))
            assert answer(connection) == content[offset : offset + count]
    assert server.offered == [True] * 4


def test_requests_that_come_before_the_answer_are_answered_in_order(server: Server, content: bytes) -> None:
    with server.connect() as connection:
        connection.sendall(b"".join(ASK % (b"GET", at, SIZE - 100) for at in (0, 50, 100)))
        received = connection.makefile("rb")
        for at in (0, 50, 100):
            while received.readline() != b"\r\n":
                pass
            assert received.read(SIZE - 100) == content[at : at + SIZE - 100]


def test_a_head_request_is_answered_without_the_bytes(server: Server, content: bytes) -> None:
    with server.connect() as connection:
        connection.sendall(ASK % (b"HEAD", 0, SIZE))
        assert answer(connection, "HEAD") == b""
        connection.sendall(ASK % (b"GET", 7, 9))
        assert answer(connection) == content[7:16]


def test_a_client_that_hangs_up_is_let_go_without_a_word(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            with server.connect() as connection:
                connection.sendall(ASK % (b"GET", 0, SIZE))
                assert connection.recv(100_000)
            assert server.done.acquire(timeout=30)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_client_that_hangs_up_before_the_answer_is_let_go(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    server.waits_for_hang_up = True
    with server.connect() as connection:
        connection.sendall(ASK % (b"GET", 0, SIZE))
    assert server.done.acquire(timeout=30)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_client_that_hangs_up_with_requests_waiting_is_let_go(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(ASK % (b"GET", 0, SIZE) + ASK % (b"GET", 1, SIZE - 1))
        assert connection.recv(100_000)
    assert server.done.acquire(timeout=30)


def test_a_file_that_ends_early_ends_the_connection(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(ASK % (b"GET", SIZE - 10, 20))
        with pytest.raises(IncompleteRead):
            answer(connection)


def test_more_than_was_announced_is_not_sent(server: Server) -> None:
    server.says = -1
    with server.connect() as connection:
        connection.sendall(ASK % (b"GET", 0, 20))
        with pytest.raises(IncompleteRead):
            answer(connection)


def test_a_file_that_the_kernel_cannot_send_is_copied(
    server: Server, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> int:
        raise OSError(errno.EINVAL, "not this file")

    monkeypatch.setattr(os, "sendfile", refuse)
    with server.connect() as connection:
        for _ in range(2):
            connection.sendall(ASK % (b"GET", 3, SIZE - 3))
            assert answer(connection) == content[3:]


def test_the_half_of_a_next_head_does_not_cut_off_the_answer(
    server: Server, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Overdue long before the answer is through.
    monkeypatch.setattr(bounded_http, "HEAD_SECONDS", 0.001)
    with server.connect() as connection:
        connection.sendall(ASK % (b"GET", 0, SIZE) + b"GET /0-1 HT")
        received = bytearray()
        while piece := connection.recv(65536):
            received += piece
        assert bytes(received).partition(b"\r\n\r\n")[2] == content


def test_a_server_that_is_to_stop_finishes_what_it_sends(server: Server, content: bytes) -> None:
    with server.connect() as connection:
        connection.sendall(ASK % (b"GET", 0, SIZE))
        first = connection.recv(1, socket.MSG_PEEK)
        server.begin_stop()
        assert first == b"H"
        assert answer(connection) == content
        assert connection.recv(1) == b""


def test_by_tls_files_are_not_offered_to_be_sent(path: Path, content: bytes, tmp_path: Path) -> None:
    made = ensure_certificates(tmp_path / "tls", ["127.0.0.1"], now=datetime.now(UTC))
    server = Server(path, ssl_certfile=made.server, ssl_keyfile=made.key)
    trusting = ssl.create_default_context(cafile=made.authority)
    try:
        with trusting.wrap_socket(server.connect(), server_hostname="127.0.0.1") as connection:
            connection.sendall(ASK % (b"GET", 3, 1_000_000))
            assert answer(connection) == content[3:1_000_003]
    finally:
        server.stop()
    assert server.offered == [False]
