"""Job retention: finished jobs are remembered for a while, as on AWS, and forgotten as whole submissions."""

from datetime import datetime

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.orm import Session

from state.jobs import FINISHED, UNFINISHED, Job, JobDependency, Submission
from state.tasks import Task


def forget_jobs(session: Session, *, before: datetime, limit: int) -> int:
    """Delete submissions that finished before then and that no unfinished job depends on; answer how many."""
    needed = session.scalars(
        select(JobDependency.depends_on)
        .join(Job, Job.id == JobDependency.submission_id)
        .where(Job.status.in_(UNFINISHED))
    ).all()
    old = session.scalars(
        select(Job.id)
        .where(
            Job.array_id.is_(None),
            Job.status.in_(FINISHED),
            Job.stopped_at < before,
            Job.id.not_in({on.partition(":")[0] for on in needed}),
        )
        .order_by(Job.stopped_at)
        .limit(limit)
    ).all()
    if old:
        session.execute(delete(Job).where(Job.submission_id.in_(old)))
        session.execute(delete(JobDependency).where(JobDependency.submission_id.in_(old)))
        session.execute(delete(Submission).where(Submission.id.in_(old)))
    return len(old)


def task_of_no_unfinished_job() -> ColumnElement[bool]:
    """Tasks that may be forgotten: a stopped task is its job's only witness until the job has followed it."""
    unfinished = select(Job.task_id).where(Job.status.in_(("STARTING", "RUNNING")), Job.task_id.is_not(None))
    return Task.id.not_in(unfinished)
