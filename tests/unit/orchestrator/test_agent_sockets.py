"""The agents' socket: heartbeats go out however busy the host is, and the process' heartbeat wakes who is behind."""

import asyncio
from typing import Any

import pytest

from orchestrator.agents import acs
from orchestrator.agents.rounds import Rounds, each


class Line:
    """A conversation with nothing to say, whose host is woken again at every look."""

    closed = False
    has_credentials_to_tell = False

    def __init__(self) -> None:
        self.woken = asyncio.Event()
        self.looks = 0

    def opening(self) -> str:
        return "opening"

    def heartbeat(self) -> str:
        return "heartbeat"

    def news(self) -> list[str]:
        self.looks += 1
        self.closed = self.looks >= 100_000
        self.woken._loop.call_soon_threadsafe(self.woken.set)  # type: ignore[attr-defined]
        return []


class Ended(Exception):
    pass


class Socket:
    """Takes the frames; ends after two heartbeats."""

    def __init__(self) -> None:
        self.frames: list[str] = []

    async def send_text(self, text: str) -> None:
        self.frames.append(text)
        if self.frames.count("heartbeat") == 2:
            raise Ended


def test_an_agent_hears_heartbeats_though_its_host_is_woken_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acs, "HEARTBEAT_SECONDS", 0.001)

    async def talk() -> tuple[Any, Any]:
        line, socket = Line(), Socket()
        line.woken._loop = asyncio.get_running_loop()  # type: ignore[attr-defined]
        with pytest.raises(Ended):
            openings = Rounds(each(acs._first_frames), most=1)
            await acs._send(socket, line, line.woken, openings)  # type: ignore[arg-type]
        return line, socket

    line, socket = asyncio.run(talk())
    assert socket.frames == ["opening", "heartbeat", "heartbeat"]
    assert line.looks
