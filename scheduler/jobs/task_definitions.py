"""Task definitions of jobs: every job runs as an ECS task, of a task definition that Batch registers for it.

One family per job definition revision and shape, so jobs that differ only in command, environment or parameters
share it, and no family of a user's own ever gets a revision that is not theirs.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from kit.settings import Settings
from state.jobs import Job, Submission
from state.store import Session
from state.task_definitions import TaskDefinition, get_task_definition, next_revision

CONTAINER = "default"
LOG_GROUP = "/aws/batch/job"
# Members that mean the same to Batch's container and to ECS's.
SAME = (
    "image",
    "readonlyRootFilesystem",
    "privileged",
    "ulimits",
    "user",
    "linuxParameters",
    "mountPoints",
    "secrets",
    "repositoryCredentials",
)


class Sizes(Protocol):
    """CPU units, MiB and GPUs: of a job, or of what is to be one."""

    @property
    def cpu(self) -> int: ...
    @property
    def memory(self) -> int: ...
    @property
    def gpus(self) -> int: ...


def find_or_register(
    session: Session, submission: Submission, job: Job, *, now: datetime, settings: Settings
) -> TaskDefinition:
    """The ACTIVE task definition of the submission's jobs, registered when there is none."""
    body = task_definition_body(submission, job, region=settings.region)
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:12]
    family = f"{submission.definition_name}-{submission.definition_revision}-{digest}"
    found = get_task_definition(session, family)
    if found is not None:
        return found
    definition = TaskDefinition(
        family=family,
        revision=next_revision(session, family),
        status="ACTIVE",
        body={"family": family, **body},
        tags=[],
        registered_at=now,
        registered_by=f"arn:aws:iam::{settings.account}:role/aws-service-role/batch.amazonaws.com/"
        "AWSServiceRoleForBatch",
    )
    session.add(definition)
    return definition


def task_definition_body(submission: Submission, job: Sizes, *, region: str) -> dict[str, Any]:
    """What RegisterTaskDefinition would keep. Command and environment come as overrides, so they are not in it."""
    given = submission.container
    container = {
        "name": CONTAINER,
        "cpu": job.cpu,
        "memory": job.memory,
        "essential": True,
        "environment": [],
        "portMappings": [],
        "mountPoints": [],
        "volumesFrom": [],
        "systemControls": [],
        **{name: given[name] for name in SAME if given.get(name) is not None},
        "logConfiguration": log_configuration(submission, region=region),
    }
    if job.gpus:
        container["resourceRequirements"] = [{"type": "GPU", "value": str(job.gpus)}]
    body: dict[str, Any] = {
        "containerDefinitions": [container],
        "volumes": given.get("volumes") or [],
        "placementConstraints": [],
        "networkMode": "awsvpc" if submission.platform == "FARGATE" else "bridge",
        "requiresCompatibilities": [submission.platform],
    }
    if submission.platform == "FARGATE":
        body |= {"cpu": str(job.cpu), "memory": str(job.memory)}
    renamed = {
        "taskRoleArn": given.get("jobRoleArn"),
        "executionRoleArn": given.get("executionRoleArn"),
        "ephemeralStorage": given.get("ephemeralStorage"),
        "runtimePlatform": given.get("runtimePlatform"),
    }
    return body | {name: value for name, value in renamed.items() if value}


def log_configuration(submission: Submission, *, region: str) -> dict[str, Any]:
    """Batch's own awslogs configuration, with what the job definition says on top."""
    given: Mapping[str, Any] = submission.container.get("logConfiguration") or {}
    if given.get("logDriver", "awslogs") != "awslogs":
        return dict(given)
    options = dict(given.get("options") or {})
    if not options.get("awslogs-group"):
        options |= {"awslogs-group": LOG_GROUP, "awslogs-create-group": "true"}
    options.setdefault("awslogs-region", region)
    options.setdefault("awslogs-stream-prefix", submission.definition_name)
    return {**given, "logDriver": "awslogs", "options": options}


def log_stream_name(submission: Submission, task_id: str) -> str | None:
    """``<prefix>/default/<task id>``; None when the job does not log to CloudWatch Logs."""
    configuration = log_configuration(submission, region="")
    if configuration["logDriver"] != "awslogs":
        return None
    return f"{configuration['options']['awslogs-stream-prefix']}/{CONTAINER}/{task_id}"
