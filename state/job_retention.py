"""Job retention: finished jobs are remembered for a while, as on AWS, and forgotten as whole submissions."""

from datetime import datetime

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.orm import Session

from state.base import some
from state.jobs import FINISHED, UNFINISHED, Job, JobDependency, Submission
from state.tasks import Task


def forget_jobs(session: Session, *, before: datetime, limit: int) -> int:
    """Delete submissions that finished before then and that no unfinished job depends on, the first to finish first,
    until ``limit`` jobs are gone; answer how many are."""
    needed = {
        job_id.partition(":")[0]
        for job_id in session.scalars(
            select(JobDependency.depends_on)
            .join(Job, Job.id == JobDependency.submission_id)
            .where(Job.status.in_(UNFINISHED))
        )
    }
    finished = (
        select(Job.id, Job.array_size)
        .where(Job.array_id.is_(None), Job.status.in_(FINISHED), Job.stopped_at < before)
        .order_by(Job.stopped_at)
        # Those that are needed may be all that come first, and too many to be named in the statement.
        .limit(limit + len(needed))
    )
    old: list[str] = []
    count = 0
    for job_id, array_size in session.execute(finished):
        if count >= limit:
            break
        if job_id not in needed:
            old.append(job_id)
            count += 1 + (array_size or 0)
    for few in some(old):
        session.execute(delete(Job).where(Job.submission_id.in_(few)))
        session.execute(delete(JobDependency).where(JobDependency.submission_id.in_(few)))
        session.execute(delete(Submission).where(Submission.id.in_(few)))
    return count


def task_of_no_unfinished_job() -> ColumnElement[bool]:
    """Tasks that may be forgotten: a stopped task is its job's only witness until the job has followed it."""
    unfinished = select(Job.task_id).where(Job.status.in_(("STARTING", "RUNNING")), Job.task_id.is_not(None))
    return Task.id.not_in(unfinished)
