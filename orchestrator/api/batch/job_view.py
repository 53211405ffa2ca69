"""How jobs are shown: a JobDetail for DescribeJobs, a JobSummary for ListJobs. Instants are epoch milliseconds."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from kit.clock import epoch_millis
from orchestrator.api.batch.job_definitions import LISTS
from orchestrator.api.batch.lookup import job_arn, job_definition_arn, job_queue_arn
from orchestrator.call import Call
from scheduler.jobs.attempts import container_detail
from scheduler.queueing import Dependency, status_summary, waits_for
from state.jobs import Job
from state.tasks import Task

WAITS = "Waiting for the jobs it depends on"


def render_job(
    call: Call, job: Job, task: Task | None, children: Mapping[str, int] | None, held: str | None
) -> dict[str, Any]:
    """A JobDetail. ``task`` is the attempt under way; ``children`` counts an array's children by status, and
    ``held`` says why one of them does not start."""
    submission = job.submission
    strategy = submission.retry_strategy or {}
    members = {
        **_common(call, job, held),
        "jobQueue": job_queue_arn(call, job.queue),
        "attempts": job.attempts,
        "retryStrategy": {
            "attempts": strategy.get("attempts", 1),
            "evaluateOnExit": strategy.get("evaluateOnExit") or [],
        },
        "dependsOn": _dependencies(job),
        "parameters": submission.parameters,
        "container": _container(call, job, task),
        "arrayProperties": _array(call, job, children),
        "timeout": {"attemptDurationSeconds": submission.timeout_seconds} if submission.timeout_seconds else None,
        "tags": submission.tags,
        "propagateTags": submission.propagate_tags,
        "platformCapabilities": [submission.platform],
        "isCancelled": job.is_cancelled,
        "isTerminated": job.is_terminated,
    }
    return {name: value for name, value in members.items() if value is not None}


def render_summary(call: Call, job: Job, held: str | None = None) -> dict[str, Any]:
    """A JobSummary; ``held`` says why a child of the array does not start."""
    last = job.attempts[-1]["container"] if job.attempts else {}
    container = {name: last[name] for name in ("exitCode", "reason") if name in last}
    array = {"index": job.array_index} if job.array_id else {"size": job.array_size} if job.array_size else None
    members = {**_common(call, job, held), "container": container or None, "arrayProperties": array}
    return {name: value for name, value in members.items() if value is not None}


def _common(call: Call, job: Job, held: str | None) -> dict[str, Any]:
    submission = job.submission
    return {
        "jobArn": job_arn(call, job.id),
        "jobId": job.id,
        "jobName": submission.name,
        "status": job.status,
        "statusReason": _reason(job, held),
        "createdAt": epoch_millis(job.created_at),
        "startedAt": _millis(job.started_at),
        "stoppedAt": _millis(job.stopped_at),
        "jobDefinition": job_definition_arn(call, submission.definition_name, submission.definition_revision),
    }


def _reason(job: Job, held: str | None) -> str | None:
    """Why the job stands where it stands; an array waits for what its children wait for."""
    if job.status == "PENDING" and not job.status_reason:
        return WAITS if job.waits else held
    return job.status_reason


def _container(call: Call, job: Job, task: Task | None) -> dict[str, Any]:
    if task is not None:
        ran = container_detail(job.submission, task, call.arns)
    else:
        ran = job.attempts[-1]["container"] if job.attempts else {}
    return {**{name: [] for name in LISTS}, "networkInterfaces": [], **job.submission.container, **ran}


def _array(call: Call, job: Job, children: Mapping[str, int] | None) -> dict[str, Any] | None:
    if job.array_id is not None:
        return {"index": job.array_index, "statusSummary": {}}
    if job.array_size is None:
        return None
    return {
        "size": job.array_size,
        "statusSummary": status_summary(children or {}),
        "statusSummaryLastUpdatedAt": epoch_millis(call.now),
    }


def _dependencies(job: Job) -> list[dict[str, Any]]:
    """As submitted; for an array's child, the jobs that itself waits for."""
    given = job.submission.depends_on
    if job.array_id is None:
        return given
    wanted = [Dependency(job_id=entry.get("jobId") or None, type=entry.get("type") or None) for entry in given]
    return [{"jobId": other} for other in waits_for(job.id, wanted, index=job.array_index)]


def _millis(at: datetime | None) -> int | None:
    return None if at is None else epoch_millis(at)
