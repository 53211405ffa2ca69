"""What the services loop reads of tasks: how many are alike, and by name only those that matter one by one.

Nothing here costs more because more tasks run: sums come from the counts that move with the tasks, and names from
indexes that hold little else than what is asked for. Nothing here writes.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any, NamedTuple

from sqlalchemy import BindParameter, ColumnElement, Row, Select, and_, bindparam, func, or_, select
from sqlalchemy.orm import Session

from state.base import Instant, some
from state.container_instances import ContainerInstance
from state.services import Deployment
from state.task_counts import TaskCount
from state.tasks import UNJUDGED, WANTED, Task

# A look that has to name tasks by their hosts looks at so many hosts at most.
_HOSTS = 500


class Alike(NamedTuple):
    """Tasks that differ in nothing that a rollout is decided by, but for when they started."""

    deployment_id: str
    last_status: str
    desired_status: str
    health_status: str
    draining: bool


class Settling(NamedTuple):
    """Tasks of a deployment that started after some instant, and when the first of them did."""

    tasks: int
    first_at: datetime | None


def tally_alike(session: Session) -> dict[Alike, int]:
    """How many tasks are alike of those that have not stopped, of all deployments that are not INACTIVE."""
    own = (TaskCount.deployment_id, TaskCount.last_status, TaskCount.desired_status, TaskCount.health_status)
    alive = select(Deployment.id).where(Deployment.status != "INACTIVE")
    sums = (
        select(*own, func.sum(TaskCount.tasks))
        .where(TaskCount.deployment_id.in_(alive), TaskCount.tasks != 0)
        .group_by(*own)
    )
    tally = Counter({Alike(*row[:4], False): row[4] for row in session.execute(sums)})
    for hosts in some(
        session.scalars(select(ContainerInstance.id).where(ContainerInstance.status == "DRAINING")).all()
    ):
        for row in session.execute(sums.where(TaskCount.container_instance_id.in_(hosts))):
            tally[Alike(*row[:4], False)] -= row[4]
            tally[Alike(*row[:4], True)] += row[4]
    return tally


def leaving_by_host(session: Session, deployments: Collection[str]) -> Iterator[tuple[str, str, int]]:
    """Deployment, host and how many of its tasks there have been told to stop and have not."""
    key = (TaskCount.deployment_id, TaskCount.container_instance_id)
    for ids in some(sorted(deployments)):
        yield from (
            (row[0], row[1], row[2])
            for row in session.execute(
                select(*key, func.sum(TaskCount.tasks))
                .where(TaskCount.deployment_id.in_(ids), TaskCount.tasks != 0, TaskCount.desired_status != "RUNNING")
                .group_by(*key)
            )
        )


def tally_by_host(session: Session, deployments: Collection[str]) -> Iterator[tuple[str, str, int]]:
    """Deployment, host and how many of its tasks there run or will; those without a host are left out."""
    key = (TaskCount.deployment_id, TaskCount.container_instance_id)
    for ids in some(sorted(deployments)):
        rows = (
            select(*key, func.sum(TaskCount.tasks))
            .where(
                TaskCount.deployment_id.in_(ids),
                TaskCount.tasks != 0,
                TaskCount.desired_status == "RUNNING",
                TaskCount.container_instance_id != "",
            )
            .group_by(*key)
        )
        yield from ((row[0], row[1], row[2]) for row in session.execute(rows))


def count_settling(
    session: Session, deployments: Collection[str], after: datetime, *, health: bool
) -> Mapping[str, Settling]:
    """How many tasks of each deployment that are to run started after that instant.

    With ``health`` only those of which no health is known: that must read each of them, where otherwise a range of
    an index tells.
    """
    found: dict[str, Settling] = {}
    for ids in some(sorted(deployments)):
        rows = (
            select(Task.deployment_id, func.count(), func.min(Task.started_at))
            .where(WANTED, Task.deployment_id.in_(ids), Task.started_at > after)
            .group_by(Task.deployment_id)
        )
        if health:
            rows = rows.where(Task.health_status == "UNKNOWN")
        found |= {str(row[0]): Settling(row[1], row[2]) for row in session.execute(rows)}
    return found


def list_unjudged(session: Session, limit: int) -> Sequence[Row[Any]]:
    """Stopped tasks of deployments that are not INACTIVE, whose ends nobody has taken into account."""
    alive = select(Deployment.id).where(Deployment.status != "INACTIVE")
    return session.execute(_rows().where(UNJUDGED, Task.deployment_id.in_(alive)).limit(limit)).all()


def list_staying(session: Session, deployments: Collection[str]) -> Iterator[Row[Any]]:
    """Every task of these deployments that runs or will."""
    for ids in some(sorted(deployments)):
        yield from session.execute(_rows().where(WANTED, Task.deployment_id.in_(ids)))


def list_unstarted(session: Session, deployment: str, limit: int) -> Sequence[Row[Any]]:
    """Tasks of the deployment that are to run and never did."""
    return session.execute(_of(deployment).where(Task.started_at.is_(None)).limit(limit)).all()


def list_newest(session: Session, deployment: str, after: datetime, limit: int) -> Sequence[Row[Any]]:
    """Tasks of the deployment that started after that instant, the last ones first; protected ones are left out."""
    rows = _of(deployment).where(Task.started_at > after, _free(after)).order_by(Task.started_at.desc())
    return session.execute(rows.limit(limit)).all()


def list_oldest(
    session: Session, deployment: str, limit: int, *, free_by: datetime | None = None
) -> Sequence[Row[Any]]:
    """Tasks of the deployment that run, the first to start first; without those that are protected after ``free_by``,
    where that is given."""
    rows = _of(deployment).where(Task.started_at.is_not(None)).order_by(Task.started_at)
    if free_by is not None:
        rows = rows.where(_free(free_by))
    return session.execute(rows.limit(limit)).all()


def list_alike(session: Session, kind: Alike, limit: int) -> Sequence[Row[Any]]:
    """Tasks of this kind, found by the hosts that have any."""
    hosts = select(TaskCount.container_instance_id).where(
        TaskCount.deployment_id == kind.deployment_id,
        TaskCount.last_status == kind.last_status,
        TaskCount.desired_status == kind.desired_status,
        TaskCount.health_status == kind.health_status,
        TaskCount.tasks != 0,
    )
    if kind.draining:
        hosts = hosts.join(ContainerInstance, ContainerInstance.id == TaskCount.container_instance_id).where(
            ContainerInstance.status == "DRAINING"
        )
    names = session.scalars(hosts.limit(_HOSTS)).all()
    if not names:
        return ()
    somewhere = Task.container_instance_id.in_(names)
    rows = _rows().where(
        or_(somewhere, Task.container_instance_id.is_(None)) if "" in names else somewhere,
        Task.last_status == kind.last_status,
        _by_host(kind.deployment_id),
        Task.desired_status == kind.desired_status,
        Task.health_status == kind.health_status,
    )
    return session.execute(rows.limit(limit)).all()


def list_most_crowded(
    session: Session, deployment: str, count: int, *, free_by: datetime, among: Collection[str] | None = None
) -> Iterator[Row[Any]]:
    """``count`` running tasks of the deployment whose end leaves the rest spread: the newest of the fullest hosts,
    ``among`` which they are where that is given, without those that are protected after ``free_by``."""
    rows = session.execute(
        select(TaskCount.container_instance_id, func.sum(TaskCount.tasks))
        .where(
            TaskCount.deployment_id == deployment,
            TaskCount.desired_status == "RUNNING",
            TaskCount.last_status == "RUNNING",
            TaskCount.container_instance_id != "",
        )
        .group_by(TaskCount.container_instance_id)
    )
    shares = _shares({host: tasks for host, tasks in rows if tasks > 0 and (among is None or host in among)}, count)
    for host in sorted(shares):
        wanted = {"host": host, "deployment": deployment, "most": shares[host], "free_by": free_by}
        yield from session.execute(_NEWEST_ON, wanted)


def list_latest_healthy(session: Session, deployment: str, *, checked: bool, before: datetime) -> Sequence[Row[Any]]:
    """The healthy task of the deployment that started last; without a health check one that started by ``before``."""
    healthy = (
        Task.health_status == "HEALTHY"
        if checked
        else and_(Task.health_status != "UNHEALTHY", Task.started_at <= before)
    )
    rows = _of(deployment).where(healthy, Task.started_at.is_not(None), Task.last_status == "RUNNING")
    return session.execute(rows.order_by(Task.started_at.desc()).limit(1)).all()


def _rows() -> Select[*tuple[Any, ...]]:
    return select(
        Task.id,
        Task.deployment_id,
        Task.last_status,
        Task.desired_status,
        Task.stop_code,
        Task.health_status,
        Task.created_at,
        Task.started_at,
        Task.stopped_at,
        Task.container_instance_id,
        Task.protected_until,
        ContainerInstance.status.label("host_status"),
    ).outerjoin(ContainerInstance, ContainerInstance.id == Task.container_instance_id)


def _of(deployment: str) -> Select[*tuple[Any, ...]]:
    return _rows().where(WANTED, Task.deployment_id == deployment)


def _by_host(deployment: str) -> ColumnElement[bool]:
    """The condition in words that no index answers: the hosts' tasks are few, the deployment's may be all there are."""
    return Task.deployment_id.concat("") == deployment


def _free(by: datetime | BindParameter[datetime]) -> ColumnElement[bool]:
    """Of which the protection, if any, has expired by then."""
    return or_(Task.protected_until.is_(None), Task.protected_until <= by)


_NEWEST_ON = (
    _rows()
    .where(
        Task.container_instance_id == bindparam("host"),
        Task.last_status == "RUNNING",
        Task.desired_status == "RUNNING",
        Task.deployment_id.concat("") == bindparam("deployment"),
        _free(bindparam("free_by", type_=Instant())),
    )
    .order_by(Task.created_at.desc(), Task.id)
    .limit(bindparam("most"))
)


def _shares(tasks: Mapping[str, int], count: int) -> dict[str, int]:
    """How many to take from each host, so that after taking ``count`` the fullest is as empty as can be."""
    by_size: dict[int, list[str]] = defaultdict(list)
    for host, size in tasks.items():
        by_size[size].append(host)
    sizes = sorted(by_size, reverse=True)
    shares: dict[str, int] = {}
    level: list[str] = []
    for size, lower in pairwise([*sizes, 0]):
        level += sorted(by_size[size])
        for _ in range(size - lower):
            for host in level:
                if count <= 0:
                    return shares
                shares[host] = shares.get(host, 0) + 1
                count -= 1
    return shares
