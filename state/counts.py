"""Counts over many rows at once: what DescribeClusters and DescribeServices show, one query per noun."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from state.container_instances import ContainerInstance
from state.services import Service
from state.task_counts import tally_clusters, tally_deployments

STARTING = ("PROVISIONING", "PENDING")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterCounts:
    """What is in one cluster. ``tasks`` counts by launch type and RUNNING, PENDING (every status on the way there)
    or STOPPING (every one on the way down), ``services`` by launch type and status. Hosts launched for one Fargate
    task are not instances."""

    instances: int = 0
    tasks: Counter[tuple[str, str]] = field(default_factory=Counter)
    services: Counter[tuple[str, str]] = field(default_factory=Counter)

    def tasks_in(self, status: str) -> int:
        return sum(count for (_, found), count in self.tasks.items() if found == status)

    def services_in(self, status: str) -> int:
        return sum(count for (_, found), count in self.services.items() if found == status)


def count_clusters(session: Session, clusters: Collection[str]) -> Mapping[str, ClusterCounts]:
    """The counts of every named cluster, in three queries."""
    instances = dict(
        session.execute(
            select(ContainerInstance.cluster, func.count())
            .where(
                ContainerInstance.cluster.in_(clusters),
                ContainerInstance.status.in_(("ACTIVE", "DRAINING")),
                ContainerInstance.capacity_id.is_(None),
            )
            .group_by(ContainerInstance.cluster)
        ).all()
    )
    counts = {name: ClusterCounts(instances=instances.get(name, 0)) for name in clusters}
    for cluster, launch_type, status, count in tally_clusters(session, clusters):
        counts[cluster].tasks[launch_type, phase_of(status)] += count
    services = session.execute(
        select(Service.cluster, Service.launch_type, Service.status, func.count())
        .where(Service.cluster.in_(clusters), Service.status != "INACTIVE")
        .group_by(Service.cluster, Service.launch_type, Service.status)
    )
    for cluster, launch_type, status, count in services:
        counts[cluster].services[launch_type, status] += count
    return counts


def count_deployments(session: Session, deployments: Collection[str]) -> Mapping[str, Counter[str]]:
    """RUNNING and PENDING tasks of each deployment, in one query."""
    counts: dict[str, Counter[str]] = {deployment: Counter() for deployment in deployments}
    for deployment, by_status in tally_deployments(session, deployments).items():
        for status, count in by_status.items():
            if phase_of(status) != "STOPPING":
                counts[deployment][phase_of(status)] += count
    return counts


def phase_of(status: str) -> str:
    """PENDING, RUNNING or STOPPING: what ECS counts a task as whose ``lastStatus`` is this."""
    if status == "RUNNING":
        return status
    return "PENDING" if status in STARTING else "STOPPING"
