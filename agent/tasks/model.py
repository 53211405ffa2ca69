"""What is known of the tasks on this host: one mutable record per task, written only by the engine's step."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from agent.runtime import Health, PortBinding
from agent.tasks.spec import ContainerSpec, Desired, TaskSpec, edges

# How the reason begins where what a task needs around its containers was not to be had.
NOT_PREPARED = "ResourceInitializationError"


class Phase(StrEnum):
    """PENDING: its process has not run. RUNNING. STOPPED: it will not run (again)."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    STOPPED = "STOPPED"


class Busy(StrEnum):
    """The action in flight for a container; one at a time."""

    LAUNCHING = "launching"
    STOPPING = "stopping"
    EXAMINING = "examining"
    RESTARTING = "restarting"


@dataclass(slots=True, kw_only=True)
class Container:
    """One container of a task. ``logged`` becomes true once nothing of its log is left to ship.

    ``started_at`` is the first start, and ``since`` the same on the steady clock. A container that ended and is to be
    started again stays RUNNING meanwhile, with ``restart_due``; ``ended_at`` tells which end was counted last, so that
    none is counted twice. ``waiting_since``, of the steady clock, is when it began to wait for what is elsewhere.
    """

    spec: ContainerSpec
    phase: Phase = Phase.PENDING
    runtime_id: str = ""
    exit_code: int | None = None
    reason: str = ""
    digest: str = ""
    health: Health | None = None
    health_since: datetime | None = None
    bindings: tuple[PortBinding, ...] = ()
    started_at: datetime | None = None
    since: datetime | None = None
    finished_at: datetime | None = None
    busy: Busy | None = None
    look_again: bool = False
    attempts: int = 0
    retry_at: datetime | None = None
    waiting_since: datetime | None = None
    logged: bool = True
    restart_due: bool = False
    restart_count: int = 0
    ended_at: datetime | None = None
    stop_begun_at: datetime | None = None

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def failed_to_start(self) -> bool:
        """Stopped without ever having run, and the whole task with it: essential, or without what a task is given."""
        doomed = self.spec.essential or self.reason.startswith(NOT_PREPARED)
        return doomed and self.phase is Phase.STOPPED and self.started_at is None

    @property
    def settled(self) -> bool:
        """Stopped, and its log is out: ready to be reported as STOPPED."""
        return self.phase is Phase.STOPPED and self.logged and self.busy is None


@dataclass(slots=True, kw_only=True)
class Task:
    """One task. ``version`` counts what was reported; ``acknowledged`` is the newest version the control plane has."""

    spec: TaskSpec
    containers: dict[str, Container]
    desired: Desired = Desired.RUNNING
    reason: str = ""
    pull_started_at: datetime | None = None
    pull_stopped_at: datetime | None = None
    stopped_at: datetime | None = None
    dependents: dict[str, set[str]] = field(default_factory=dict)
    removing: bool = False
    remove_at: datetime | None = None
    remove_attempts: int = 0
    reported: object = None
    acknowledged: bool = False

    @property
    def arn(self) -> str:
        return self.spec.arn

    @property
    def visible(self) -> tuple[Container, ...]:
        """The containers the control plane knows of."""
        return tuple(c for c in self.containers.values() if not c.spec.internal)

    def ends(self) -> Iterator[datetime]:
        """When its essential containers ended: with the first of them its execution did, whenever that was seen."""
        return (c.finished_at for c in self.visible if c.spec.essential and c.finished_at)

    @property
    def sharers(self) -> int:
        """Among how many containers traffic that is seen of one is divided, as the ECS agent divides it: in ``awsvpc``
        mode each sees the whole task's."""
        return max(1, len(self.visible)) if self.spec.network_mode == "awsvpc" else 1

    @property
    def status(self) -> Phase:
        """Derived from the containers: RUNNING once every one has started, STOPPED once every one has settled.

        A task that failed to start never was RUNNING, whatever else of it still is.
        """
        containers = self.containers.values()
        if all(container.settled for container in containers):
            return Phase.STOPPED
        if any(container.phase is Phase.PENDING or container.failed_to_start for container in self.visible):
            return Phase.PENDING
        return Phase.RUNNING


def task_of(spec: TaskSpec) -> Task:
    """A task of which nothing has happened yet."""
    task = Task(spec=spec, containers={}, desired=spec.desired)
    for container in spec.containers:
        task.containers[container.name] = Container(spec=container)
        task.dependents.setdefault(container.name, set())
        for edge in edges(container):
            task.dependents.setdefault(edge.container, set()).add(container.name)
    return task
