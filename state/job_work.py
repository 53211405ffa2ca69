"""Job work: the queries that tell the jobs loop what is due, in bounded chunks, whatever the number of jobs."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, String, and_, case, cast, exists, func, not_, or_, select
from sqlalchemy.orm import Session, aliased, contains_eager

from state.jobs import FINISHED, UNFINISHED, Job, JobDependency, Submission
from state.tasks import Task

UNDER_WAY = ("STARTING", "RUNNING")
# A task in one of these statuses runs nothing any more.
ENDED = ("DEPROVISIONING", "STOPPED")


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """A job that nobody has looked at yet."""

    id: str
    waits: bool
    is_array: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A job that is to end, because somebody said so."""

    id: str
    status: str
    because: str
    task_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A PENDING job of which the dependencies may be settled."""

    id: str
    index: int | None
    is_array: bool
    depends_on: Sequence[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Runnable:
    """A RUNNABLE job among the first of its queue and shape."""

    id: str
    queue: str
    cpu: int
    memory: int
    gpus: int
    created_at: datetime
    index: int | None
    status_reason: str | None
    bypassed: int


def submitted_jobs(session: Session, limit: int) -> list[Submitted]:
    """SUBMITTED jobs, the oldest first."""
    rows = session.execute(
        select(Job.id, Job.waits, Job.array_size)
        .where(Job.status == "SUBMITTED", or_(Job.stop_asked_at.is_(None), Job.array_size.is_not(None)))
        .order_by(Job.created_at, Job.array_size.is_(None), Job.array_index)
        .limit(limit)
    )
    return [Submitted(id=row.id, waits=row.waits, is_array=row.array_size is not None) for row in rows]


def settled_jobs(session: Session, limit: int) -> list[Waiting]:
    """PENDING jobs that are no array's child and whose dependencies have all finished, or one of them failed."""
    query = (
        select(Job.id, Job.array_index, Job.array_size, Submission.depends_on)
        .join(Submission, Submission.id == Job.submission_id)
        .where(Job.status == "PENDING", Job.waits, Job.array_id.is_(None), _settled(children=False))
        .order_by(Job.created_at)
        .limit(limit)
    )
    return [_waiting(*row) for row in session.execute(query)]


def settled_children(session: Session, limit: int) -> list[Waiting]:
    """The same for children of arrays whose own plain dependencies hold them back no more."""
    child = aliased(Job)
    arrays = session.scalars(
        select(Job.id)
        .where(
            Job.status == "PENDING",
            Job.array_size.is_not(None),
            not_(Job.waits),
            exists().where(child.array_id == Job.id, child.status == "PENDING", child.waits),
        )
        .order_by(Job.created_at)
    ).all()
    found: list[Waiting] = []
    for array in arrays:
        query = (
            select(Job.id, Job.array_index, Job.array_size, Submission.depends_on)
            .join(Submission, Submission.id == Job.submission_id)
            .where(Job.array_id == array, Job.status == "PENDING", Job.waits, _settled(children=True))
            .order_by(Job.array_index)
            .limit(limit - len(found))
        )
        found += [_waiting(*row) for row in session.execute(query)]
        if len(found) >= limit:
            break
    return found


def job_statuses(session: Session, job_ids: Collection[str]) -> dict[str, str]:
    """Of the named jobs that exist, the status."""
    rows = session.execute(select(Job.id, Job.status).where(Job.id.in_(job_ids)))
    return {row.id: row.status for row in rows}


def jobs_asked_to_stop(session: Session, limit: int) -> list[Asked]:
    """Jobs to end on request, arrays' parents left out.

    One whose task has been asked to stop already is not due any more.
    """
    asked = or_(Job.status.not_in(UNDER_WAY), and_(Job.is_terminated, Task.desired_status != "STOPPED"))
    rows = session.execute(
        select(Job.id, Job.status, Job.stop_reason, Job.task_id)
        .outerjoin(Task, Task.id == Job.task_id)
        .where(Job.stop_asked_at.is_not(None), Job.status.in_(UNFINISHED), Job.array_size.is_(None), asked)
        .limit(limit)
    )
    return [Asked(id=row.id, status=row.status, because=row.stop_reason or "", task_id=row.task_id) for row in rows]


def jobs_with_news(session: Session, limit: int) -> Sequence[str]:
    """Ids of STARTING and RUNNING jobs whose task has started, ended, or is gone."""
    news = or_(
        Task.id.is_(None),
        Task.last_status.in_(ENDED),
        and_(Job.status == "STARTING", Task.started_at.is_not(None)),
    )
    return session.scalars(
        select(Job.id)
        .outerjoin(Task, Task.id == Job.task_id)
        .where(Job.status.in_(UNDER_WAY), Job.array_size.is_(None), news)
        .limit(limit)
    ).all()


def jobs_out_of_time(session: Session, now: datetime, limit: int) -> Sequence[str]:
    """Ids of RUNNING jobs whose attempt has run too long and whose task has not been asked to stop."""
    return session.scalars(
        select(Job.id)
        .join(Task, Task.id == Job.task_id)
        .where(Job.status == "RUNNING", Job.timeout_at <= now, Task.desired_status != "STOPPED")
        .limit(limit)
    ).all()


def next_timeout(session: Session, now: datetime) -> datetime | None:
    """When the next RUNNING job will have run too long."""
    return session.scalar(select(func.min(Job.timeout_at)).where(Job.status == "RUNNING", Job.timeout_at > now))


def finished_arrays(session: Session, limit: int) -> Sequence[str]:
    """Ids of arrays' parents whose children have all finished."""
    child = aliased(Job)
    return session.scalars(
        select(Job.id)
        .where(
            Job.status.in_(("SUBMITTED", "PENDING")),
            Job.array_size.is_not(None),
            not_(exists().where(child.array_id == Job.id, child.status.in_(UNFINISHED))),
        )
        .limit(limit)
    ).all()


def first_runnable(session: Session, per_shape: int, *, queues: Collection[str] | None = None) -> list[Runnable]:
    """RUNNABLE jobs: of each queue and size, the first ``per_shape``. So those that cannot run hide no others."""
    place = func.row_number().over(
        partition_by=(Job.queue, Job.cpu, Job.memory, Job.gpus),
        order_by=(Job.created_at, Job.submission_id, Job.array_index),
    )
    where = [Job.status == "RUNNABLE", Job.stop_asked_at.is_(None)]
    if queues is not None:
        where.append(Job.queue.in_(queues))
    ranked = (
        select(
            Job.id,
            Job.queue,
            Job.cpu,
            Job.memory,
            Job.gpus,
            Job.created_at,
            Job.array_index,
            Job.status_reason,
            Job.bypassed,
            place.label("place"),
        )
        .where(*where)
        .subquery()
    )
    return [
        Runnable(
            id=row.id,
            queue=row.queue,
            cpu=row.cpu,
            memory=row.memory,
            gpus=row.gpus,
            created_at=row.created_at,
            index=row.array_index,
            status_reason=row.status_reason,
            bypassed=row.bypassed,
        )
        for row in session.execute(select(ranked).where(ranked.c.place <= per_shape))
    ]


def overdue_runnable(session: Session, queue: str, reason: str, since: datetime, limit: int) -> Sequence[str]:
    """Ids of the queue's jobs that have been RUNNABLE since then or longer, held for the given reason."""
    return session.scalars(
        select(Job.id)
        .where(
            Job.queue == queue,
            Job.status == "RUNNABLE",
            Job.runnable_at <= since,
            Job.status_reason.startswith(reason, autoescape=True),
        )
        .limit(limit)
    ).all()


def used_cpu(session: Session) -> dict[str, int]:
    """CPU units of STARTING and RUNNING jobs, by compute environment."""
    rows = session.execute(
        select(Job.compute_environment, func.sum(Job.cpu).label("cpu"))
        .where(Job.status.in_(UNDER_WAY), Job.compute_environment.is_not(None))
        .group_by(Job.compute_environment)
    )
    return {row.compute_environment: int(row.cpu) for row in rows}


def lock_jobs(session: Session, job_ids: Collection[str], statuses: Collection[str]) -> dict[str, Job]:
    """The named jobs still in one of the statuses, with their submissions, held until the transaction ends."""
    query = (
        select(Job)
        .join(Submission, Submission.id == Job.submission_id)
        .options(contains_eager(Job.submission))
        .where(Job.id.in_(job_ids), Job.status.in_(statuses))
        .with_for_update(of=Job)
    )
    return {job.id: job for job in session.scalars(query)}


def _settled(*, children: bool) -> ColumnElement[bool]:
    """No dependency of the job is unfinished, or one has failed. Absent jobs count as finished here."""
    other = aliased(Job)
    mine = and_(JobDependency.submission_id == Job.submission_id, other.id == JobDependency.depends_on)
    if children:
        # The id of the job that this child waits for: of the same index, the one before, or simply the job named.
        target = case(
            (JobDependency.type == "N_TO_N", JobDependency.depends_on + ":" + cast(Job.array_index, String)),
            (JobDependency.type == "SEQUENTIAL", Job.array_id + ":" + cast(Job.array_index - 1, String)),
            else_=JobDependency.depends_on,
        )
        mine = and_(JobDependency.submission_id == Job.submission_id, other.id == target)
    else:
        # An array's parent stands for its children, and each of them waits for its own counterpart.
        mine = and_(mine, JobDependency.type == "")
    unfinished = exists().where(mine, other.status.not_in(FINISHED))
    failed = exists().where(mine, other.status == "FAILED")
    return or_(not_(unfinished), failed)


def _waiting(job_id: str, index: int | None, array_size: int | None, depends_on: list[dict[str, Any]]) -> Waiting:
    return Waiting(id=job_id, index=index, is_array=array_size is not None, depends_on=depends_on)


def span_of_children(session: Session, parent: str) -> tuple[datetime | None, datetime | None]:
    """When the first of an array's children started and the last one stopped."""
    row = session.execute(
        select(func.min(Job.started_at), func.max(Job.stopped_at)).where(Job.array_id == parent)
    ).one()
    return row[0], row[1]
