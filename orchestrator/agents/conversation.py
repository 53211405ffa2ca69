"""A conversation: the control plane's side of one agent's connection, as frames in and frames out, without a socket.

Level-triggered: it remembers only what it has sent itself. A new one begins with the manifest and sends every task of
the host again, and agents know repeats, so a lost message or a lost replica costs a reconnection and nothing else.
"""

import json
import logging
from collections.abc import Sequence
from typing import Any

from kit.clock import Clock, epoch_millis
from kit.ids import Arns, last_part, new_uuid
from kit.settings import Settings
from orchestrator.agents.payloads import render_payload_task
from scheduler.ending import end_task
from state.container_instances import ContainerInstance, get_container_instance
from state.store import Session, Store
from state.task_definitions import TaskDefinition
from state.tasks import Task, list_tasks, list_tasks_on, wishes_on

log = logging.getLogger(__name__)
UNTOLD = "ResourceInitializationError: the task definition and its overrides make no task that an agent can run"
LARGEST_FRAME = 1024 * 1024


class Conversation:
    """One connection of one host's agent. ``closed`` becomes true when the host may not be here any more."""

    def __init__(self, store: Store, clock: Clock, settings: Settings, instance_id: str) -> None:
        self.instance_id = instance_id
        self.closed = False
        self._store = store
        self._clock = clock
        self._settings = settings
        self._arns = Arns(settings.account, settings.region)
        self._sent: dict[str, str] = {}

    def opening(self) -> str:
        """The first frame: every task that the host should know of, and what is wished of it."""

        def read(session: Session) -> str:
            instance = session.get_one(ContainerInstance, self.instance_id)
            now = self._now()
            return _frame(
                "TaskManifestMessage",
                clusterArn=self._arns.cluster(instance.cluster),
                containerInstanceArn=self._arns.container_instance(instance.cluster, instance.id),
                messageId=new_uuid(),
                generatedAt=now,
                timeline=now,
                tasks=[
                    {
                        "taskArn": self._arns.task(task.cluster, task.id),
                        "taskClusterArn": self._arns.cluster(task.cluster),
                        "desiredStatus": task.desired_status,
                    }
                    for task in list_tasks_on(session, self.instance_id)
                ],
            )

        return self._store.read(read)

    def news(self) -> list[str]:
        """Frames of the tasks whose wish this connection has not sent yet; none when there is nothing to say."""

        def read(session: Session) -> tuple[dict[str, dict[str, Any] | None], dict[str, str]] | None:
            instance = get_container_instance(session, self.instance_id)
            if instance is None or instance.status == "INACTIVE":
                return None
            wishes = wishes_on(session, self.instance_id)
            unsent = [task_id for task_id, wish in wishes.items() if self._sent.get(task_id) != wish]
            return {task.id: self._render(session, task) for task in list_tasks(session, unsent)}, wishes

        seen = self._store.read(read)
        if seen is None:
            self.closed = True
            return []
        rendered, self._sent = seen
        self._give_up([task_id for task_id, task in rendered.items() if task is None])
        tasks = [task for task in rendered.values() if task is not None]
        return [self._payload(tasks)] if tasks else []

    def heartbeat(self) -> str:
        return _frame("HeartbeatMessage", messageId=new_uuid(), healthy=True)

    def answer(self, text: str) -> str | None:
        """What to say to an agent's frame, if anything."""
        try:
            frame = json.loads(text) if len(text) <= LARGEST_FRAME else {}
            kind, message = frame["type"], dict(frame["message"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return _frame("ErrorMessage", message='a frame is {"type": …, "message": {…}}')
        match kind:
            case "TaskStopVerificationMessage":
                return self._verify_stops(message)
            case "NackRequest":
                log.warning("agent refused a message", extra={"instance": self.instance_id, "nack": message})
            case _:
                pass  # acknowledgements: what was sent is repeated until the task's state says it arrived
        return None

    def _render(self, session: Session, task: Task) -> dict[str, Any] | None:
        """The task as its agent is told it; None for one that cannot be told, so that it takes no other with it."""
        try:
            definition = session.get_one(TaskDefinition, (task.family, task.revision))
            return render_payload_task(task, definition, arns=self._arns, settings=self._settings)
        except Exception:
            log.exception("task cannot be told to its agent", extra={"task": task.id})
            return None

    def _give_up(self, task_ids: Sequence[str]) -> None:
        """End tasks that can never reach their agent."""

        def write(session: Session) -> None:
            for task in list_tasks(session, task_ids):
                task.ask_to_stop(at=self._clock.now(), code="TaskFailedToStart", because=UNTOLD)
                end_task(session, task, now=self._clock.now(), because=UNTOLD)

        if task_ids:
            self._store.transact(write)

    def _payload(self, tasks: list[dict[str, Any]]) -> str:
        cluster = tasks[0]["taskClusterArn"]
        now = self._now()
        return _frame(
            "PayloadMessage",
            clusterArn=cluster,
            containerInstanceArn=self._arns.container_instance(last_part(cluster), self.instance_id),
            messageId=new_uuid(),
            seqNum=now,
            generatedAt=now,
            tasks=tasks,
        )

    def _verify_stops(self, message: dict[str, Any]) -> str:
        """Of the tasks an agent runs and was not told of, those that really should not run there."""
        asked = message.get("stopCandidates")
        candidates = {
            last_part(str(candidate.get("taskArn", ""))): candidate
            for candidate in (asked if isinstance(asked, list) else ())
            if isinstance(candidate, dict)
        }
        wanted = {
            task.id
            for task in self._store.read(lambda session: list_tasks_on(session, self.instance_id))
            if task.desired_status == "RUNNING"
        }
        return _frame(
            "TaskStopVerificationAck",
            messageId=message.get("messageId", new_uuid()),
            generatedAt=self._now(),
            stopTasks=[candidate for task_id, candidate in candidates.items() if task_id not in wanted],
        )

    def _now(self) -> int:
        return epoch_millis(self._clock.now())


def _frame(kind: str, **message: Any) -> str:
    return json.dumps({"type": kind, "message": message}, separators=(",", ":"))
