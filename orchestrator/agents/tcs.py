"""The agents' telemetry socket (TCS): container health is written into tasks, usage goes into the usage book.

An agent drops a telemetry socket on which it hears nothing for a minute or two: who publishes nothing hears heartbeats.
What a host says that was taken out since is not written, and in time its socket is closed.
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import Mapping
from typing import Any

import anyio.to_thread
from starlette.websockets import WebSocket, WebSocketDisconnect

from kit.aws.errors import AwsError
from kit.ids import last_part
from orchestrator.agents.conversation import LARGEST_FRAME
from orchestrator.agents.handshake import Handshake, has_hung_up, refuse, request_of
from orchestrator.agents.reports import apply_health
from orchestrator.agents.rounds import Rounds, each
from orchestrator.agents.usage_book import UsageBook
from scheduler.ending import OVER
from state.container_instances import ContainerInstance
from state.store import Session, Store, StoreBusy, StoreUnavailable
from state.tasks import Task, hold_tasks, list_tasks
from state.told_tasks import wishes_on

log = logging.getLogger(__name__)
ACKNOWLEDGEMENTS = {
    "PublishMetricsRequest": "AckPublishMetric",
    "PublishHealthRequest": "AckPublishHealth",
    "PublishInstanceStatusRequest": "AckPublishInstanceStatus",
}

HEALTH = ("HEALTHY", "UNHEALTHY", "UNKNOWN")
HEARTBEAT_SECONDS = 30.0
# How long an agent is listened to before its host is looked up again.
ADMITTED_SECONDS = 300.0
OUT, AGAIN = 1008, 1013
# The official agent signs each frame as if it were a request of its own: header lines and an empty line go before it.
HEADERS_END = "\r\n\r\n"
MOST_HEADERS = 16 * 1024
MOST_DIALS = 100


class TelemetrySockets:
    """Serves ``/tcs/ws``: one connection per agent."""

    def __init__(self, store: Store, handshake: Handshake, book: UsageBook) -> None:
        self._store = store
        self._handshake = handshake
        self._book = book
        self._dials = Rounds(each(self._admit), most=MOST_DIALS, newest_first=True)

    async def serve(self, socket: WebSocket) -> None:
        try:
            instance_id = await self._dials.submit(socket)
            await socket.accept()
        except AwsError as error:
            await refuse(socket, error)
            return
        except WebSocketDisconnect:
            return
        line = Line(socket)
        beating = asyncio.create_task(line.beat())
        clock = asyncio.get_running_loop().time
        looked_at = clock()
        try:
            while True:
                text = await socket.receive_text()
                if clock() - looked_at > ADMITTED_SECONDS:
                    await anyio.to_thread.run_sync(self._handshake.check_active, instance_id)
                    looked_at = clock()
                await self._answer(line, instance_id, text)
        except (WebSocketDisconnect, RuntimeError):
            return
        except AwsError as error:
            await socket.close(OUT, error.code)
        except (StoreBusy, StoreUnavailable) as trouble:
            log.warning("telemetry not taken in", extra={"instance": instance_id, "because": str(trouble)})
            await socket.close(AGAIN)
        finally:
            beating.cancel()

    def _admit(self, socket: WebSocket) -> str:
        if has_hung_up(socket):
            raise WebSocketDisconnect
        return self._handshake.admit(request_of(socket), action="ecs:StartTelemetrySession", member="containerInstance")

    async def _answer(self, line: "Line", instance_id: str, text: str) -> None:
        try:
            text = without_headers(text)
            frame = json.loads(text) if len(text) <= LARGEST_FRAME else {}
            kind, message = str(frame["type"]), dict(frame["message"])
        except (ValueError, KeyError, TypeError, RecursionError):
            await line.send("ErrorMessage", {"message": 'a frame is {"type": …, "message": {…}}'})
            return
        if kind == "PublishHealthRequest":
            await anyio.to_thread.run_sync(self.health, instance_id, message)
        elif kind == "PublishMetricsRequest":
            self._book.note(instance_id, message)
        elif kind == "PublishInstanceStatusRequest":
            await anyio.to_thread.run_sync(self.instance_status, instance_id, message)
        if kind in ACKNOWLEDGEMENTS:
            await line.send(ACKNOWLEDGEMENTS[kind], {"message": "OK"})

    def health(self, instance_id: str, message: dict[str, Any]) -> None:
        """Write the health of the host's own tasks; what makes no sense is passed over."""
        reports = {
            last_part(str(task.get("taskArn", ""))): {
                str(container.get("containerName")): container["healthStatus"]
                for container in _objects(task, "containers")
                if container.get("healthStatus") in HEALTH
            }
            for task in _objects(message, "tasks")
        }

        def read(session: Session) -> list[str]:
            own = reports.keys() & wishes_on(session, instance_id).keys()
            return [task.id for task in list_tasks(session, own) if _is_news(task, reports[task.id])]

        def write(session: Session) -> None:
            hold_tasks(session, news)
            for task in list_tasks(session, news):
                if task.last_status not in OVER:
                    apply_health(session, task, reports[task.id])

        # Agents say it again and again, and writers are waited for.
        news = self._store.read(read)
        if news:
            self._store.transact(write)

    def instance_status(self, instance_id: str, message: dict[str, Any]) -> None:
        """Write whether the host is well."""
        statuses = {str(status.get("status")) for status in _objects(message, "statuses")}
        said = "IMPAIRED" if "IMPAIRED" in statuses else "OK"

        def find(session: Session) -> ContainerInstance | None:
            instance = session.get(ContainerInstance, instance_id)
            is_news = instance is not None and instance.status != "INACTIVE" and instance.health_status != said
            return instance if is_news else None

        def write(session: Session) -> None:
            instance = find(session)
            if instance is not None:
                instance.health_status = said

        if statuses and self._store.read(find) is not None:
            self._store.transact(write)


def _is_news(task: Task, health: Mapping[str, str]) -> bool:
    return any(health.get(one["name"], one["healthStatus"]) != one["healthStatus"] for one in task.containers)


def _objects(holder: dict[str, Any], member: str) -> list[dict[str, Any]]:
    """The objects in a list member; none where an agent sent something else."""
    found = holder.get(member)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


class Line:
    """What is said to one agent, and a heartbeat when nothing was said for a while."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._said_at = asyncio.get_running_loop().time()

    async def send(self, kind: str, message: dict[str, Any]) -> None:
        self._said_at = asyncio.get_running_loop().time()
        await self._socket.send_text(json.dumps({"type": kind, "message": message}))

    async def beat(self) -> None:
        """Say heartbeats until the socket is gone."""
        clock = asyncio.get_running_loop().time
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            while True:
                silent = clock() - self._said_at
                if silent >= HEARTBEAT_SECONDS:
                    await self.send("HeartbeatMessage", {"healthy": True})
                    silent = 0.0
                await asyncio.sleep(HEARTBEAT_SECONDS - silent)


def without_headers(text: str) -> str:
    """The frame itself, without the header lines of its signature; the socket is signed, which is what counts."""
    if text.startswith("{"):
        return text
    head, found, frame = text.partition(HEADERS_END)
    return frame if found and len(head) <= MOST_HEADERS else text
