"""Following: a job does what its task did. Its task started, so it runs; its task ended, so it ends or tries again."""

from datetime import datetime, timedelta

from kit.ids import Arns
from scheduler.ending import stop_tasks
from scheduler.jobs.attempts import ESSENTIAL_EXITED, attempt_detail, exit_of
from scheduler.queueing import (
    TIMED_OUT,
    Again,
    Exit,
    GiveUp,
    check_retry_strategy,
    retry,
    timeout_at,
)
from state.job_work import ENDED
from state.jobs import Job
from state.store import Session
from state.tasks import Task

TASK_LOST = "The task of this attempt is no longer known"
# As ECS marks tasks that somebody asked to stop.
STOP_CODE = "UserInitiated"


def follow(job: Job, task: Task | None, *, now: datetime, arns: Arns) -> bool:
    """Move the job as far as its task has come; say whether it moved. ``job.submission`` must be loaded."""
    if task is None:
        _end(job, None, Exit(status_reason=TASK_LOST), now=now, arns=arns)
        return True
    moved = False
    started_at = _started_at(task)
    if job.status == "STARTING" and started_at is not None:
        job.advance("RUNNING", at=now, because="its task runs")
        job.started_at = started_at
        seconds = job.submission.timeout_seconds
        job.timeout_at = timeout_at(started_at, timedelta(seconds=seconds) if seconds else None)
        moved = True
    if task.last_status in ENDED:
        _end(job, task, exit_of(task), now=now, arns=arns)
        moved = True
    return moved


def stop_attempt(session: Session, task: Task, *, now: datetime, because: str) -> None:
    """Ask the attempt's task to stop; the job follows when it has."""
    stop_tasks(session, [task], now=now, code=STOP_CODE, because=because)


def _started_at(task: Task) -> datetime | None:
    """When the task began to run. One that ended with an exit code did run, even if nobody saw it begin."""
    if task.started_at is None and task.last_status in ENDED and exit_of(task).exit_code is not None:
        return task.execution_stopped_at or task.stopped_at
    return task.started_at


def _end(job: Job, task: Task | None, ended: Exit, *, now: datetime, arns: Arns) -> None:
    """The attempt is over: SUCCEEDED, FAILED, or RUNNABLE again."""
    timed_out = task is not None and task.stopped_reason == TIMED_OUT
    if job.is_terminated or timed_out:
        said = TIMED_OUT if timed_out else job.stop_reason
        ended = Exit(status_reason=said, reason=ended.reason, exit_code=ended.exit_code, final=True)
    reason = ended.status_reason or ESSENTIAL_EXITED
    if task is None:
        job.attempts = [*job.attempts, {"container": {"reason": TASK_LOST}, "statusReason": reason}]
    else:
        job.attempts = [*job.attempts, attempt_detail(job.submission, task, arns, status_reason=reason)]
    job.timeout_at = None
    if ended.exit_code == 0 and not ended.final:
        _finish(job, "SUCCEEDED", reason, task, now=now)
        return
    match retry(job.attempt, check_retry_strategy(job.submission.retry_strategy), ended):
        case Again(attempt=attempt):
            job.advance("RUNNABLE", at=now, because=f"attempt {attempt} follows: {reason}")
            job.runnable_at = now
            job.status_reason = None
            job.task_id = None
            job.compute_environment = None
        case GiveUp():
            _finish(job, "FAILED", reason, task, now=now)


def _finish(job: Job, status: str, reason: str, task: Task | None, *, now: datetime) -> None:
    job.advance(status, at=now, because=reason)
    job.status_reason = reason
    job.stopped_at = (task.stopped_at or task.execution_stopped_at if task is not None else None) or now
