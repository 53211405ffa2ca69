"""The doorway to WebSockets: nothing is made for who waits, and no room is lost to who has gone."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from uvicorn import Config
from uvicorn.server import ServerState

from orchestrator.cli.bounded_http import BoundedHttp
from orchestrator.cli.doorway import Doorway
from orchestrator.cli.patient_sockets import PatientWebSockets

HEAD = (
    b"GET /%s HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


class Transport:
    """One end of a connection whose other end is the test."""

    def __init__(self) -> None:
        self.protocol: Any = None
        self.said = b""
        self.closing = False

    def get_extra_info(self, name: str) -> None:
        return None

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def write(self, data: bytes) -> None:
        self.said += data

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        if not self.closing:
            self.closing = True
            asyncio.get_running_loop().call_soon(lambda: self.protocol.connection_lost(None))


class House:
    """A server with room for so many handshakes. Each waits in the application until it is answered here."""

    def __init__(self, room: int) -> None:
        self.handshakes: dict[str, asyncio.Future[bool]] = {}
        doorway = Doorway(room)
        self._http = partial(BoundedHttp, doorway=doorway)
        self._config = Config(self._app, interface="asgi3", lifespan="off", log_config=None, ws_ping_interval=None)
        self._config.ws = partial(PatientWebSockets, doorway=doorway)  # type: ignore[assignment]
        self._config.load()
        self._state = ServerState()
        self._lines: list[Transport] = []

    async def __aenter__(self) -> "House":
        return self

    async def __aexit__(self, *_: object) -> None:
        for line in reversed(self._lines):
            line.close()
        await turns()
        for answer in self.handshakes.values():
            if not answer.done():
                answer.set_result(False)
        await asyncio.gather(*self._state.tasks)

    def dial(self, name: str) -> Transport:
        line = Transport()
        self._lines.append(line)
        line.protocol = self._http(config=self._config, server_state=self._state, app_state={})
        line.protocol.connection_made(line)
        line.protocol.data_received(HEAD % name.encode())
        return line

    async def _app(self, scope: Any, receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
        answer = self.handshakes[scope["path"].strip("/")] = asyncio.get_running_loop().create_future()
        if await answer:
            await send({"type": "websocket.accept"})
            while (await receive())["type"] != "websocket.disconnect":
                pass
        else:
            await send({"type": "websocket.close"})


async def turns() -> None:
    """Let the event loop do all that is to be done."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_who_waits_is_let_in_newest_first_as_handshakes_are_done() -> None:
    async def visit() -> None:
        async with House(2) as house:
            lines = {name: house.dial(name) for name in ("one", "two", "three", "four")}
            await turns()
            assert [*house.handshakes] == ["one", "two"]
            house.handshakes["one"].set_result(True)
            await turns()
            assert [*house.handshakes] == ["one", "two", "four"], "the socket that is open takes no room"
            house.handshakes["two"].set_result(False)
            await turns()
            assert [*house.handshakes] == ["one", "two", "four", "three"]
            assert lines["one"].said.startswith(b"HTTP/1.1 101 ") and not lines["one"].closing
            assert lines["two"].said.startswith(b"HTTP/1.1 403 ") and lines["two"].closing

    asyncio.run(visit())


def test_nothing_is_done_for_who_has_hung_up_and_its_room_is_the_next_ones() -> None:
    async def visit() -> None:
        async with House(1) as house:
            first, _, third, fourth = (house.dial(name) for name in ("one", "two", "three", "four"))
            await turns()
            fourth.close()
            await turns()
            # One goes while it is inside, and one as it is about to enter.
            first.close()
            third.closing = True
            await turns()
            third.protocol.connection_lost(None)
            await turns()
            assert [*house.handshakes] == ["one", "two"]
            house.handshakes["two"].set_result(True)
            await turns()
            house.dial("five")
            await turns()
            assert [*house.handshakes] == ["one", "two", "five"]

    asyncio.run(visit())


@pytest.mark.parametrize("times", [1, 3])
def test_a_socket_leaves_once_however_it_ends(times: int) -> None:
    async def visit() -> None:
        async with House(1) as house:
            for number in range(times):
                line = house.dial(f"{number}")
                await turns()
                house.handshakes[f"{number}"].set_result(True)
                await turns()
                line.close()
                await turns()
            house.dial("inside")
            house.dial("outside")
            await turns()
            assert "inside" in house.handshakes and "outside" not in house.handshakes

    asyncio.run(visit())


def test_who_speaks_while_it_waits_is_hung_up_on() -> None:
    async def visit() -> None:
        async with House(1) as house:
            house.dial("one")
            second = house.dial("two")
            second.protocol.data_received(b"early")
            await turns()
            house.handshakes["one"].set_result(True)
            await turns()
            assert second.closing and [*house.handshakes] == ["one"]

    asyncio.run(visit())
