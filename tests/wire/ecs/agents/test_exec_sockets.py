"""Sessions of ECS Exec at the control plane: who is let in, and that each ends whatever becomes of its ends."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select
from starlette.websockets import WebSocket

from orchestrator.agents import data_channel, exec_sockets
from orchestrator.agents.data_channel import DataChannel
from orchestrator.agents.exec_sockets import ExecSockets
from orchestrator.agents.handshake import Handshake
from scheduler.loops.housekeeping import HousekeepingLoop
from state.base import Event
from state.exec_sessions import ExecSession
from state.loop import Leases
from tests.support.tasks import TasksPlane


class End:
    """One end of a socket: what comes in is put there, what goes out is kept, unless it does not read."""

    def __init__(self, session: str = "", *, reads: bool = True) -> None:
        self.said: list[dict[str, Any]] = []
        self.coming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._reads = reads
        scope: dict[str, Any] = {
            "type": "websocket",
            "path": "/exec/ws",
            "query_string": f"session={session}".encode(),
            "headers": [],
        }
        scope["extensions"] = {"websocket.http.response": {}}
        self.socket = WebSocket(scope, self.coming.get, self._send)
        self.coming.put_nowait({"type": "websocket.connect"})

    async def _send(self, message: Any) -> None:
        if not self._reads:
            await asyncio.Event().wait()
        self.said.append(message)

    def told(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.said if message["type"] == kind]


class Plane(TasksPlane):
    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.sockets = ExecSockets(self.store, self.clock, Handshake(self.store, self.clock, lambda _: None))
        self.host = self.add_host(cpu=1024, memory=4096, **{"berth.agent": "x"}).rsplit("/", 1)[-1]
        self.register("t")
        self.arn = self.run(enableExecuteCommand=True)["taskArn"]
        self.report(self.arn, "RUNNING")

    def execute(self) -> dict[str, Any]:
        session: dict[str, Any] = self.ecs.execute_command(task=self.arn, command="sh", interactive=True)["session"]
        return session

    def sessions(self) -> dict[str, str]:
        rows = self.store.read(lambda session: session.scalars(select(ExecSession)).all())
        return {row.id: row.status for row in rows}

    def because(self) -> list[str]:
        asked = select(Event.because).where(Event.kind == "execute-command").order_by(Event.id)
        return list(self.store.read(lambda session: session.scalars(asked).all()))

    def keep_house(self) -> None:
        leases = Leases(self.store, self.clock, "one")
        HousekeepingLoop(self.store, self.clock, leases, task_retention=timedelta(hours=1)).step()


@pytest.fixture
def plane(sqlite_url: str) -> Iterator[Plane]:
    plane = Plane(sqlite_url)
    yield plane
    plane.close()


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(work())


@pytest.mark.parametrize("session", ["", "guessed", "x" * 500, "%00", "%ff"])
def test_who_names_no_session_is_not_let_in(plane: Plane, session: str) -> None:
    async def work() -> None:
        end = End(session)
        await plane.sockets.serve_client(end.socket)
        assert not end.told("websocket.accept")
        assert [message["status"] for message in end.told("websocket.http.response.start")] == [404]

    run(work)


def test_a_session_whose_agent_does_not_come_ends(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exec_sockets, "AGENT_SECONDS", 0.0)
    session = plane.execute()

    async def work() -> None:
        end = End(session["sessionId"])
        end.coming.put_nowait({"type": "websocket.receive", "text": json.dumps({"TokenValue": session["tokenValue"]})})
        await plane.sockets.serve_client(end.socket)
        assert end.told("websocket.close")

    run(work)
    assert plane.sessions() == {session["sessionId"]: "ENDED"}
    assert plane.because()[-1] == "the agent did not come; 0 bytes in, 0 bytes out"


@pytest.mark.parametrize("status", ["MADE", "WAITING", "JOINED"])
def test_a_session_that_nobody_holds_any_more_is_ended(plane: Plane, status: str) -> None:
    """As those of a control plane that was killed."""
    session = plane.execute()["sessionId"]

    def hold(until: timedelta) -> None:
        def write(store: Any) -> None:
            row = store.get_one(ExecSession, session)
            row.status, row.expires_at = status, plane.clock.now() + until

        plane.store.transact(write)

    hold(timedelta(seconds=30))
    plane.keep_house()
    assert plane.sessions() == {session: status}
    assert len(plane.sockets.told(plane.host)) == (status == "WAITING")
    hold(timedelta(seconds=-1))
    assert plane.sockets.told(plane.host) == [], "no agent is summoned where nobody waits"
    plane.keep_house()
    assert plane.sessions() == {session: "ENDED"}
    assert plane.because()[-1] in ("its client never came", "the control plane that held it went away")


def test_a_session_ends_with_a_host_that_is_taken_out(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exec_sockets, "SAID_EVERY", 0.0)
    session = plane.execute()["sessionId"]

    async def work() -> None:
        agent = End()
        await agent.socket.accept()
        waiting = exec_sockets._Waiting(plane.host, asyncio.get_running_loop().create_future())
        waiting.agent.set_result(agent.socket)
        holding = asyncio.create_task(plane.sockets._hold(session, waiting))
        plane.ecs.deregister_container_instance(containerInstance=plane.host, force=True)
        while not agent.told("websocket.close"):
            await asyncio.sleep(0)
        holding.cancel()

    run(work)


def test_a_client_that_does_not_read_is_not_told_for_ever(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_channel, "GOODBYE_SECONDS", 0.0)

    async def work() -> None:
        await DataChannel(End(reads=False).socket, "s", plane.clock, idle_seconds=1).end("over")

    run(work)


@pytest.mark.parametrize("said", ["a\0b", "a\ud800b", "a\nb"])
def test_how_an_agent_says_that_it_ended_can_be_written_down(said: str) -> None:
    assert data_channel._how(json.dumps({"error": said})) == "a b"
