"""Jobs: what SubmitJob was asked, and the runs that come of it.

A submission is written once and never changes. It has one job, or, for an array, a parent and its children; each
job moves on its own, only forward, but for a retry, which goes back to RUNNABLE.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, ForeignKey, Index, String, bindparam, func, insert, literal, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column, relationship

from kit.lifecycle import IllegalTransition, Lifecycle
from state.base import Base, Event, Instant, Moves

JOB = Lifecycle(
    "job",
    {
        "SUBMITTED": ("PENDING", "RUNNABLE", "FAILED"),
        # An array's parent goes from PENDING to its end: its children run, it does not.
        "PENDING": ("RUNNABLE", "SUCCEEDED", "FAILED"),
        "RUNNABLE": ("STARTING", "FAILED"),
        "STARTING": ("RUNNING", "RUNNABLE", "FAILED"),
        "RUNNING": ("SUCCEEDED", "RUNNABLE", "FAILED"),
        "SUCCEEDED": (),
        "FAILED": (),
    },
)
FINISHED = ("SUCCEEDED", "FAILED")
# Asked for by name, so that an index leads past all the jobs that have finished.
UNFINISHED = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING")
# Rows of one INSERT or UPDATE: databases bound the number of parameters of a statement.
CHUNK = 500


class Submission(Base):
    """What one SubmitJob asked, with the job definition's part filled in; shared by all children of an array.

    Written once, by the API, but for the tags. ``id`` is the id of the job, or of the array's parent.
    """

    __tablename__ = "job_submissions"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    name: Mapped[str] = mapped_column(String(128), index=True)
    queue: Mapped[str] = mapped_column(String(128))
    definition_name: Mapped[str] = mapped_column(String(128), index=True)
    definition_revision: Mapped[int]
    # EC2 or FARGATE.
    platform: Mapped[str] = mapped_column(String(20))
    array_size: Mapped[int | None]
    # The container's properties with the overrides applied; the command still has its ``Ref::`` placeholders.
    container: Mapped[dict[str, Any]]
    parameters: Mapped[dict[str, str]] = mapped_column(default=dict)
    depends_on: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    retry_strategy: Mapped[dict[str, Any] | None]
    timeout_seconds: Mapped[int | None]
    tags: Mapped[dict[str, str]] = mapped_column(default=dict)
    propagate_tags: Mapped[bool] = mapped_column(default=False)
    # What its ECS tasks carry: the definition's and the job's tags where they propagate.
    task_tags: Mapped[dict[str, str]] = mapped_column(default=dict)
    created_at: Mapped[datetime]


class JobDependency(Base):
    """One entry of a submission's ``dependsOn``, so that "what can start now?" is one query."""

    __tablename__ = "job_dependencies"

    submission_id: Mapped[str] = mapped_column(ForeignKey("job_submissions.id", ondelete="CASCADE"), primary_key=True)
    # Empty for SEQUENTIAL: the child before.
    depends_on: Mapped[str] = mapped_column(String(80), primary_key=True)
    # N_TO_N, SEQUENTIAL, or empty for a plain dependency.
    type: Mapped[str] = mapped_column(String(20), primary_key=True)


class Job(Moves, Base):
    """One job: a plain one, an array's parent (``array_size`` is set), or its child (``array_id`` is set).

    The API writes the row and what it is asked (``is_cancelled``, ``is_terminated``, ``stop_*``); the jobs loop
    writes all the rest, ``status`` included.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        Index("ix_jobs_queue", "queue", "status", "created_at"),
        Index("ix_jobs_status", "status", "stop_asked_at"),
        Index("ix_jobs_array", "array_id", "status", "array_index"),
    )
    lifecycle = JOB

    id: Mapped[str] = mapped_column(String(80), primary_key=True)
    submission_id: Mapped[str] = mapped_column(ForeignKey("job_submissions.id"), index=True)
    queue: Mapped[str] = mapped_column(String(128))
    array_id: Mapped[str | None] = mapped_column(String(36))
    array_index: Mapped[int | None]
    array_size: Mapped[int | None]
    # Asked for: CPU units of 1/1024 vCPU, MiB, whole GPUs.
    cpu: Mapped[int]
    memory: Mapped[int]
    gpus: Mapped[int] = mapped_column(default=0)

    status: Mapped[str] = mapped_column(String(20), default="SUBMITTED")
    # While RUNNABLE: why it is not running yet.
    status_reason: Mapped[str | None]
    # While RUNNABLE: how many jobs that came later have been started before it on the hosts that it waits for.
    bypassed: Mapped[int] = mapped_column(default=0)
    # Whether something it depends on still holds it back; of a child, its parent is asked first.
    waits: Mapped[bool] = mapped_column(default=False)
    # Attempts that were started, and what became of those that ended, as DescribeJobs shows them.
    attempt: Mapped[int] = mapped_column(default=0)
    attempts: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    compute_environment: Mapped[str | None] = mapped_column(String(128), index=True)
    task_id: Mapped[str | None] = mapped_column(String(36), index=True)
    # When the attempt that runs now has run too long.
    timeout_at: Mapped[datetime | None] = mapped_column(index=True)

    is_cancelled: Mapped[bool] = mapped_column(default=False)
    is_terminated: Mapped[bool] = mapped_column(default=False)
    stop_asked_at: Mapped[datetime | None]
    stop_reason: Mapped[str | None]

    created_at: Mapped[datetime]
    runnable_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    stopped_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(default=1)

    submission: Mapped[Submission] = relationship(lazy="raise")
    __mapper_args__ = {"version_id_col": version}

    def event_name(self) -> str:
        return f"job/{self.id}"


def add_submission(session: Session, submission: Submission, *, cpu: int, memory: int, gpus: int = 0) -> None:
    """Write a submission, its dependencies and its jobs: ten thousand children cost a few statements."""
    session.add(submission)
    session.flush()
    dependencies = {_dependency(entry) for entry in submission.depends_on}
    if dependencies:
        rows = [{"submission_id": submission.id, "depends_on": on, "type": kind} for on, kind in sorted(dependencies)]
        session.execute(insert(JobDependency), rows)
    shared = {
        "submission_id": submission.id,
        "queue": submission.queue,
        "cpu": cpu,
        "memory": memory,
        "gpus": gpus,
        "created_at": submission.created_at,
    }
    # An array's parent waits for plain dependencies alone; the typed ones are between children.
    plain = any(not kind for _, kind in dependencies)
    first = {"id": submission.id, "array_size": submission.array_size}
    waits = bool(dependencies) if submission.array_size is None else plain
    session.execute(insert(Job), [{**shared, **first, "waits": waits}])
    children = [
        {
            **shared,
            "id": f"{submission.id}:{index}",
            "array_id": submission.id,
            "array_index": index,
            "waits": bool(dependencies),
        }
        for index in range(submission.array_size or 0)
    ]
    for start in range(0, len(children), CHUNK):
        session.execute(insert(Job), children[start : start + CHUNK])


def _dependency(entry: Mapping[str, Any]) -> tuple[str, str]:
    """The job that an entry of ``dependsOn`` names, and its type; SEQUENTIAL with a job id is a plain dependency."""
    on, kind = entry.get("jobId") or "", entry.get("type") or ""
    return (on, "") if kind == "SEQUENTIAL" and on else (on, kind)


def get_job(session: Session, job_id: str, *, lock: bool = False) -> Job | None:
    """The job or None; ``lock`` holds its row until the transaction ends."""
    return session.get(Job, job_id, with_for_update=True if lock else None)


def move_jobs(
    session: Session, job_ids: Sequence[str], before: str, after: str, *, at: datetime, because: str, **columns: Any
) -> list[str]:
    """Move every named job that is still in ``before``, and append the events; answer the ids that moved.

    The set-based ``advance``: a few statements for any number of jobs.
    """
    if not JOB.allows(before, after):
        raise IllegalTransition(f"{JOB.name}: {before} → {after} is not an allowed move")
    moved: list[str] = []
    for start in range(0, len(job_ids), CHUNK):
        chunk = job_ids[start : start + CHUNK]
        moved += session.scalars(
            update(Job)
            .where(Job.id.in_(chunk), Job.status == before)
            .values(status=after, version=Job.version + 1, **columns)
            .returning(Job.id)
            .execution_options(synchronize_session=False)
        ).all()
    if moved:
        entry = {"at": at, "kind": JOB.name, "before": before, "after": after, "because": because}
        session.execute(insert(Event), [{**entry, "entity": f"job/{job_id}"} for job_id in moved])
    return moved


def count_children(session: Session, parents: Iterable[str]) -> dict[str, dict[str, int]]:
    """For each array's parent, the number of its children by status."""
    wanted = list(parents)
    counts: dict[str, dict[str, int]] = {parent: {} for parent in wanted}
    for parent, status, count in session.execute(
        select(Job.array_id, Job.status, func.count())
        .where(Job.array_id.in_(wanted))
        .group_by(Job.array_id, Job.status)
    ):
        counts[str(parent)][status] = count
    return counts


def array_sizes(session: Session, job_ids: Collection[str]) -> dict[str, int | None]:
    """Of the named jobs that exist, the array size; None for jobs that are no array's parent."""
    rows = session.execute(select(Job.id, Job.array_size).where(Job.id.in_(job_ids)))
    return {row.id: row.array_size for row in rows}


def ask_children_to_stop(
    session: Session, parents: Collection[str], *, statuses: Collection[str], column: str, at: datetime, because: str
) -> None:
    """Write the wish on all children of the arrays that are in one of ``statuses``; the first asker's reason stays.

    ``column`` is ``is_cancelled`` or ``is_terminated``.
    """
    _ask_to_stop(session, Job.array_id.in_(parents) & Job.status.in_(statuses), column, at, because)


def terminate_queue(session: Session, queue: str, *, at: datetime, because: str) -> None:
    """Ask every job of the queue that has not finished to end."""
    unasked = (Job.queue == queue) & Job.status.in_(UNFINISHED) & Job.is_terminated.is_(False)
    _ask_to_stop(session, unasked, "is_terminated", at, because)


def unfinished_in(session: Session, queue: str) -> int:
    """How many of the queue's jobs have not finished."""
    query = select(func.count()).where(Job.queue == queue, Job.status.in_(UNFINISHED))
    return session.scalars(query).one()


def _ask_to_stop(session: Session, which: ColumnElement[bool], column: str, at: datetime, because: str) -> None:
    session.execute(
        update(Job)
        .where(which)
        .values(
            {
                column: True,
                "stop_asked_at": func.coalesce(Job.stop_asked_at, literal(at, Instant())),
                "stop_reason": func.coalesce(Job.stop_reason, because),
                "version": Job.version + 1,
            }
        )
        .execution_options(synchronize_session=False)
    )


def hold_jobs(session: Session, job_ids: Sequence[str], reason: str) -> None:
    """Write why the named jobs are still RUNNABLE."""
    for start in range(0, len(job_ids), CHUNK):
        session.execute(
            update(Job)
            .where(Job.id.in_(job_ids[start : start + CHUNK]), Job.status == "RUNNABLE")
            .values(status_reason=reason, version=Job.version + 1)
            .execution_options(synchronize_session=False)
        )


def count_bypassed(session: Session, counts: Mapping[str, int]) -> None:
    """Write that so many jobs more have been started before each of the named ones, which wait."""
    if not counts:
        return
    jobs = Job.metadata.tables[Job.__tablename__]
    session.execute(
        update(jobs)
        .where(jobs.c.id == bindparam("waiting"), jobs.c.status == "RUNNABLE")
        .values(bypassed=jobs.c.bypassed + bindparam("more"), version=jobs.c.version + 1),
        [{"waiting": job_id, "more": more} for job_id, more in sorted(counts.items())],
    )


def release_arrays(session: Session, parents: Sequence[str], reason: str | None) -> None:
    """Let the arrays' children be looked at: the plain dependencies hold them back no more.

    ``reason`` is why all of them are going to fail, if they are.
    """
    session.execute(
        update(Job)
        .where(Job.id.in_(parents), Job.status == "PENDING")
        .values(waits=False, status_reason=reason, version=Job.version + 1)
        .execution_options(synchronize_session=False)
    )
