"""The agents' telemetry socket (TCS): container health is written into tasks; metrics are acknowledged only.

Metrics are not kept yet: CloudWatch is not part of Berth so far, and the acknowledgement promises no more.
"""

import json
import logging
from typing import Any

import anyio.to_thread
from starlette.websockets import WebSocket, WebSocketDisconnect

from kit.aws.errors import AwsError
from kit.ids import last_part
from orchestrator.agents.conversation import LARGEST_FRAME
from orchestrator.agents.handshake import Handshake, refuse, request_of
from orchestrator.agents.reports import apply_health
from state.container_instances import ContainerInstance
from state.store import Session, Store
from state.tasks import get_task, hold_tasks

log = logging.getLogger(__name__)
ACKNOWLEDGEMENTS = {
    "PublishMetricsRequest": "AckPublishMetric",
    "PublishHealthRequest": "AckPublishHealth",
    "PublishInstanceStatusRequest": "AckPublishInstanceStatus",
}

HEALTH = ("HEALTHY", "UNHEALTHY", "UNKNOWN")


class TelemetrySockets:
    """Serves ``/tcs/ws``: one connection per agent."""

    def __init__(self, store: Store, handshake: Handshake) -> None:
        self._store = store
        self._handshake = handshake

    async def serve(self, socket: WebSocket) -> None:
        request = request_of(socket)
        try:
            instance_id = await anyio.to_thread.run_sync(
                lambda: self._handshake.admit(request, action="ecs:StartTelemetrySession", member="containerInstance")
            )
        except AwsError as error:
            await refuse(socket, error)
            return
        await socket.accept()
        try:
            while True:
                await self._answer(socket, instance_id, await socket.receive_text())
        except (WebSocketDisconnect, RuntimeError):
            return

    async def _answer(self, socket: WebSocket, instance_id: str, text: str) -> None:
        try:
            frame = json.loads(text) if len(text) <= LARGEST_FRAME else {}
            kind, message = str(frame["type"]), dict(frame["message"])
        except (ValueError, KeyError, TypeError, RecursionError):
            await _send(socket, "ErrorMessage", {"message": 'a frame is {"type": …, "message": {…}}'})
            return
        if kind == "PublishHealthRequest":
            await anyio.to_thread.run_sync(self.health, instance_id, message)
        elif kind == "PublishInstanceStatusRequest":
            await anyio.to_thread.run_sync(self.instance_status, instance_id, message)
        if kind in ACKNOWLEDGEMENTS:
            await _send(socket, ACKNOWLEDGEMENTS[kind], {"message": "OK"})

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

        def write(session: Session) -> None:
            hold_tasks(session, reports)
            for task_id, health in reports.items():
                task = get_task(session, task_id)
                if task is not None and task.container_instance_id == instance_id and task.last_status != "STOPPED":
                    apply_health(session, task, health)

        self._store.transact(write)

    def instance_status(self, instance_id: str, message: dict[str, Any]) -> None:
        """Write whether the host is well."""
        statuses = {str(status.get("status")) for status in _objects(message, "statuses")}

        def write(session: Session) -> None:
            instance = session.get(ContainerInstance, instance_id)
            if instance is not None and statuses:
                instance.health_status = "IMPAIRED" if "IMPAIRED" in statuses else "OK"

        self._store.transact(write)


def _objects(holder: dict[str, Any], member: str) -> list[dict[str, Any]]:
    """The objects in a list member; none where an agent sent something else."""
    found = holder.get(member)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


async def _send(socket: WebSocket, kind: str, message: dict[str, Any]) -> None:
    await socket.send_text(json.dumps({"type": kind, "message": message}))
