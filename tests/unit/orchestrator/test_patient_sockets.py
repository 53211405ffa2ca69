"""A socket is given up when its other end is silent, and not when we have not listened."""

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
        self.later: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return 0.0

    def call_later(self, delay: float, work: Callable[[], None]) -> "Loop":
        self.later.append((delay, work))
        return self

    def cancel(self) -> None:
        pass


class Transport:
    def __init__(self) -> None:
        self.closed = False

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
    socket = PatientWebSockets(config, ServerState(), {}, _loop=loop)  # type: ignore[arg-type]
    socket.transport = transport  # type: ignore[assignment]
    socket.scope = {"path": request.param}  # type: ignore[typeddict-item]
    socket.conn.state = State.OPEN
    socket.start_keepalive()
    loop.later.pop()[1]()
    yield socket, loop, transport


@pytest.mark.parametrize("opened", ["/acs/ws"], indirect=True)
def test_who_is_silent_is_given_up(opened: Opened) -> None:
    _, loop, transport = opened
    delay, give_up = loop.later.pop()
    give_up()
    assert delay == 3 and transport.closed


@pytest.mark.parametrize("opened", ["/acs/ws"], indirect=True)
def test_whose_answer_may_lie_unread_is_waited_for(opened: Opened) -> None:
    socket, loop, transport = opened
    socket.read_paused = True
    for _ in range(3):
        loop.later.pop()[1]()
        assert not transport.closed
    socket.read_paused = False
    loop.later.pop()[1]()
    assert transport.closed


@pytest.mark.parametrize("opened", ["/exec/ws", "/exec/agent"], indirect=True)
def test_who_reads_a_page_in_a_terminal_is_given_time(opened: Opened) -> None:
    _, loop, _ = opened
    assert loop.later.pop()[0] == TERMINAL_SECONDS
