"""A socket is given up when its other end is silent, and not when we have not listened."""

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from uvicorn import Config
from uvicorn.server import ServerState
from websockets.protocol import State

from orchestrator.cli.patient_sockets import TERMINAL_SECONDS, PatientWebSockets


class Loop:
    """Keeps what is to be done later."""

    def __init__(self) -> None:
        self.now = 0.0
        self.later: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, work: Callable[[], None]) -> "Loop":
        return self.call_later(when - self.now, work)

    def call_later(self, delay: float, work: Callable[[], None]) -> "Loop":
        self.later.append((delay, work))
        return self

    def cancel(self) -> None:
        pass


class Transport:
    """One end of a line, on which the kernel keeps what the other end has not taken in."""

    def __init__(self) -> None:
        self.closed = False
        self.line, self.other = socket.socketpair()
        self.line.setblocking(False)

    def get_extra_info(self, name: str) -> socket.socket:
        assert name == "socket"
        return self.line

    def get_write_buffer_size(self) -> int:
        return 0

    def write(self, data: bytes) -> None:
        pass

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


Opened = tuple[PatientWebSockets, Loop, Transport]


@pytest.fixture
def opened(request: pytest.FixtureRequest) -> Iterator[Opened]:
    def app(*_: Any) -> None: ...

    loop, transport = Loop(), Transport()
    config = Config(app, interface="asgi3", ws_ping_interval=3, ws_ping_timeout=3)
    protocol = PatientWebSockets(config, ServerState(), {}, _loop=loop)
    protocol.transport = transport  # type: ignore[assignment]
    protocol.scope = {"path": request.param}  # type: ignore[typeddict-item]
    protocol.conn.state = State.OPEN
    protocol.start_keepalive()
    loop.later.pop()[1]()
    yield protocol, loop, transport
    transport.line.close()
    transport.other.close()


@pytest.mark.parametrize("opened", ["/acs/ws"], indirect=True)
def test_who_is_silent_is_given_up(opened: Opened) -> None:
    _, loop, transport = opened
    delay, give_up = loop.later.pop()
    give_up()
    assert delay == 3 and transport.closed


@pytest.mark.parametrize("opened", ["/acs/ws"], indirect=True)
def test_whose_answer_may_lie_unread_is_waited_for(opened: Opened) -> None:
    protocol, loop, transport = opened
    protocol.read_paused = True
    for _ in range(3):
        loop.later.pop()[1]()
        assert not transport.closed
    protocol.read_paused = False
    loop.later.pop()[1]()
    assert transport.closed


@pytest.mark.parametrize("opened", ["/acs/ws"], indirect=True)
def test_who_still_takes_in_what_came_before_is_waited_for(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    protocol, loop, transport = opened
    protocol._on_the_way = 3000
    for left, closed in ((2000, False), (1000, False), (1000, True)):
        monkeypatch.setattr(protocol, "on_the_way", lambda left=left: left)
        loop.later.pop()[1]()
        assert transport.closed is closed


@pytest.mark.parametrize("opened", ["/acs/ws"], indirect=True)
def test_the_kernel_tells_what_is_on_the_way(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    protocol, _, transport = opened
    assert protocol.on_the_way() == 0
    with pytest.raises(BlockingIOError):
        while transport.line.send(bytes(65536)):
            pass
    assert protocol.on_the_way() > 0
    monkeypatch.setattr(transport, "get_extra_info", lambda name: None)
    assert protocol.on_the_way() == 0, "nobody can tell"


@pytest.mark.parametrize("opened", ["/acs/ws"], indirect=True)
def test_who_opened_at_about_the_same_time_is_asked_in_one_turn_and_never_later(opened: Opened) -> None:
    protocol, loop, _ = opened
    due = set()
    for loop.now in (17.01, 17.04, 17.09):
        protocol.schedule_ping()
        delay = loop.later.pop()[0]
        assert 2.9 < delay <= 3
        due.add(round(loop.now + delay, 6))
    assert due == {20.0}


@pytest.mark.parametrize("opened", ["/exec/ws", "/exec/agent"], indirect=True)
def test_who_reads_a_page_in_a_terminal_is_given_time(opened: Opened) -> None:
    _, loop, _ = opened
    assert loop.later.pop()[0] == TERMINAL_SECONDS
