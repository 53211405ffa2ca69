"""Tags of Batch's nouns, by ARN: compute environments, job queues, job definitions and jobs."""

from typing import Any

from orchestrator.api.batch.errors import ClientException
from orchestrator.api.batch.lookup import (
    check_tags,
    find_compute_environment,
    find_job,
    find_job_definition,
    find_job_queue,
    tags_of,
)
from orchestrator.api.batch.wire import batch
from orchestrator.call import Call
from state.compute_environments import ComputeEnvironment
from state.job_definitions import JobDefinition
from state.job_queues import JobQueue
from state.jobs import Submission

Tagged = ComputeEnvironment | JobQueue | JobDefinition | Submission


@batch.operation("TagResource")
def tag_resource(call: Call, request: dict[str, Any]) -> None:
    """Adds the tags, or gives existing keys new values."""
    tagged = _find(call, request["resourceArn"], lock=True)
    tags = {**tagged.tags, **tags_of(request)}
    check_tags(tags)
    tagged.tags = tags


@batch.operation("UntagResource")
def untag_resource(call: Call, request: dict[str, Any]) -> None:
    """Removes the keys; those that are not there do no harm."""
    tagged = _find(call, request["resourceArn"], lock=True)
    tagged.tags = {key: value for key, value in tagged.tags.items() if key not in request["tagKeys"]}


@batch.operation("ListTagsForResource")
def list_tags_for_resource(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    return {"tags": _find(call, request["resourceArn"]).tags}


def _find(call: Call, arn: str, *, lock: bool = False) -> Tagged:
    resource = call.arns.own("batch", arn) or ""
    match resource.partition("/")[0]:
        case "compute-environment":
            return find_compute_environment(call, arn, lock=lock)
        case "job-queue":
            return find_job_queue(call, arn, lock=lock)
        case "job-definition":
            return find_job_definition(call, arn)
        case "job":
            job = find_job(call, arn)
            if job.array_id is not None:
                raise ClientException("Children of an array job have no tags of their own; tag the array job.")
            return call.session.get_one(Submission, job.submission_id)
        case _:
            raise ClientException(f"{arn[:256]!r} is not the ARN of a Batch resource here.")
