"""Task definitions: immutable revisions of a family."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Index, String, bindparam, case, delete, exists, func, select, true, tuple_
from sqlalchemy.orm import Mapped, Session, mapped_column

from kit.lifecycle import Lifecycle
from state.base import Base, Moves
from state.prepared import Prepared
from state.services import Deployment, Service
from state.tasks import Task

TASK_DEFINITION = Lifecycle(
    "task-definition",
    {"ACTIVE": ("INACTIVE",), "INACTIVE": ("DELETE_IN_PROGRESS",), "DELETE_IN_PROGRESS": ()},
)


class TaskDefinition(Moves, Base):
    """One revision. ``body`` is what was registered plus ECS's own defaults; it never changes."""

    __tablename__ = "task_definitions"
    __table_args__ = (Index("ix_task_definitions_family_status", "family", "status"),)
    lifecycle = TASK_DEFINITION

    family: Mapped[str] = mapped_column(String(255), primary_key=True)
    revision: Mapped[int] = mapped_column(primary_key=True)
    status: Mapped[str] = mapped_column(String(20), default="ACTIVE")
    body: Mapped[dict[str, Any]]
    tags: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    registered_at: Mapped[datetime]
    registered_by: Mapped[str] = mapped_column(String(400))
    deregistered_at: Mapped[datetime | None]
    delete_requested_at: Mapped[datetime | None]

    def event_name(self) -> str:
        return f"task-definition/{self.name}"

    @property
    def name(self) -> str:
        return f"{self.family}:{self.revision}"


class TaskDefinitionFamily(Base):
    """The last revision given out in a family, so that a deleted revision's number is never used again."""

    __tablename__ = "task_definition_families"

    family: Mapped[str] = mapped_column(String(255), primary_key=True)
    last_revision: Mapped[int]


def next_revision(session: Session, family: str) -> int:
    """The family's next revision number, held by this transaction."""
    row = session.scalars(
        select(TaskDefinitionFamily).where(TaskDefinitionFamily.family == family).with_for_update()
    ).one_or_none()
    if row is None:
        session.add(TaskDefinitionFamily(family=family, last_revision=1))
        return 1
    row.last_revision += 1
    return row.last_revision


_NEWEST = Prepared(
    select(func.max(TaskDefinition.revision).label("revision")).where(
        TaskDefinition.family == bindparam("family"), TaskDefinition.status == "ACTIVE"
    )
)


def get_task_definition(session: Session, family: str, revision: int | None = None) -> TaskDefinition | None:
    """The named revision, or without one the family's newest ACTIVE revision; None where there is none."""
    if revision is None:
        newest = _NEWEST.row(session, family=family)
        revision = newest.revision if newest is not None else None
    return None if revision is None else session.get(TaskDefinition, (family, revision))


def list_task_definitions(
    session: Session,
    *,
    status: str,
    family: str | None = None,
    after: tuple[str, int] | None = None,
    descending: bool = False,
    limit: int,
) -> Sequence[tuple[str, int]]:
    """``(family, revision)`` of the revisions in that status behind ``after``, sorted by both."""
    key = (TaskDefinition.family, TaskDefinition.revision)
    rows = select(*key).where(TaskDefinition.status == status)
    if family is not None:
        rows = rows.where(TaskDefinition.family == family)
    if after is not None:
        rows = rows.where(tuple_(*key) < after if descending else tuple_(*key) > after)
    rows = rows.order_by(*(column.desc() if descending else column.asc() for column in key)).limit(limit)
    return [(family, revision) for family, revision in session.execute(rows)]


def list_families(
    session: Session, *, status: str, prefix: str = "", after: str | None = None, limit: int
) -> Sequence[str]:
    """Families behind ``after`` that start with ``prefix``, sorted. ``status`` ACTIVE are those with an ACTIVE
    revision, INACTIVE those without one, ALL both; a family whose revisions are all being deleted is in none."""
    active = func.sum(case((TaskDefinition.status == "ACTIVE", 1), else_=0))
    rows = select(TaskDefinition.family).where(TaskDefinition.status != "DELETE_IN_PROGRESS")
    if prefix:
        # Not LIKE: SQLite's takes upper case for lower.
        rows = rows.where(func.substr(TaskDefinition.family, 1, len(prefix)) == prefix)
    if after is not None:
        rows = rows.where(TaskDefinition.family > after)
    if status != "ALL":
        rows = rows.having(active > 0 if status == "ACTIVE" else active == 0)
    return session.scalars(rows.group_by(TaskDefinition.family).order_by(TaskDefinition.family).limit(limit)).all()


def forget_task_definitions(session: Session) -> None:
    """Drop the revisions whose deletion was asked for and that no task and no service names any more."""
    named = [
        exists().where(row.family == TaskDefinition.family, row.revision == TaskDefinition.revision, alive)
        for row, alive in (
            (Task, true()),
            (Service, Service.status != "INACTIVE"),
            (Deployment, Deployment.status != "INACTIVE"),
        )
    ]
    session.execute(
        delete(TaskDefinition)
        .where(TaskDefinition.status == "DELETE_IN_PROGRESS", *(~use for use in named))
        .execution_options(synchronize_session=False)
    )
