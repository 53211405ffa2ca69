"""The endpoints' server: answers over real sockets, and is bounded in all that a container could make large."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from agent.endpoints import server as module
from agent.endpoints.server import LARGEST_BODY, LARGEST_HEAD, Answer, Answering, Request, Server


class Served:
    """A server on loopback that tells what it was asked; below ``/slow`` only once it is let."""

    def __init__(self, tick: Callable[[], None] = lambda: None) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.let, self.asked = threading.Event(), threading.Event()
        self.server = Server(self.listener, self.answer, tick)
        self.thread = threading.Thread(target=self.server.run)
        self.thread.start()

    def answer(self, request: Request) -> Answering:
        if request.path == "/trouble":
            raise ValueError("secret")
        told = Answer(200, [request.method, request.path, request.query, request.body.decode(), request.user_agent])
        if request.path != "/slow":
            return told

        def slowly() -> Answer:
            self.asked.set()
            assert self.let.wait(20)
            return told

        return slowly

    def connect(self) -> socket.socket:
        connection = socket.create_connection(self.listener.getsockname(), timeout=20)
        return connection

    def ask(self, text: bytes) -> tuple[int, bytes]:
        """Status and body of one answer, after which the connection is closed."""
        with self.connect() as connection:
            connection.sendall(text)
            return read(connection)

    def stop(self) -> None:
        self.let.set()
        self.server.stop()
        self.thread.join(20)
        assert not self.thread.is_alive()


def read(connection: socket.socket) -> tuple[int, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        assert more, "closed without an answer"
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
    )
    while len(body) < length:
        body += connection.recv(65536)
    return int(head.split(b" ")[1]), body


@pytest.fixture
def served() -> Iterator[Served]:
    served = Served()
    yield served
    served.stop()


def test_a_connection_carries_many_requests(served: Served) -> None:
    with served.connect() as connection:
        for number in range(3):
            connection.sendall(f"GET /v4/{number}?a=b HTTP/1.1\r\nHost: x\r\nUser-Agent: t\r\n\r\n".encode())
            status, body = read(connection)
            assert (status, json.loads(body)) == (200, ["GET", f"/v4/{number}", "a=b", "", "t"])


def test_a_body_is_read_and_an_old_client_is_closed(served: Served) -> None:
    with served.connect() as connection:
        connection.sendall(b"PUT /x HTTP/1.0\r\nContent-Length: 4\r\n\r\nbody")
        assert json.loads(read(connection)[1]) == ["PUT", "/x", "", "body", ""]
        assert connection.recv(1) == b""


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (b"GET\r\n\r\n", 400),
        (b"GET /x SPDY/3\r\n\r\n", 400),
        (b"GET http://elsewhere/ HTTP/1.1\r\n\r\n", 400),
        (b"GET /x HTTP/1.1\r\nnonsense\r\n\r\n", 400),
        (b"GET /x HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"GET /x HTTP/1.1\r\nContent-Length: \xb2\r\n\r\n", 400),
        (b"PUT /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
        (b"PUT /x HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (LARGEST_BODY + 1), 413),
        (b"PUT /x HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", 413),
        (b"GET /" + b"x" * LARGEST_HEAD + b" HTTP/1.1\r\n\r\n", 431),
        (b"GET /trouble HTTP/1.1\r\n\r\n", 500),
    ],
)
def test_nonsense_gets_its_status_and_tells_nothing(served: Served, text: bytes, status: int) -> None:
    answered, body = served.ask(text)
    assert answered == status and b"secret" not in body
    assert served.ask(b"GET /after HTTP/1.1\r\n\r\n")[0] == 200


def test_a_slow_answer_holds_up_no_other(served: Served) -> None:
    with served.connect() as slow:
        slow.sendall(b"GET /slow HTTP/1.1\r\n\r\n")
        assert served.ask(b"GET /quick HTTP/1.1\r\n\r\n")[0] == 200
        served.let.set()
        assert read(slow)[0] == 200


def test_of_too_many_connections_the_one_that_has_waited_longest_goes(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_OF_ONE", 2)

    def ask(connection: socket.socket) -> int:
        connection.sendall(b"GET /a HTTP/1.1\r\n\r\n")
        return read(connection)[0]

    with served.connect() as first, served.connect() as second:
        assert (ask(first), ask(second)) == (200, 200)
        with served.connect() as third:
            assert (ask(third), ask(second)) == (200, 200)
            with pytest.raises((AssertionError, ConnectionError)):
                ask(first)


def test_while_all_are_served_another_is_turned_away(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_OF_ONE", 1)
    with served.connect() as busy:
        busy.sendall(b"GET /slow HTTP/1.1\r\n\r\n")
        assert served.asked.wait(20)
        with served.connect() as other, pytest.raises((AssertionError, ConnectionError)):
            other.sendall(b"GET /a HTTP/1.1\r\n\r\n")
            read(other)
        served.let.set()
        assert read(busy)[0] == 200


def test_what_is_done_now_and_then_may_fail_without_ending_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    again = threading.Event()
    ticks: list[int] = []

    def tick() -> None:
        ticks.append(1)
        if len(ticks) > 2:
            again.set()
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(module, "TICK", timedelta(milliseconds=1))
    served = Served(tick)
    assert again.wait(20)
    assert served.ask(b"GET / HTTP/1.0\r\n\r\n")[0] == 200
    served.stop()
