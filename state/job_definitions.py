"""Job definitions: immutable revisions of a name."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Index, String, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from kit.lifecycle import Lifecycle
from state.base import Base, Moves

JOB_DEFINITION = Lifecycle("job-definition", {"ACTIVE": ("INACTIVE",), "INACTIVE": ()})


class JobDefinition(Moves, Base):
    """One revision. ``body`` is what was registered, in camelCase and in its order; it never changes."""

    __tablename__ = "job_definitions"
    __table_args__ = (Index("ix_job_definitions_status", "status", "name", "revision"),)
    lifecycle = JOB_DEFINITION

    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    revision: Mapped[int] = mapped_column(primary_key=True)
    status: Mapped[str] = mapped_column(String(20), default="ACTIVE")
    body: Mapped[dict[str, Any]]
    tags: Mapped[dict[str, str]] = mapped_column(default=dict)
    registered_at: Mapped[datetime]
    deregistered_at: Mapped[datetime | None]

    def event_name(self) -> str:
        return f"job-definition/{self.name}:{self.revision}"

    @property
    def platform(self) -> str:
        """EC2, or FARGATE when that is its one platform capability."""
        return "FARGATE" if self.body.get("platformCapabilities") == ["FARGATE"] else "EC2"


class JobDefinitionName(Base):
    """The last revision given out to a name, so that no revision number is used twice."""

    __tablename__ = "job_definition_names"

    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    last_revision: Mapped[int]


def next_job_definition_revision(session: Session, name: str) -> int:
    """The name's next revision number, held by this transaction."""
    row = session.get(JobDefinitionName, name, with_for_update=True)
    if row is None:
        session.add(JobDefinitionName(name=name, last_revision=1))
        return 1
    row.last_revision += 1
    return row.last_revision


def get_job_definition(session: Session, name: str, revision: int | None = None) -> JobDefinition | None:
    """The named revision, or without one the name's newest ACTIVE revision; None where there is none."""
    if revision is not None:
        return session.get(JobDefinition, (name, revision))
    newest = select(func.max(JobDefinition.revision)).where(
        JobDefinition.name == name, JobDefinition.status == "ACTIVE"
    )
    return session.scalars(
        select(JobDefinition).where(JobDefinition.name == name, JobDefinition.revision == newest.scalar_subquery())
    ).one_or_none()


def list_job_definitions(
    session: Session, name: str | None, status: str | None, *, after: tuple[str, int] | None, limit: int
) -> Sequence[JobDefinition]:
    """Revisions by name, the newest of each first; of one name or status, if given; behind the key ``after``."""
    query = select(JobDefinition).order_by(JobDefinition.name, JobDefinition.revision.desc()).limit(limit)
    if name:
        query = query.where(JobDefinition.name == name)
    if status:
        query = query.where(JobDefinition.status == status)
    if after is not None:
        last_name, last_revision = after
        older = (JobDefinition.name == last_name) & (JobDefinition.revision < last_revision)
        query = query.where((JobDefinition.name > last_name) | older)
    return session.scalars(query).all()
