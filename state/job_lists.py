"""Job lists: the queries behind ListJobs and DescribeJobs. Lists of a queue hold no children of arrays."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.orm import Session, contains_eager, joinedload

from state.jobs import Job, Submission
from state.tasks import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class NameFilter:
    """A name, or with ``prefix`` every name that starts so; with ``revision`` that revision alone."""

    text: str
    prefix: bool = False
    revision: int | None = None


def describe_jobs(session: Session, job_ids: Collection[str]) -> dict[str, Job]:
    """The named jobs that exist, by id, with their submissions."""
    query = select(Job).where(Job.id.in_(job_ids)).options(joinedload(Job.submission))
    return {job.id: job for job in session.scalars(query)}


def tasks_of(session: Session, jobs: Iterable[Job]) -> dict[str, Task]:
    """The tasks of the jobs' last attempts that are still remembered, by task id."""
    wanted = [job.task_id for job in jobs if job.task_id]
    return {task.id: task for task in session.scalars(select(Task).where(Task.id.in_(wanted)))}


def held_children(session: Session, jobs: Iterable[Job]) -> dict[str, str]:
    """Of the arrays' parents among the jobs, why a child of theirs is still RUNNABLE."""
    parents = [job.id for job in jobs if job.array_size is not None and job.status == "PENDING"]
    if not parents:
        return {}
    rows = session.execute(
        select(Job.array_id, func.min(Job.status_reason).label("reason"))
        .where(Job.array_id.in_(parents), Job.status == "RUNNABLE", Job.status_reason.is_not(None))
        .group_by(Job.array_id)
    )
    return {row.array_id or "": row.reason for row in rows}


def list_queue_jobs(
    session: Session,
    queue: str,
    *,
    since: datetime,
    status: str | None = None,
    where: Sequence[ColumnElement[bool]] = (),
    after: tuple[datetime, str] | None,
    limit: int,
) -> Sequence[Job]:
    """Jobs of the queue that were submitted at ``since`` or later, the newest first."""
    query = _with_submission().where(Job.queue == queue, Job.array_id.is_(None), Job.created_at >= since, *where)
    if status:
        query = query.where(Job.status == status)
    if after is not None:
        created_at, job_id = after
        query = query.where((Job.created_at < created_at) | ((Job.created_at == created_at) & (Job.id < job_id)))
    return session.scalars(query.order_by(Job.created_at.desc(), Job.id.desc()).limit(limit)).all()


def list_children(
    session: Session, array_id: str, *, status: str | None, after: int | None, limit: int
) -> Sequence[Job]:
    """An array's children by index."""
    query = _with_submission().where(Job.array_id == array_id)
    if status:
        query = query.where(Job.status == status)
    if after is not None:
        query = query.where(Job.array_index > after)
    return session.scalars(query.order_by(Job.array_index).limit(limit)).all()


def named(filters: Sequence[NameFilter]) -> ColumnElement[bool]:
    """Jobs of one of the names, whatever the case."""
    return or_(
        *(
            func.lower(Submission.name).startswith(one.text.lower(), autoescape=True)
            if one.prefix
            else func.lower(Submission.name) == one.text.lower()
            for one in filters
        )
    )


def defined_by(filters: Sequence[NameFilter]) -> ColumnElement[bool]:
    """Jobs of one of the job definitions; case counts."""
    return or_(*map(_defined_by, filters))


def created_before(at: datetime) -> ColumnElement[bool]:
    return Job.created_at < at


def created_after(at: datetime) -> ColumnElement[bool]:
    return Job.created_at > at


def _defined_by(one: NameFilter) -> ColumnElement[bool]:
    if one.prefix:
        # LIKE takes no notice of case on SQLite; a comparison of the beginning does on both.
        return func.substr(Submission.definition_name, 1, len(one.text)) == one.text
    same: ColumnElement[bool] = Submission.definition_name == one.text
    return same if one.revision is None else same & (Submission.definition_revision == one.revision)


def _with_submission() -> Select[Any]:
    return select(Job).join(Job.submission).options(contains_eager(Job.submission))
