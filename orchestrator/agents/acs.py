"""The agents' socket (ACS): carries the frames of a conversation.

Tasks go out whenever a wake says that the host's tasks may have changed. Wakes may be lost: the process' heartbeat
compares what each conversation has looked at with the store, and wakes those that are behind.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import anyio.to_thread
from starlette.websockets import WebSocket, WebSocketDisconnect

from kit.aws.errors import AwsError
from kit.clock import Clock
from kit.ids import new_uuid
from kit.secrets import SecretBox
from kit.settings import Settings
from orchestrator.agents.conversation import Conversation, frame_of
from orchestrator.agents.handshake import Handshake, has_hung_up, refuse, request_of
from orchestrator.agents.payload_texts import PayloadTexts
from orchestrator.agents.presence import Presence, Step
from orchestrator.agents.roles import Roles
from orchestrator.agents.rounds import Rounds, each
from orchestrator.agents.versions import note_versions
from state.store import Store

log = logging.getLogger(__name__)
# The loop itself holds its tasks only weakly.
_BEGUN: set[asyncio.Task[None]] = set()
HEARTBEAT_SECONDS = 30.0
# After a clean close an agent dials again at once, after a failure it takes its time; to the official agent 1011 is
# clean, too.
CLEAN, FAILED = 1000, 1013
# What a connection ends with: an agent that says so, the server's own end, or nothing at all.
GOODBYES, SERVER_ENDS, BROKEN = (1000, 1001), 1012, 1006
# How many times longer an agent may be away that said goodbye, as one that is upgraded does.
GOODBYE = 9
# So many dials, and so many that come or leave, are seen to at once.
MOST_DIALS, MOST_STEPS = 100, 1_000


class AgentSockets:
    """Serves ``/acs/ws``: one connection per agent."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        settings: Settings,
        handshake: Handshake,
        presence: Presence,
        secrets: SecretBox,
        *,
        sessions: Callable[[str], Sequence[Mapping[str, Any]]] = lambda host: (),
    ) -> None:
        """``sessions`` answers those of ECS Exec in which a host's agent is awaited."""
        self._store = store
        self._clock = clock
        self._settings = settings
        self._handshake = handshake
        self._dials = Rounds(each(self._admit), most=MOST_DIALS, newest_first=True)
        self._presence: Rounds[Step, None] = Rounds(partial(_note, presence), most=MOST_STEPS)
        self._openings = Rounds(each(_first_frames), most=MOST_DIALS)
        self._texts = PayloadTexts(settings)
        self._sessions = sessions
        self._roles = Roles(store, clock, settings, secrets)
        self._open: dict[Conversation, Callable[[], None]] = {}
        self._lock = threading.Lock()

    def compare(self, marks: Mapping[str, int | None]) -> None:
        """Wake the connections whose hosts have changed since they looked, or that are over; on any thread."""
        with self._lock:
            waking = [wake for conversation, wake in self._open.items() if conversation.compare(marks)]
        for wake in waking:
            wake()

    async def serve(self, socket: WebSocket) -> None:
        try:
            instance_id = await self._dials.submit(socket)
            await socket.accept()
        except AwsError as error:
            await refuse(socket, error)
            return
        except WebSocketDisconnect:
            return
        connection_id = new_uuid()
        woken = asyncio.Event()
        loop = asyncio.get_running_loop()
        conversation = Conversation(self._store, self._clock, self._settings, instance_id, self._texts, self._roles)
        wake = partial(_set_from_thread, loop, woken)
        summon = partial(_begin_from_thread, loop, partial(self._summon, socket, instance_id))
        listening = [
            self._store.wakes.listen(f"agent:{instance_id}", wake),
            self._store.wakes.listen(f"exec:{instance_id}", summon),
        ]
        with self._lock:
            self._open[conversation] = wake
        code = FAILED
        left_with = SERVER_ENDS
        try:
            await self._presence.submit(Step(instance_id, connection_id, True))
            sender = asyncio.create_task(_send(socket, conversation, woken, self._openings))
            receiver = asyncio.create_task(_receive(socket, conversation))
            done, pending = await asyncio.wait({sender, receiver}, return_when=asyncio.FIRST_COMPLETED)
            for task in pending:
                task.cancel()
            code = CLEAN
            for task in done:
                left_with = _said(task.exception())
                if task.exception() and not isinstance(task.exception(), WebSocketDisconnect | RuntimeError):
                    log.error("agent socket failed", exc_info=task.exception(), extra={"instance": instance_id})
                    code = FAILED
        finally:
            for stop_listening in listening:
                stop_listening()
            with self._lock:
                del self._open[conversation]
            with contextlib.suppress(Exception):
                await socket.close(code)
            await self._presence.submit(Step(instance_id, connection_id, False, self._lost_after(left_with)))

    async def _summon(self, socket: WebSocket, instance_id: str) -> None:
        """Tell the agent of sessions in which it is awaited. It knows those that it has been told of."""
        sessions = await anyio.to_thread.run_sync(self._sessions, instance_id)
        if sessions:
            endpoint = f"{self._settings.api_endpoint.rstrip('/')}/exec"
            with contextlib.suppress(RuntimeError, WebSocketDisconnect):
                await socket.send_text(frame_of("BerthExecMessage", endpoint=endpoint, sessions=sessions))

    def _lost_after(self, code: int) -> timedelta | None:
        """After how long without its agent the host is lost; it is not for a control plane that ends."""
        seconds = self._settings.host_lost_seconds
        if code == SERVER_ENDS or not seconds:
            return None
        return timedelta(seconds=seconds) * (GOODBYE if code in GOODBYES else 1)

    def _admit(self, socket: WebSocket) -> str:
        if has_hung_up(socket):
            # Who did not wait so long dials again, and none would come in when all dial if this were served as well.
            raise WebSocketDisconnect(BROKEN)
        request = request_of(socket)
        instance_id = self._handshake.admit(request, action="ecs:Poll", member="containerInstanceArn")
        note_versions(self._store, instance_id, request.query)
        return instance_id


def _note(presence: Presence, steps: Sequence[Step]) -> Sequence[None]:
    presence.note(steps)
    return [None] * len(steps)


def _first_frames(conversation: Conversation) -> list[str]:
    """The manifest, and its tasks."""
    return [conversation.opening(), *conversation.news()]


async def _send(
    socket: WebSocket, conversation: Conversation, woken: asyncio.Event, openings: Rounds[Conversation, list[str]]
) -> None:
    news = await openings.submit(conversation)
    clock = asyncio.get_running_loop().time
    due = clock() + HEARTBEAT_SECONDS
    while not conversation.closed:
        for frame in news:
            await socket.send_text(frame)
        news = []
        try:
            # Not from the last wake on: a host may be woken all the time with nothing to say to its agent.
            await asyncio.wait_for(woken.wait(), due - clock())
        except TimeoutError:
            await socket.send_text(conversation.heartbeat())
            due = clock() + HEARTBEAT_SECONDS
            if not conversation.has_credentials_to_tell:
                continue
        woken.clear()
        news = await anyio.to_thread.run_sync(conversation.news)


async def _receive(socket: WebSocket, conversation: Conversation) -> None:
    while True:
        text = await socket.receive_text()
        answer = await anyio.to_thread.run_sync(conversation.answer, text)
        if answer is not None:
            await socket.send_text(answer)


def _said(error: BaseException | None) -> int:
    return error.code if isinstance(error, WebSocketDisconnect) else BROKEN


def _begin_from_thread(loop: asyncio.AbstractEventLoop, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    def begin() -> None:
        task = loop.create_task(work())
        _BEGUN.add(task)
        task.add_done_callback(_BEGUN.discard)

    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(begin)


def _set_from_thread(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    # A wake may come while the server shuts its loop down; then nobody is left to wake.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(event.set)
