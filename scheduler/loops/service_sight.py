"""What the services loop sees: every living service with its deployments and tasks, in a handful of queries.

Read as columns rather than entities where there are many rows. Nothing here writes.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from sqlalchemy import false, or_, select, tuple_
from sqlalchemy.engine import Row

from scheduler.rollout import CircuitBreaker, DeploymentSeen, ServiceSeen, TaskSeen
from state.container_instances import ContainerInstance
from state.services import Deployment, Service
from state.store import Session
from state.task_definitions import TaskDefinition
from state.tasks import Task

Key = tuple[str, str]
"""A service's cluster and name."""
Revision = tuple[str, int]
# Ends that nobody asked for.
OWN_ENDS = (None, "EssentialContainerExited", "TaskFailedToStart")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """One service as seen, and the version of its row at that time."""

    key: Key
    version: int
    service: ServiceSeen
    steady: bool
    """The service was already steady and nothing has been asked of it since."""
    desired_count: int
    """As it stands in the row; a DAEMON's is the loop's to write."""
    reset_on_healthy: bool = True
    """Whether a healthy task forgives the failed starts before it."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What the loop must know of a task definition, whose revisions never change."""

    checked: bool
    """An essential container declares a health check."""
    attributes: tuple[tuple[str, str | None], ...]


def look(session: Session, known: dict[Revision, Needs]) -> list[Sight]:
    """Every service that is not INACTIVE. ``known`` is filled with the task definitions met on the way."""
    services = session.scalars(
        select(Service).where(Service.status != "INACTIVE").order_by(Service.cluster, Service.name)
    ).all()
    if not services:
        return []
    deployments: dict[Key, list[Deployment]] = defaultdict(list)
    for row in session.scalars(select(Deployment).where(Deployment.status != "INACTIVE")):
        deployments[row.cluster, row.service_name].append(row)
    tasks: dict[Key, list[Any]] = defaultdict(list)
    for task in _tasks(session):
        tasks[task.cluster, task.service_name].append(task)
    wanted = {(task.family, task.revision) for rows in tasks.values() for task in rows}
    wanted |= {(service.family, service.revision) for service in services}
    _learn(session, known, wanted)
    hosts = _daemon_hosts(session, services)
    return [
        _sight(service, deployments[key], tasks[key], known, hosts.get(service.cluster, ()))
        for service in services
        for key in ((service.cluster, service.name),)
    ]


def _tasks(session: Session) -> Iterable[Row[Any]]:
    """Tasks of living deployments that run or will, and those that stopped and were not judged yet."""
    alive = select(Deployment.id).where(Deployment.status != "INACTIVE")
    return session.execute(
        select(
            Task.id,
            Task.cluster,
            Task.service_name,
            Task.deployment_id,
            Task.family,
            Task.revision,
            Task.last_status,
            Task.desired_status,
            Task.stop_code,
            Task.health_status,
            Task.created_at,
            Task.started_at,
            Task.stopped_at,
            Task.container_instance_id,
            ContainerInstance.status.label("host_status"),
        )
        .outerjoin(ContainerInstance, ContainerInstance.id == Task.container_instance_id)
        .where(Task.deployment_id.in_(alive), or_(Task.last_status != "STOPPED", Task.judged == false()))
    )


def _learn(session: Session, known: dict[Revision, Needs], wanted: set[Revision]) -> None:
    unknown = wanted - known.keys()
    if not unknown:
        return
    rows = select(TaskDefinition.family, TaskDefinition.revision, TaskDefinition.body).where(
        tuple_(TaskDefinition.family, TaskDefinition.revision).in_(sorted(unknown))
    )
    for family, revision, body in session.execute(rows):
        known[family, revision] = Needs(
            checked=any(
                container.get("healthCheck") and container.get("essential", True)
                for container in body["containerDefinitions"]
            ),
            attributes=tuple((wish["name"], wish.get("value")) for wish in body.get("requiresAttributes", ())),
        )


def _daemon_hosts(session: Session, services: Sequence[Service]) -> Mapping[str, Sequence[ContainerInstance]]:
    """The hosts on which daemons may run, by cluster; read only where there is a DAEMON at all."""
    clusters = {service.cluster for service in services if service.scheduling_strategy == "DAEMON"}
    hosts: dict[str, list[ContainerInstance]] = defaultdict(list)
    if clusters:
        rows = select(ContainerInstance).where(
            ContainerInstance.cluster.in_(clusters),
            ContainerInstance.status == "ACTIVE",
            ContainerInstance.capacity_id.is_(None),
        )
        for host in session.scalars(rows):
            hosts[host.cluster].append(host)
    return hosts


def _sight(
    service: Service,
    deployments: Sequence[Deployment],
    tasks: Sequence[Any],
    known: Mapping[Revision, Needs],
    hosts: Sequence[ContainerInstance],
) -> Sight:
    breaker = service.deployment_configuration.get("deploymentCircuitBreaker") or {}
    daemon = service.scheduling_strategy == "DAEMON"
    return Sight(
        key=(service.cluster, service.name),
        version=service.version,
        steady=service.steady_at is not None,
        desired_count=service.desired_count,
        reset_on_healthy=breaker.get("resetOnHealthyTask") is not False,
        service=ServiceSeen(
            name=service.name,
            desired=service.desired_count,
            status=service.status,
            scheduling_strategy=service.scheduling_strategy,
            minimum_healthy_percent=service.deployment_configuration["minimumHealthyPercent"],
            maximum_percent=service.deployment_configuration["maximumPercent"],
            circuit_breaker=_breaker(breaker),
            deployments=tuple(_deployment(row) for row in deployments),
            tasks=tuple(_task(task, known) for task in tasks),
            eligible_hosts=_eligible(service, tasks, known, hosts) if daemon else (),
            health_check_grace=timedelta(seconds=service.health_check_grace_seconds or 0),
            last_event=service.last_event,
        ),
    )


def _breaker(given: Mapping[str, Any]) -> CircuitBreaker:
    threshold = given.get("thresholdConfiguration")
    breaker = CircuitBreaker(enable=bool(given.get("enable")), rollback=bool(given.get("rollback")))
    if not threshold:
        return breaker
    return replace(breaker, threshold_type=threshold["type"], threshold=threshold["value"])


def _deployment(row: Deployment) -> DeploymentSeen:
    return DeploymentSeen(
        id=row.id,
        status=row.status,
        created_at=row.created_at,
        rollout_state=row.rollout_state,
        failed_tasks=row.failed_tasks,
        last_failure_at=row.last_failure_at,
    )


def _task(row: Any, known: Mapping[Revision, Needs]) -> TaskSeen:
    needs = known.get((row.family, row.revision))
    # Every stopped task is wanted STOPPED in the end; what counts is whether anyone asked for it.
    own_end = row.last_status == "STOPPED" and row.stop_code in OWN_ENDS
    return TaskSeen(
        id=row.id,
        deployment_id=row.deployment_id,
        last_status=row.last_status,
        desired_status="RUNNING" if own_end else row.desired_status,
        healthy={"HEALTHY": True, "UNHEALTHY": False}.get(row.health_status),
        checked=needs is not None and needs.checked,
        created_at=row.created_at,
        started_at=row.started_at,
        stopped_at=row.stopped_at,
        host=row.container_instance_id,
        draining=row.host_status == "DRAINING",
    )


def _eligible(
    service: Service, tasks: Sequence[Any], known: Mapping[Revision, Needs], hosts: Sequence[ContainerInstance]
) -> tuple[str, ...]:
    """Hosts that should run the daemon: those with what it needs, and with an agent or the daemon already there."""
    needs = known.get((service.family, service.revision))
    present = {task.container_instance_id for task in tasks}
    return tuple(
        sorted(
            host.id
            for host in hosts
            if (host.agent_connected or host.id in present) and _has(host, needs.attributes if needs else ())
        )
    )


def _has(host: ContainerInstance, wanted: Sequence[tuple[str, str | None]]) -> bool:
    own = {attribute["name"]: attribute.get("value") for attribute in host.attributes}
    return all(name in own and (value is None or own[name] == value) for name, value in wanted)
