"""SubmitJob: a job definition, what the caller overrides, and what the job waits for, written in one transaction."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from kit.ids import new_uuid
from orchestrator.api.batch.containers import check_overrides, demand, override
from orchestrator.api.batch.errors import ClientException, NotBuiltYet
from orchestrator.api.batch.job_definitions import check_strategy
from orchestrator.api.batch.lookup import (
    check_tags,
    find_job_definition,
    find_job_queue,
    job_arn,
    refuse,
    tags_of,
)
from orchestrator.api.batch.wire import batch
from orchestrator.call import Call
from scheduler.queueing import BadDependency, Dependency, check_submission
from state.compute_environments import get_compute_environment
from state.job_definitions import JobDefinition
from state.job_queues import JobQueue
from state.jobs import Submission, add_submission, array_sizes

_JOB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")


@batch.operation("SubmitJob")
def submit_job(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """The job starts SUBMITTED, an array's children with it; the jobs loop takes it from there."""
    name = request["jobName"]
    if _JOB_NAME.fullmatch(name) is None:
        raise ClientException(
            "jobName must start with a letter or number and have up to 128 letters, numbers, hyphens and underscores."
        )
    _refuse_unbuilt(request)
    queue = find_job_queue(call, request["jobQueue"])
    if queue.state != "ENABLED" or queue.status not in ("VALID", "UPDATING"):
        raise ClientException(f"JobQueue {queue.name} takes no jobs: it is {queue.state} and {queue.status}.")
    definition = find_job_definition(call, request["jobDefinition"], active=True)
    _check_platform(call, queue, definition)
    overrides = request.get("containerOverrides") or {}
    fargate = definition.platform == "FARGATE"
    container = definition.body["containerProperties"]
    check_overrides(container, overrides, fargate=fargate)
    wanted = demand(container, overrides, fargate=fargate)
    retry_strategy = request.get("retryStrategy") or definition.body.get("retryStrategy")
    timeout = request.get("timeout") or definition.body.get("timeout")
    check_strategy(retry_strategy, timeout)
    array_size = (request.get("arrayProperties") or {}).get("size")
    depends_on = [dict(entry) for entry in request.get("dependsOn") or ()]
    _check_dependencies(call, depends_on, array_size)
    tags = tags_of(request)
    propagate = request.get("propagateTags")
    propagate = bool(definition.body.get("propagateTags")) if propagate is None else propagate
    task_tags = {**definition.tags, **tags} if propagate else {}
    check_tags(task_tags)
    submission = Submission(
        id=new_uuid(),
        name=name,
        queue=queue.name,
        definition_name=definition.name,
        definition_revision=definition.revision,
        platform=definition.platform,
        array_size=array_size,
        container=override(container, overrides, wanted),
        parameters={**(definition.body.get("parameters") or {}), **(request.get("parameters") or {})},
        depends_on=depends_on,
        retry_strategy=retry_strategy or None,
        timeout_seconds=(timeout or {}).get("attemptDurationSeconds"),
        tags=tags,
        propagate_tags=propagate,
        task_tags=task_tags,
        created_at=call.now,
    )
    add_submission(call.session, submission, cpu=wanted.cpu, memory=wanted.memory, gpus=wanted.gpus)
    call.session.wake("jobs")
    return {"jobArn": job_arn(call, submission.id), "jobName": name, "jobId": submission.id}


def _refuse_unbuilt(request: Mapping[str, Any]) -> None:
    refuse(request, "nodeOverrides", "multi-node parallel jobs (nodeOverrides)")
    refuse(request, "eksPropertiesOverride", "jobs on Amazon EKS (eksPropertiesOverride)")
    refuse(request, "ecsPropertiesOverride", "jobs of several containers (ecsPropertiesOverride)")
    if (request.get("consumableResourcePropertiesOverride") or {}).get("consumableResourceList"):
        raise NotBuiltYet("consumable resources (consumableResourcePropertiesOverride)")
    if request.get("shareIdentifier"):
        raise ClientException(
            "shareIdentifier must not be specified: the job queue has no fair-share scheduling policy."
        )
    if request.get("schedulingPriorityOverride") is not None:
        raise ClientException(
            "schedulingPriorityOverride must not be specified: the job queue has no fair-share scheduling policy."
        )


def _check_platform(call: Call, queue: JobQueue, definition: JobDefinition) -> None:
    """All environments of a queue are of one platform, so the first one speaks for the queue."""
    environment = get_compute_environment(call.session, queue.environments[0])
    offered = "FARGATE" if environment is not None and environment.kind == "FARGATE" else "EC2"
    if environment is not None and offered != definition.platform:
        raise ClientException(
            f"The platformCapabilities of job definition {definition.name}:{definition.revision} "
            f"({definition.platform}) do not go with the compute environments of job queue {queue.name} ({offered})."
        )


def _check_dependencies(call: Call, depends_on: Sequence[Mapping[str, Any]], array_size: int | None) -> None:
    wanted = [Dependency(job_id=entry.get("jobId") or None, type=entry.get("type") or None) for entry in depends_on]
    sizes = array_sizes(call.session, [one.job_id for one in wanted if one.job_id])
    try:
        check_submission(wanted, array_size=array_size, sizes=sizes)
    except BadDependency as bad:
        raise ClientException(str(bad)) from bad
