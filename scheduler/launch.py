"""Launching tasks: placement and reservation in the caller's own transaction.

RunTask, the services loop and the jobs loop all come through ``launch_tasks``. A task on shared hosts is placed
here and now or refused; a Fargate task waits, PROVISIONING, for a host of its own. Placement in one cluster is
serial (``lock_cluster``), so what the snapshot shows is still true when the reservation is written.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from kit.ids import new_id
from kit.settings import Settings
from scheduler.placement import Ask, Placed, Refused, RequiredAttribute, demand_of, place
from scheduler.placement.constraints import check_constraints
from scheduler.placement.strategies import check_strategies
from scheduler.snapshot import take_snapshot
from scheduler.wiring import attach_address
from state.base import Event
from state.capacities import Capacity
from state.clusters import lock_cluster
from state.container_instances import ContainerInstance
from state.reservations import reserve
from state.store import Session
from state.task_definitions import TaskDefinition
from state.tasks import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What to launch, as ECS's RunTask says it; members that stay None or empty are not used."""

    cluster: str
    task_definition: TaskDefinition
    launch_type: str  # EC2, FARGATE or EXTERNAL
    group: str | None = None  # default: family:<family>
    started_by: str | None = None
    service_name: str | None = None
    deployment_id: str | None = None
    job_id: str | None = None
    capacity_provider: str | None = None
    platform_version: str | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    network_configuration: Mapping[str, Any] | None = None
    extra_environment: Mapping[str, str] = field(default_factory=dict)
    constraints: Sequence[Mapping[str, Any]] = ()
    strategy: Sequence[Mapping[str, Any]] = ()
    tags: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched:
    """The tasks that were created, and a refusal for each that was not."""

    tasks: Sequence[Task]
    refused: Sequence[Refused]


def launch_tasks(
    session: Session, launch: Launch, count: int, *, now: datetime, seed: int, settings: Settings
) -> Launched:
    """Create ``count`` tasks, each placed and with its room reserved, or waiting for capacity of its own.

    Raises the ValueErrors of ``scheduler.placement`` for constraints, strategies and sizes that cannot be honoured.
    """
    tasks = [new_task(launch, now=now, settings=settings) for _ in range(count)]
    if launch.launch_type == "FARGATE":
        return Launched(tasks=_await_capacity(session, tasks, now=now, settings=settings), refused=())
    lock_cluster(session, launch.cluster)
    hosts = take_snapshot(session, launch.cluster)
    asks = [_ask(launch, task) for task in tasks]
    plan = place([seen.host for seen in hosts.values()], asks, seed=seed)
    by_id = {task.id: task for task in tasks}
    for placed in plan.placed:
        _bear(session, by_id[placed.ask], hosts[placed.host].instance, launch, now=now)
    return Launched(tasks=[by_id[placed.ask] for placed in plan.placed], refused=plan.refused)


def launch_on(
    session: Session, launch: Launch, container_instance_id: str, *, now: datetime, settings: Settings
) -> Task | Refused:
    """Create one task on the named host (StartTask): no strategy and no constraint, but the room must be there."""
    lock_cluster(session, launch.cluster)
    seen = take_snapshot(session, launch.cluster)[container_instance_id]
    task = new_task(launch, now=now, settings=settings)
    result = place([seen.host], [_ask(launch, task, free_choice=False)], seed=0).results[0]
    match result:
        case Refused():
            return result
        case Placed():
            _bear(session, task, seen.instance, launch, now=now)
            return task


def new_task(launch: Launch, *, now: datetime, settings: Settings) -> Task:
    """The row of a task that is nowhere yet."""
    definition = launch.task_definition
    demand = demand_of(definition.body, launch.overrides)
    environment = dict(launch.extra_environment)
    if settings.inject_endpoint:
        # boto3 and the CLI look for the region in one variable, the other SDKs in the other.
        regions = {"AWS_REGION": settings.region, "AWS_DEFAULT_REGION": settings.region}
        environment |= {"AWS_ENDPOINT_URL": settings.api_endpoint, **regions}
    task_id = new_id()
    return Task(
        id=task_id,
        cluster=launch.cluster,
        family=definition.family,
        revision=definition.revision,
        launch_type=launch.launch_type,
        capacity_provider=launch.capacity_provider,
        platform_version=launch.platform_version,
        group=launch.group or f"family:{definition.family}",
        started_by=launch.started_by,
        service_name=launch.service_name,
        deployment_id=launch.deployment_id,
        job_id=launch.job_id,
        cpu=demand.cpu,
        memory=demand.memory,
        desired_status="RUNNING",
        last_status="PROVISIONING" if launch.launch_type == "FARGATE" else "PENDING",
        overrides=dict(launch.overrides),
        network_configuration=dict(launch.network_configuration) if launch.network_configuration else None,
        extra_environment=environment,
        containers=[_container(container) for container in definition.body["containerDefinitions"]],
        attachments=[],
        attributes=[],
        tags=[dict(tag) for tag in launch.tags],
        health_status="UNKNOWN",
        created_at=now,
    )


def put_on_host(session: Session, task: Task, instance: ContainerInstance, definition: TaskDefinition) -> None:
    """Reserve the task's room on the host, write the assignment, and wake the host's agent."""
    demand = demand_of(definition.body, task.overrides)
    reserve(session, instance.id, task.id, cpu=task.cpu, memory=task.memory, ports=demand.ports)
    task.container_instance_id = instance.id
    if demand.address:
        attach_address(session, task, instance)
    session.wake(f"agent:{instance.id}")


def _bear(session: Session, task: Task, instance: ContainerInstance, launch: Launch, *, now: datetime) -> None:
    """Write a new task that has its host already."""
    put_on_host(session, task, instance, launch.task_definition)
    session.add_all([task, _born(task, now, f"placed on {instance.id}")])


def _await_capacity(session: Session, tasks: list[Task], *, now: datetime, settings: Settings) -> list[Task]:
    """Write each task together with the host it needs; the capacities loop launches it."""
    for task in tasks:
        capacity = Capacity(
            id=new_id(),
            status="REQUESTED",
            provisioner=settings.provisioner,
            cluster=task.cluster,
            purpose="task",
            task_id=task.id,
            cpu=task.cpu,
            memory=task.memory,
            requested_at=now,
        )
        task.capacity_id = capacity.id
        session.add_all([task, capacity, _born(task, now, "waits for capacity of its own")])
    session.wake("capacities")
    return tasks


def _ask(launch: Launch, task: Task, *, free_choice: bool = True) -> Ask:
    body = launch.task_definition.body
    demand = demand_of(body, launch.overrides)
    constraints = [*body.get("placementConstraints", ()), *launch.constraints] if free_choice else []
    return Ask(
        id=task.id,
        cpu=demand.cpu,
        memory=demand.memory,
        ports=demand.ports,
        address=demand.address,
        attributes=tuple(
            RequiredAttribute(name=wanted["name"], value=wanted.get("value"))
            for wanted in body.get("requiresAttributes", ())
        ),
        constraints=check_constraints(constraints),
        strategy=check_strategies(launch.strategy),
        group=task.group or "",
    )


def _container(definition: Mapping[str, Any]) -> dict[str, Any]:
    """A container nobody has observed yet."""
    return {
        "id": new_id(),
        "name": definition["name"],
        "image": definition["image"],
        **{size: str(definition[size]) for size in ("cpu", "memory", "memoryReservation") if size in definition},
        "lastStatus": "PENDING",
        "healthStatus": "UNKNOWN",
        "networkBindings": [],
        "networkInterfaces": [],
    }


def _born(task: Task, now: datetime, because: str) -> Event:
    return Event(at=now, kind="task", entity=task.event_name(), before=None, after=task.last_status, because=because)
