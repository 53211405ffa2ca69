"""Where the two ends of an ECS Exec session meet: a client with a token, and the agent of the task's host.

Both dial in. With several replicas behind one door the agent may come to one where its client is not; it is told so,
and dials again. Whoever comes, and how it ends, is in the session's events.
"""

import asyncio
import contextlib
import hashlib
import logging
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import anyio.to_thread
from starlette.websockets import WebSocket, WebSocketDisconnect

from kit.aws.errors import AwsError, CodedError, ServiceUnavailable
from kit.aws.ssm_channel import BadFrame, read_token
from kit.clock import Clock
from orchestrator.agents.data_channel import DataChannel
from orchestrator.agents.handshake import Handshake, refuse, request_of
from state.container_instances import get_container_instance
from state.exec_sessions import ExecSession, find_exec_session, list_waiting_sessions
from state.store import Session, Store, StoreBusy, StoreUnavailable

log = logging.getLogger(__name__)
TOKEN_SECONDS = 10.0
AGENT_SECONDS = 20.0
# As ECS ends a session in which nobody has typed and nothing was printed.
IDLE_SECONDS = 1200.0
MOST_SESSIONS = 200
LARGEST_OPENING = 8192
LONGEST_ID = 80
# How long a session outlives a process that died with it, and how often a living one says that it holds it.
HELD, SAID_EVERY = timedelta(minutes=3), 30.0
# A client that does not read cannot be told that it is over.
GOODBYE_SECONDS = 5.0
POLICY, GOING_AWAY, OVERLOADED, NORMAL = 1008, 1001, 1013, 1000


@dataclass(eq=False)
class _Waiting:
    """A client whose agent has not come yet; ``over`` is set when what they had to say to each other is said."""

    host: str
    agent: "asyncio.Future[WebSocket]"
    over: asyncio.Event = field(default_factory=asyncio.Event)


class ExecSockets:
    """Serves ``/exec/ws`` to clients and ``/exec/agent`` to agents."""

    def __init__(self, store: Store, clock: Clock, handshake: Handshake) -> None:
        self._store = store
        self._clock = clock
        self._handshake = handshake
        self._waiting: dict[str, _Waiting] = {}
        self._inside = 0

    async def serve_client(self, socket: WebSocket) -> None:
        """One client, from its token to its end. Who names no session that is there is not let in to show one."""
        try:
            await anyio.to_thread.run_sync(self._check, socket.query_params.get("session", ""))
        except AwsError as error:
            await refuse(socket, error)
            return
        await socket.accept()
        if self._inside >= MOST_SESSIONS:
            await socket.close(OVERLOADED, "too many sessions")
            return
        self._inside += 1
        try:
            opened = await self._open(socket)
            if opened is not None:
                await self._meet(socket, *opened)
        finally:
            self._inside -= 1

    async def serve_agent(self, socket: WebSocket) -> None:
        """One agent that was told of a session; refused where its client is not."""
        request = request_of(socket)
        try:
            host = await anyio.to_thread.run_sync(
                lambda: self._handshake.admit(request, action="ecs:Poll", member="containerInstanceArn")
            )
            waiting = self._waiting.get(socket.query_params.get("session", ""))
            if waiting is None or waiting.host != host or waiting.agent.done():
                raise CodedError("SessionNotHere", "No client waits here in this session.", status=404)
        except AwsError as error:
            await refuse(socket, error)
            return
        await socket.accept()
        if waiting.agent.done():
            await socket.close(GOING_AWAY)
            return
        waiting.agent.set_result(socket)
        await waiting.over.wait()

    def told(self, instance_id: str) -> list[dict[str, Any]]:
        """The messages for the agent of a host: one for each session in which it is awaited. It is woken again for
        those that a store in trouble does not tell."""

        def read(session: Session) -> list[dict[str, Any]]:
            return [
                {
                    "sessionId": waiting.id,
                    "taskId": waiting.task_id,
                    "containerName": waiting.container,
                    "command": waiting.command,
                }
                for waiting in list_waiting_sessions(session, instance_id, now=self._clock.now())
            ]

        try:
            return self._store.read(read)
        except StoreUnavailable:
            return []

    def _check(self, session_id: str) -> None:
        """Raise AwsError where there is no such session. Its id is random, and known to who asked for it alone."""
        known = session_id.isascii() and session_id.isprintable() and len(session_id) <= LONGEST_ID
        try:
            found = self._store.read(lambda session: session.get(ExecSession, session_id)) if known else None
        except StoreUnavailable as trouble:
            raise ServiceUnavailable(str(trouble)) from trouble
        if found is None or found.status == "ENDED":
            raise CodedError("SessionNotFound", "There is no such session, or not any more.", status=404)

    async def _open(self, socket: WebSocket) -> tuple[str, str] | None:
        """The session's and the host's id, once the client has shown its token."""
        try:
            async with asyncio.timeout(TOKEN_SECONDS):
                message = await socket.receive()
            text = message.get("text") or (message.get("bytes") or b"").decode("utf-8", "replace")
            token = read_token(text[:LARGEST_OPENING])
        except (TimeoutError, BadFrame, WebSocketDisconnect, RuntimeError):
            await _close(socket, POLICY, "the first frame carries the session's token")
            return None
        digest = hashlib.sha256(token.encode()).hexdigest()

        def take(session: Session) -> tuple[str, str] | None:
            found = find_exec_session(session, digest)
            now = self._clock.now()
            if found is None or found.status != "MADE" or found.expires_at <= now:
                return None
            found.advance("WAITING", at=now, because="its client is here")
            found.expires_at = now + HELD
            return found.id, found.container_instance_id

        try:
            opened = await anyio.to_thread.run_sync(self._store.transact, take)
        except (StoreBusy, StoreUnavailable):
            await _close(socket, OVERLOADED, "the store does not answer")
            return None
        if opened is None:
            await _close(socket, POLICY, "the token is not good, or not any more")
        return opened

    async def _meet(self, socket: WebSocket, session_id: str, host: str) -> None:
        waiting = _Waiting(host, asyncio.get_running_loop().create_future())
        self._waiting[session_id] = waiting
        because = "the agent did not come"
        channel = DataChannel(socket, session_id, self._clock, idle_seconds=IDLE_SECONDS)
        holding = asyncio.create_task(self._hold(session_id, waiting))
        try:
            # Committed WAITING and known here: now the agent can be told.
            await anyio.to_thread.run_sync(self._wake, host)
            agent = await self._agent(waiting, host)
            if agent is None:
                await channel.end("The agent of the task's host did not answer. Try again.")
                return
            await anyio.to_thread.run_sync(self._note, session_id, "JOINED", "the agent runs it")
            because = await channel.relay(agent)
            await _close(agent, NORMAL, "")
        except (TimeoutError, BadFrame):
            because = "the client does not speak the data channel"
        except (WebSocketDisconnect, RuntimeError):
            because = "the client went away"
        except (StoreBusy, StoreUnavailable):
            because = "the store did not answer"
        finally:
            holding.cancel()
            del self._waiting[session_id]
            waiting.agent.cancel()
            waiting.over.set()
            ended = f"{because}; {channel.received} bytes in, {channel.sent} bytes out"
            # Else it ends when nobody has held it for a while.
            with contextlib.suppress(StoreBusy, StoreUnavailable):
                await anyio.to_thread.run_sync(self._note, session_id, "ENDED", ended)
            await _close(socket, NORMAL, "")

    async def _agent(self, waiting: _Waiting, host: str) -> WebSocket | None:
        """The agent's socket. A wake may be lost, so it is told again half-way."""
        for _ in range(2):
            done, _ = await asyncio.wait({waiting.agent}, timeout=AGENT_SECONDS / 2)
            if done:
                return waiting.agent.result()
            await anyio.to_thread.run_sync(self._wake, host)
        return None

    async def _hold(self, session_id: str, waiting: _Waiting) -> None:
        """Say now and then that the session lasts, and hang up on an agent whose host was taken out meanwhile."""

        def write(session: Session) -> bool:
            found = session.get(ExecSession, session_id, with_for_update=True)
            if found is not None:
                found.expires_at = self._clock.now() + HELD
            host = get_container_instance(session, waiting.host)
            return host is not None and host.status != "INACTIVE"

        while True:
            await asyncio.sleep(SAID_EVERY)
            with contextlib.suppress(StoreBusy, StoreUnavailable):
                is_in = await anyio.to_thread.run_sync(partial(self._store.transact, write))
                if not is_in and waiting.agent.done():
                    await _close(waiting.agent.result(), POLICY, "the host is out")

    def _wake(self, host: str) -> None:
        self._store.transact(lambda session: session.wake(f"exec:{host}"))

    def _note(self, session_id: str, status: str, because: str) -> None:
        def write(session: Session) -> None:
            found = session.get(ExecSession, session_id, with_for_update=True)
            if found is not None and found.status != "ENDED":
                now = self._clock.now()
                found.advance(status, at=now, because=because)
                found.ended_at = now if status == "ENDED" else None

        self._store.transact(write)


async def _close(socket: WebSocket, code: int, reason: str) -> None:
    # It may be closed already, or its other end may not read.
    with contextlib.suppress(RuntimeError, WebSocketDisconnect, TimeoutError):
        async with asyncio.timeout(GOODBYE_SECONDS):
            await socket.close(code, reason)
