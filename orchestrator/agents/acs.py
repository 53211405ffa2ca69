"""The agents' socket (ACS): tasks go out as payloads, whenever a wake says that the host's tasks may have changed.

Level-triggered: a connection remembers only what it has sent itself. A new one sends the manifest and every task of
the host again, and agents know repeats, so a lost message or a lost replica costs a reconnection and nothing else.
"""

import asyncio
import contextlib
import json
import logging
from dataclasses import dataclass
from typing import Any

import anyio.to_thread
from starlette.websockets import WebSocket, WebSocketDisconnect

from kit.aws.errors import AwsError
from kit.clock import Clock
from kit.ids import Arns, last_part, new_uuid
from kit.settings import Settings
from orchestrator.agents.handshake import Handshake, refuse, request_of
from orchestrator.agents.payloads import render_payload_task
from orchestrator.agents.presence import Presence
from state.container_instances import ContainerInstance, get_container_instance
from state.store import Session, Store
from state.task_definitions import TaskDefinition
from state.tasks import Task, list_tasks_on

log = logging.getLogger(__name__)
HEARTBEAT_SECONDS = 30.0
LARGEST_FRAME = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """What a look at the host's tasks found to send; ``closed`` when the host may not be here any more."""

    tasks: list[dict[str, Any]]
    wishes: dict[str, str]
    closed: bool = False


class AgentSockets:
    """Serves ``/acs/ws``: one connection per agent."""

    def __init__(
        self, store: Store, clock: Clock, settings: Settings, handshake: Handshake, presence: Presence
    ) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings
        self._arns = Arns(settings.account, settings.region)
        self._handshake = handshake
        self._presence = presence

    async def serve(self, socket: WebSocket) -> None:
        request = request_of(socket)
        try:
            instance_id = await anyio.to_thread.run_sync(
                lambda: self._handshake.admit(request, action="ecs:Poll", member="containerInstanceArn")
            )
        except AwsError as error:
            await refuse(socket, error)
            return
        await socket.accept()
        connection_id = new_uuid()
        woken = asyncio.Event()
        loop = asyncio.get_running_loop()
        stop_listening = self._store.wakes.listen(f"agent:{instance_id}", lambda: _set_from_thread(loop, woken))
        try:
            await anyio.to_thread.run_sync(self._presence.arrived, instance_id, connection_id)
            sender = asyncio.create_task(self._send(socket, instance_id, woken))
            receiver = asyncio.create_task(self._receive(socket, instance_id))
            done, pending = await asyncio.wait({sender, receiver}, return_when=asyncio.FIRST_COMPLETED)
            for task in pending:
                task.cancel()
            for task in done:
                if task.exception() and not isinstance(task.exception(), WebSocketDisconnect | RuntimeError):
                    log.error("agent socket failed", exc_info=task.exception(), extra={"instance": instance_id})
        finally:
            stop_listening()
            with contextlib.suppress(Exception):
                await socket.close()
            await anyio.to_thread.run_sync(self._presence.left, instance_id, connection_id)

    async def _send(self, socket: WebSocket, instance_id: str, woken: asyncio.Event) -> None:
        sent: dict[str, str] = {}
        await socket.send_text(await self._manifest(instance_id))
        woken.set()
        while True:
            try:
                await asyncio.wait_for(woken.wait(), HEARTBEAT_SECONDS)
            except TimeoutError:
                await socket.send_text(_frame("HeartbeatMessage", messageId=new_uuid(), healthy=True))
            woken.clear()
            outgoing = await anyio.to_thread.run_sync(self._look, instance_id, sent)
            if outgoing.closed:
                return
            if outgoing.tasks:
                await socket.send_text(self._payload(outgoing.tasks, instance_id))
            sent = outgoing.wishes

    async def _receive(self, socket: WebSocket, instance_id: str) -> None:
        while True:
            text = await socket.receive_text()
            try:
                frame = json.loads(text) if len(text) <= LARGEST_FRAME else {}
                kind, message = frame["type"], frame["message"]
            except (ValueError, KeyError, TypeError):
                await socket.send_text(_frame("ErrorMessage", message='a frame is {"type": …, "message": {…}}'))
                continue
            match kind:
                case "TaskStopVerificationMessage":
                    answer = await anyio.to_thread.run_sync(self._verify_stops, instance_id, message)
                    await socket.send_text(answer)
                case "NackRequest":
                    log.warning("agent refused a message", extra={"instance": instance_id, "nack": message})
                case _:
                    pass  # acknowledgements: what was sent is repeated until the task's state says it arrived

    def _look(self, instance_id: str, sent: dict[str, str]) -> Outgoing:
        """Read the host's tasks; those whose wish this connection has not sent yet are to go out."""

        def read(session: Session) -> Outgoing:
            instance = get_container_instance(session, instance_id)
            if instance is None or instance.status == "INACTIVE":
                return Outgoing(tasks=[], wishes={}, closed=True)
            tasks = list_tasks_on(session, instance_id)
            news = [task for task in tasks if sent.get(task.id) != task.desired_status]
            return Outgoing(
                tasks=[self._render(session, task) for task in news],
                wishes={task.id: task.desired_status for task in tasks},
            )

        return self._store.read(read)

    def _render(self, session: Session, task: Task) -> dict[str, Any]:
        definition = session.get_one(TaskDefinition, (task.family, task.revision))
        return render_payload_task(task, definition, arns=self._arns, settings=self._settings)

    async def _manifest(self, instance_id: str) -> str:
        def read(session: Session) -> str:
            instance = session.get_one(ContainerInstance, instance_id)
            return _frame(
                "TaskManifestMessage",
                **self._header(instance),
                tasks=[
                    {
                        "taskArn": self._arns.task(task.cluster, task.id),
                        "taskClusterArn": self._arns.cluster(task.cluster),
                        "desiredStatus": task.desired_status,
                    }
                    for task in list_tasks_on(session, instance_id)
                ],
            )

        return await anyio.to_thread.run_sync(lambda: self._store.read(read))

    def _verify_stops(self, instance_id: str, message: dict[str, Any]) -> str:
        """Of the tasks an agent runs and was not told of, those that really should not run there."""
        candidates = {
            last_part(str(candidate.get("taskArn", ""))): candidate
            for candidate in message.get("stopCandidates", ())
            if isinstance(candidate, dict)
        }
        wanted = {
            task.id
            for task in self._store.read(lambda session: list_tasks_on(session, instance_id))
            if task.desired_status == "RUNNING"
        }
        return _frame(
            "TaskStopVerificationAck",
            messageId=message.get("messageId", new_uuid()),
            generatedAt=self._milliseconds(),
            stopTasks=[candidate for task_id, candidate in candidates.items() if task_id not in wanted],
        )

    def _payload(self, tasks: list[dict[str, Any]], instance_id: str) -> str:
        cluster = tasks[0]["taskClusterArn"]
        now = self._milliseconds()
        return _frame(
            "PayloadMessage",
            clusterArn=cluster,
            containerInstanceArn=self._arns.container_instance(last_part(cluster), instance_id),
            messageId=new_uuid(),
            seqNum=now,
            generatedAt=now,
            tasks=tasks,
        )

    def _header(self, instance: ContainerInstance) -> dict[str, Any]:
        now = self._milliseconds()
        return {
            "clusterArn": self._arns.cluster(instance.cluster),
            "containerInstanceArn": self._arns.container_instance(instance.cluster, instance.id),
            "messageId": new_uuid(),
            "generatedAt": now,
            "timeline": now,
        }

    def _milliseconds(self) -> int:
        return int(self._clock.now().timestamp() * 1000)


def _frame(kind: str, **message: Any) -> str:
    return json.dumps({"type": kind, "message": message}, separators=(",", ":"))


def _set_from_thread(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    # A wake may come while the server shuts its loop down; then nobody is left to wake.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(event.set)
