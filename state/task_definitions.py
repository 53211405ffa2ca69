"""Task definitions: immutable revisions of a family."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, String, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from kit.lifecycle import Lifecycle
from state.base import Base, Moves

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


def get_task_definition(session: Session, family: str, revision: int | None = None) -> TaskDefinition | None:
    """The named revision, or without one the family's newest ACTIVE revision; None where there is none."""
    if revision is not None:
        return session.get(TaskDefinition, (family, revision))
    newest = (
        select(func.max(TaskDefinition.revision))
        .where(TaskDefinition.family == family, TaskDefinition.status == "ACTIVE")
        .scalar_subquery()
    )
    return session.scalars(
        select(TaskDefinition).where(TaskDefinition.family == family, TaskDefinition.revision == newest)
    ).one_or_none()
