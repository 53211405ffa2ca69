"""Counts of tasks that have not stopped, kept as the tasks move, so that asking costs nothing per task.

A cell counts the tasks that are alike in everything that is counted by; STOPPED tasks are in no cell. Whoever writes
tasks through the ORM need not know: a hook compares each flushed Task with what it was. Whoever writes them by
statements calls ``move_counts`` in the same transaction. A cell at 0 stays until housekeeping finds it.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from typing import Any, NamedTuple, Protocol

from sqlalchemy import Index, Insert, Select, String, bindparam, delete, event, func, inspect, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, Session, mapped_column

from state.base import Base


class Cell(NamedTuple):
    """What tasks are counted by, in the order of the table's key; what a task does not have is ``""``."""

    cluster: str
    container_instance_id: str
    group_name: str
    deployment_id: str
    launch_type: str
    capacity_provider: str
    last_status: str
    desired_status: str
    health_status: str


class TaskCount(Base):
    """How many tasks are in one cell. Written only by ``move_counts``."""

    __tablename__ = "task_counts"
    __table_args__ = (
        Index("ix_task_counts_instance", "container_instance_id"),
        Index("ix_task_counts_deployment", "deployment_id"),
        {"sqlite_with_rowid": False},
    )

    cluster: Mapped[str] = mapped_column(String(255), primary_key=True)
    container_instance_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    group_name: Mapped[str] = mapped_column(String(255), primary_key=True)
    deployment_id: Mapped[str] = mapped_column(String(60), primary_key=True)
    launch_type: Mapped[str] = mapped_column(String(20), primary_key=True)
    capacity_provider: Mapped[str] = mapped_column(String(255), primary_key=True)
    last_status: Mapped[str] = mapped_column(String(20), primary_key=True)
    desired_status: Mapped[str] = mapped_column(String(20), primary_key=True)
    health_status: Mapped[str] = mapped_column(String(20), primary_key=True)
    # Never below 0 while every writer does its part; no CHECK, since PostgreSQL would check the summand too.
    tasks: Mapped[int]


_TABLE = TaskCount.metadata.tables[TaskCount.__tablename__]


class Counted(Protocol):
    """What of a task decides its cell."""

    cluster: Any
    container_instance_id: Any
    group: Any
    deployment_id: Any
    launch_type: Any
    capacity_provider: Any
    last_status: Any
    desired_status: Any
    health_status: Any


# The task's attributes, in the order of Cell.
COUNTED = (
    "cluster",
    "container_instance_id",
    "group",
    "deployment_id",
    "launch_type",
    "capacity_provider",
    "last_status",
    "desired_status",
    "health_status",
)
# What the table fills in where a new task leaves an attribute out.
_DEFAULTS = {"desired_status": "RUNNING", "health_status": "UNKNOWN"}


def cell_of(task: Counted) -> Cell:
    """The cell of a task that has not stopped."""
    return Cell(*[getattr(task, name) or _DEFAULTS.get(name, "") for name in COUNTED])


def move_counts(session: Session, deltas: Mapping[Cell, int]) -> None:
    """Add to each cell what has come to it (or left it, below 0), in the transaction that moves the tasks.

    Cells of STOPPED tasks are passed over, so a move is told as -1 where the task was and +1 where it is. Keys are
    written in order, so that two writers meet in the same order.
    """
    rows = [
        {**cell._asdict(), "tasks": delta}
        for cell, delta in sorted(deltas.items())
        if delta and cell.last_status != "STOPPED"
    ]
    if rows:
        connection = session.connection()
        connection.execute(_upsert(connection.dialect.name), rows)


def tally_deployments(session: Session, deployments: Collection[str]) -> Mapping[str, Counter[str]]:
    """Tasks by ``last_status`` of each deployment that has any."""
    return _by_status(session, TaskCount.deployment_id, deployments)


def tally_hosts(session: Session, container_instances: Collection[str]) -> Mapping[str, Counter[str]]:
    """Tasks by ``last_status`` on each host that has any."""
    return _by_status(session, TaskCount.container_instance_id, container_instances)


def tally_providers(session: Session, deployment: str) -> Mapping[str, int]:
    """Tasks of the deployment that are to run, by capacity provider."""
    rows = _sums(TaskCount.capacity_provider).where(
        TaskCount.deployment_id == deployment, TaskCount.desired_status == "RUNNING"
    )
    return {row[0]: row[1] for row in session.execute(rows)}


def tally_clusters(session: Session, clusters: Collection[str]) -> Iterable[tuple[str, str, str, int]]:
    """Cluster, launch type, ``last_status`` and how many tasks."""
    key = (TaskCount.cluster, TaskCount.launch_type, TaskCount.last_status)
    rows = session.execute(_sums(*key).where(TaskCount.cluster.in_(clusters)))
    return ((row[0], row[1], row[2], row[3]) for row in rows)


def groups_by_host(
    session: Session, cluster: str, container_instances: Collection[str] | None = None
) -> Mapping[str, dict[str, int]]:
    """How many tasks of each group are wanted to run on each host, on all of the cluster's hosts or on those named."""
    given: dict[str, Any] = {"cluster": cluster}
    if container_instances is not None:
        given["ids"] = list(container_instances)
    groups: dict[str, dict[str, int]] = {}
    # Asked at every placement: the statement is made once, and the session's own ways are gone round.
    for host, group, count in session.connection().execute(_groups(some="ids" in given), given):
        groups.setdefault(host, {})[group] = count
    return groups


def forget_empty_cells(session: Session) -> None:
    """Drop the cells that count nothing. One that is being counted into at the same time is spared."""
    session.execute(delete(TaskCount).where(TaskCount.tasks == 0).execution_options(synchronize_session=False))


def follow(entity: type[Any]) -> None:
    """Have every flush of this entity (which is Task) move the counts.

    Its counted columns must be mapped with ``active_history``, so that what they were is always known.
    """

    def count_flushed(session: Session, *_: Any) -> None:
        deltas: Counter[Cell] = Counter()
        for task in session.new:
            if isinstance(task, entity):
                deltas[cell_of(task)] += 1
        for task in session.dirty:
            if isinstance(task, entity):
                before, after = _before(task), cell_of(task)
                if before != after:
                    deltas[before] -= 1
                    deltas[after] += 1
        for task in session.deleted:
            if isinstance(task, entity):
                deltas[_before(task)] -= 1
        if deltas:
            move_counts(session, deltas)

    event.listen(Session, "before_flush", count_flushed)


def _before(task: Counted) -> Cell:
    """The cell of the task as the database knows it."""
    state = inspect(task)
    values = []
    for name in COUNTED:
        gone = state.attrs[name].history.deleted
        values.append((gone[0] if gone else getattr(task, name)) or "")
    return Cell(*values)


def _sums(*columns: Any) -> Select[Any]:
    return select(*columns, func.sum(TaskCount.tasks)).where(TaskCount.tasks != 0).group_by(*columns)


def _by_status(session: Session, owner: Any, names: Collection[str]) -> Mapping[str, Counter[str]]:
    counts: dict[str, Counter[str]] = {}
    for name, status, count in session.execute(_sums(owner, TaskCount.last_status).where(owner.in_(names))):
        counts.setdefault(name, Counter())[status] = count
    return counts


@cache
def _groups(*, some: bool) -> Select[Any]:
    rows = _sums(_TABLE.c.container_instance_id, _TABLE.c.group_name).where(
        _TABLE.c.cluster == bindparam("cluster"),
        _TABLE.c.desired_status == "RUNNING",
        _TABLE.c.container_instance_id != "",
    )
    return rows.where(_TABLE.c.container_instance_id.in_(bindparam("ids", expanding=True))) if some else rows


@cache
def _upsert(dialect: str) -> Insert:
    insert = sqlite.insert(_TABLE) if dialect == "sqlite" else postgresql.insert(_TABLE)
    return insert.on_conflict_do_update(
        index_elements=list(Cell._fields), set_={"tasks": _TABLE.c.tasks + insert.excluded.tasks}
    )
