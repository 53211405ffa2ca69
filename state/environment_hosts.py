"""Environment hosts: what the compute environments loop reads about the hosts and jobs of each environment."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from state.capacities import Capacity
from state.clusters import Cluster
from state.compute_environments import ComputeEnvironment
from state.container_instances import ContainerInstance
from state.jobs import UNFINISHED, Job
from state.task_counts import TaskCount
from state.tasks import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentHost:
    """A capacity of an environment that has not ended, and the host that came of it, if it is up."""

    capacity_id: str
    environment: str
    status: str
    cpu: int
    memory: int
    instance_id: str | None
    free_cpu: int | None
    free_memory: int | None
    registered_at: datetime | None
    busy: bool
    last_stopped_at: datetime | None


def environment_hosts(session: Session) -> list[EnvironmentHost]:
    """All capacities of compute environments that have not ended, the oldest first."""
    # Asked host by host: environments have few, and a table of tasks has many.
    running = (
        select(func.sum(TaskCount.tasks))
        .where(TaskCount.container_instance_id == ContainerInstance.id)
        .scalar_subquery()
        .label("tasks")
    )
    last = (
        select(func.max(Task.stopped_at))
        .where(Task.container_instance_id == ContainerInstance.id)
        .scalar_subquery()
        .label("at")
    )
    rows = session.execute(
        select(
            Capacity.id,
            Capacity.compute_environment,
            Capacity.status,
            Capacity.cpu,
            Capacity.memory,
            ContainerInstance.id.label("instance_id"),
            ContainerInstance.free_cpu,
            ContainerInstance.free_memory,
            ContainerInstance.registered_at,
            running,
            last,
        )
        .outerjoin(ContainerInstance, ContainerInstance.id == Capacity.container_instance_id)
        .where(Capacity.purpose == "compute-environment", Capacity.status != "TERMINATED")
        .order_by(Capacity.requested_at, Capacity.id)
    )
    return [
        EnvironmentHost(
            capacity_id=row.id,
            environment=row.compute_environment or "",
            status=row.status,
            cpu=row.cpu,
            memory=row.memory,
            instance_id=row.instance_id,
            free_cpu=row.free_cpu,
            free_memory=row.free_memory,
            registered_at=row.registered_at,
            busy=bool(row.tasks),
            last_stopped_at=row.at,
        )
        for row in rows
    ]


def failed_launches(session: Session, since: datetime) -> dict[str, tuple[datetime, str]]:
    """For each environment, the last capacity that ended after ``since`` without ever coming up: when, and why."""
    rows = session.execute(
        select(Capacity.compute_environment, Capacity.terminated_at, Capacity.reason)
        .where(
            Capacity.purpose == "compute-environment",
            Capacity.status == "TERMINATED",
            Capacity.terminated_at > since,
            Capacity.container_instance_id.is_(None),
            Capacity.reason.is_not(None),
        )
        .order_by(Capacity.terminated_at)
    )
    return {row.compute_environment or "": (row.terminated_at, row.reason) for row in rows}


def unfinished_jobs(session: Session) -> dict[str, int]:
    """Jobs that are STARTING or RUNNING, by compute environment."""
    rows = session.execute(
        select(Job.compute_environment, func.count().label("jobs"))
        .where(Job.status.in_(UNFINISHED), Job.compute_environment.is_not(None))
        .group_by(Job.compute_environment)
    )
    return {row.compute_environment or "": row.jobs for row in rows}


def gone_clusters(session: Session) -> set[str]:
    """Clusters of compute environments that somebody deleted."""
    query = (
        select(Cluster.name)
        .join(ComputeEnvironment, ComputeEnvironment.cluster == Cluster.name)
        .where(Cluster.status != "ACTIVE")
    )
    return set(session.scalars(query))


def hosts_by_cluster(session: Session) -> dict[str, int]:
    """Hosts that are still registered, by cluster."""
    rows = session.execute(
        select(ContainerInstance.cluster, func.count().label("hosts"))
        .where(ContainerInstance.status != "INACTIVE")
        .group_by(ContainerInstance.cluster)
    )
    return {row.cluster: row.hosts for row in rows}
