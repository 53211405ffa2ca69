"""Job queues: created on VALID compute environments of one kind, changed, described, deleted with their jobs."""

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.api.batch.errors import ClientException, NotBuiltYet
from orchestrator.api.batch.lookup import (
    check_name,
    compute_environment_arn,
    find_compute_environment,
    find_job_queue,
    job_queue_arn,
    own_name,
    refuse,
    tags_of,
)
from orchestrator.api.batch.pages import page
from orchestrator.api.batch.wire import batch
from orchestrator.call import Call
from state.job_queues import JobQueue, get_job_queue, list_job_queues

MOST_DESCRIBED = 100
MOST_ENVIRONMENTS = 3
LIMIT_REASONS = (
    "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY",
    "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE",
    "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT",
)
SHORTEST_LIMIT, LONGEST_LIMIT = 600, 86_400


@batch.operation("CreateJobQueue")
def create_job_queue(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """The queue starts CREATING; the job queues loop makes it VALID."""
    name = check_name(request.get("jobQueueName"), "jobQueueName")
    _refuse_unbuilt(request)
    priority = _priority(request["priority"])
    order, kind = _environments(call, request.get("computeEnvironmentOrder") or ())
    actions = _limit_actions(request.get("jobStateTimeLimitActions") or ())
    wanted = request.get("jobQueueType")
    if wanted and wanted != kind:
        raise ClientException(f"jobQueueType {wanted} does not go with compute environments of type {kind}.")
    tags = tags_of(request)
    if get_job_queue(call.session, name, lock=True) is not None:
        raise ClientException("Object already exists")
    queue = JobQueue(
        name=name,
        state=request.get("state") or "ENABLED",
        status="CREATING",
        priority=priority,
        compute_environment_order=order,
        job_queue_type=wanted,
        job_state_time_limit_actions=actions,
        tags=tags,
        created_at=call.now,
    )
    call.session.add(queue)
    call.session.wake("job_queues")
    return _named(call, queue)


@batch.operation("UpdateJobQueue")
def update_job_queue(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    queue = find_job_queue(call, request["jobQueue"], lock=True)
    _refuse_unbuilt(request)
    if queue.status not in ("VALID", "INVALID"):
        raise ClientException(f"Cannot update, resource is being modified: {queue.name} is {queue.status}.")
    if request.get("priority") is not None:
        queue.priority = _priority(request["priority"])
    if request.get("computeEnvironmentOrder"):
        _, before = _environments(call, queue.compute_environment_order)
        queue.compute_environment_order, kind = _environments(call, request["computeEnvironmentOrder"])
        if kind != before:
            raise ClientException(f"A job queue on {before} cannot move to compute environments of type {kind}.")
    if request.get("jobStateTimeLimitActions") is not None:
        queue.job_state_time_limit_actions = _limit_actions(request["jobStateTimeLimitActions"])
    queue.state = request.get("state") or queue.state
    queue.advance("UPDATING", at=call.now, because="UpdateJobQueue")
    call.session.wake("job_queues", "jobs")
    return _named(call, queue)


@batch.operation("DeleteJobQueue")
def delete_job_queue(call: Call, request: dict[str, Any]) -> None:
    """Asks for the end of a DISABLED queue: its jobs are terminated first. Asking again changes nothing."""
    queue = find_job_queue(call, request["jobQueue"], lock=True)
    if queue.status == "DELETING":
        return
    if queue.state != "DISABLED":
        raise ClientException("Cannot delete, job queue must be DISABLED first.")
    if queue.status in ("CREATING", "UPDATING"):
        raise ClientException("Cannot delete, resource is being modified.")
    queue.advance("DELETING", at=call.now, because="DeleteJobQueue")
    call.session.wake("job_queues")


@batch.operation("DescribeJobQueues")
def describe_job_queues(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Those asked for that exist, in the order asked; without names, all of them in pages."""
    asked = request.get("jobQueues")
    if asked:
        if len(asked) > MOST_DESCRIBED:
            raise ClientException(f"At most {MOST_DESCRIBED} job queues can be described at once.")
        names = list(dict.fromkeys(filter(None, (own_name(call, ref, "job-queue") for ref in asked))))
        found = {one.name: one for one in list_job_queues(call.session, names)}
        return {"jobQueues": [render(call, found[name]) for name in names if name in found]}
    everything = list_job_queues(call.session)
    rows, more = page(
        request,
        lambda after, limit: [row for row in everything if after is None or row.name > after[0]][:limit],
        lambda row: [row.name],
        kinds=(str,),
        most=MOST_DESCRIBED,
        scope="job-queues",
    )
    return {"jobQueues": [render(call, row) for row in rows], **more}


def render(call: Call, queue: JobQueue) -> dict[str, Any]:
    """A JobQueueDetail."""
    members = {
        "jobQueueName": queue.name,
        "jobQueueArn": job_queue_arn(call, queue.name),
        "state": queue.state,
        "status": queue.status,
        "statusReason": queue.status_reason,
        "priority": queue.priority,
        "computeEnvironmentOrder": queue.compute_environment_order,
        "jobQueueType": queue.job_queue_type,
        "tags": queue.tags,
        "jobStateTimeLimitActions": queue.job_state_time_limit_actions,
    }
    return {name: value for name, value in members.items() if value is not None}


def _refuse_unbuilt(request: Mapping[str, Any]) -> None:
    refuse(request, "schedulingPolicyArn", "fair-share scheduling policies (schedulingPolicyArn)")
    refuse(request, "serviceEnvironmentOrder", "service environments (serviceEnvironmentOrder)")
    kind = request.get("jobQueueType")
    if kind in ("EKS", "SAGEMAKER_TRAINING", "ECS_MANAGED_INSTANCES"):
        raise NotBuiltYet(f"job queues of type {kind}")


def _priority(value: int) -> int:
    if not 0 <= value <= 2**31 - 1:
        raise ClientException("priority must not be negative.")
    return value


def _environments(call: Call, given: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], str]:
    """The order to keep, with ARNs, and the queue's type: ECS or ECS_FARGATE."""
    if not 1 <= len(given) <= MOST_ENVIRONMENTS:
        raise ClientException(f"computeEnvironmentOrder must name 1 to {MOST_ENVIRONMENTS} compute environments.")
    order = []
    kinds = set()
    for entry in given:
        environment = find_compute_environment(call, entry["computeEnvironment"], lock=True)
        if environment.status not in ("VALID", "UPDATING"):
            raise ClientException(
                f"Compute environment {environment.name} must be VALID before a job queue can use it; "
                f"it is {environment.status}."
            )
        kinds.add("ECS_FARGATE" if environment.kind == "FARGATE" else "ECS")
        order.append({"order": entry["order"], "computeEnvironment": compute_environment_arn(call, environment.name)})
    if len({entry["order"] for entry in order}) != len(order):
        raise ClientException("Every compute environment of computeEnvironmentOrder needs an order of its own.")
    if len({entry["computeEnvironment"] for entry in order}) != len(order):
        raise ClientException("computeEnvironmentOrder names a compute environment twice.")
    if len(kinds) != 1:
        raise ClientException("EC2 and Fargate compute environments cannot be mixed in one job queue.")
    return sorted(order, key=lambda entry: int(entry["order"])), kinds.pop()


def _limit_actions(given: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    for action in given:
        if action["reason"] not in LIMIT_REASONS:
            raise ClientException(
                f"The reason of a jobStateTimeLimitAction is one of {', '.join(LIMIT_REASONS)}, "
                f"not {action['reason'][:128]!r}."
            )
        if action["action"] != "CANCEL":
            raise ClientException("The only action on jobs of ECS and Fargate compute environments is CANCEL.")
        if not SHORTEST_LIMIT <= action["maxTimeSeconds"] <= LONGEST_LIMIT:
            raise ClientException(f"maxTimeSeconds must be between {SHORTEST_LIMIT} and {LONGEST_LIMIT}.")
    return [dict(action) for action in given]


def _named(call: Call, queue: JobQueue) -> dict[str, Any]:
    return {"jobQueueName": queue.name, "jobQueueArn": job_queue_arn(call, queue.name)}
