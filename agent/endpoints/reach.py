"""Reach: which containers the endpoints are made reachable for, when, and which variables tell them so.

A container is told of the endpoints only where it can reach them: in its task's own namespace before it starts, from
the host through the door, and otherwise a moment after its start.
"""

import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta

from agent.endpoints import ADDRESS
from agent.endpoints.ids import EndpointIds
from agent.endpoints.wiring import Wiring
from agent.log import facts
from agent.runtime import Runtime, RuntimeTrouble
from agent.tasks.model import Phase, Task
from agent.tasks.pausing import PAUSE_NAME
from agent.tasks.spec import ContainerSpec, TaskSpec
from kit.clock import Clock

DOOR_TRIES, DOOR_PAUSE = 10, timedelta(milliseconds=100)
URL = f"http://{ADDRESS}"

log = facts(__name__)


class Reach:
    """``door`` says whether this agent may be the one that the host's own containers reach. Safe on any thread."""

    def __init__(
        self,
        *,
        wiring: Wiring,
        runtime: Runtime,
        ids: EndpointIds,
        tasks: Callable[[], Iterable[Task]],
        clock: Clock,
        door: bool,
    ) -> None:
        self._wiring = wiring
        self._runtime = runtime
        self._ids = ids
        self._tasks = tasks
        self._clock = clock
        self._wants_door = door

    def variables(self, task: TaskSpec, container: ContainerSpec) -> Mapping[str, str]:
        """What a container is told; nothing where it would find nobody."""
        if container.internal or not self._reaches(task):
            return {}
        name = self._ids.id_of(task.arn, container.name)
        variables = {
            "ECS_CONTAINER_METADATA_URI": f"{URL}/v3/{name}",
            "ECS_CONTAINER_METADATA_URI_V4": f"{URL}/v4/{name}",
            "ECS_AGENT_URI": f"{URL}/api/{name}",
        }
        if task.role is not None:
            variables["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] = f"/v2/credentials/{task.role.id}"
        return variables

    def started(self, task: TaskSpec, container: ContainerSpec, runtime_id: str) -> None:
        """A container has started: give it a way to the endpoints, if it needs one of its own."""
        if not self._needs_cable(task, container):
            return
        try:
            pid = self._runtime.details(runtime_id).pid
            if not pid:
                return
            self._wiring.attach(pid, runtime_id, _end(task, container.name))
        except (OSError, RuntimeTrouble) as error:
            log.warning("endpoints not reachable", task=task.arn, container=container.name, because=str(error))

    def ended(self, task: TaskSpec) -> None:
        """Nothing is left of the task."""
        for container in task.containers:
            self._wiring.detach(_end(task, container.name))

    def recover(self) -> None:
        """After a restart: lay the cables of what runs anew."""
        for _ in range(DOOR_TRIES):
            # An agent that has just ended holds it for a moment longer.
            if not self._wants_door or self._wiring.open_door():
                break
            self._clock.wait(threading.Event(), DOOR_PAUSE)
        for task in self._tasks():
            for container in task.containers.values():
                if container.phase is Phase.RUNNING and container.runtime_id:
                    self.started(task.spec, container.spec, container.runtime_id)

    def look_for_door(self) -> None:
        """Take the door if it has become free."""
        if self._wants_door:
            self._wiring.open_door()

    def _reaches(self, task: TaskSpec) -> bool:
        if task.network_mode == "awsvpc":
            return self._wiring.is_attached(_end(task, PAUSE_NAME))
        return task.network_mode != "host" or self._wiring.has_door

    def _needs_cable(self, task: TaskSpec, container: ContainerSpec) -> bool:
        match task.network_mode:
            case "awsvpc":
                return container.internal
            case "bridge":
                return not self._wiring.has_door
            case mode:
                return mode == "none"


def _end(task: TaskSpec, container: str) -> str:
    return f"{task.arn} {container}"
