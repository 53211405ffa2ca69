"""Wishes about Batch jobs: plain ones, arrays, dependent ones, ones with retries; terminate some."""

from typing import Any

from tests.support.simulation.ledger import Submitted
from tests.support.simulation.user import User

MANAGED = {"maxvCpus": 8, "subnets": ["subnet-1"], "securityGroupIds": ["sg-1"]}
ENVIRONMENTS = {
    "fargate": {"type": "FARGATE", **MANAGED},
    "machines": {
        "type": "EC2",
        "minvCpus": 0,
        "instanceTypes": ["m5"],
        "instanceRole": "ecsInstanceRole",
        **MANAGED,
    },
}
SIZES = {"fargate": ("0.25", "512"), "machines": ("1", "700")}
IMAGES = ("soon", "soon", "failing", "later", "broken")
MOST_JOBS = 15


def prepare(user: User) -> None:
    """One environment and queue of each platform, and their job definitions ``<environment>-<image>``."""
    for name, resources in ENVIRONMENTS.items():
        user.call(
            "batch",
            "CreateComputeEnvironment",
            computeEnvironmentName=name,
            type="MANAGED",
            computeResources=resources,
        )


def ready(user: User) -> None:
    """The queues, once the environments are VALID."""
    for name, (vcpus, memory) in SIZES.items():
        order = [{"order": 1, "computeEnvironment": name}]
        user.call("batch", "CreateJobQueue", jobQueueName=name, priority=1, computeEnvironmentOrder=order)
        for image in sorted(set(IMAGES)):
            sizes = [{"type": "VCPU", "value": vcpus}, {"type": "MEMORY", "value": memory}]
            container: dict[str, Any] = {"image": image, "command": ["work"], "resourceRequirements": sizes}
            if name == "fargate":
                container["executionRoleArn"] = "arn:aws:iam::123456789012:role/run"
            user.call(
                "batch",
                "RegisterJobDefinition",
                jobDefinitionName=f"{name}-{image}",
                type="container",
                platformCapabilities=["FARGATE" if name == "fargate" else "EC2"],
                containerProperties=container,
            )


def submit_job(user: User) -> None:
    if len(user.ledger.jobs) >= MOST_JOBS:
        return
    queue = user.chance.choice(sorted(SIZES))
    request: dict[str, Any] = {}
    size = user.chance.choice((0, 0, 2, 4))
    if size:
        request["arrayProperties"] = {"size": size}
    known = sorted(user.ledger.jobs)
    if known and user.chance.random() < 0.4:
        other = user.chance.choice(known)
        entry = {"jobId": other}
        if size and user.ledger.jobs[other].size == size and user.chance.random() < 0.5:
            entry["type"] = "N_TO_N"
        request["dependsOn"] = [entry]
    elif size and user.chance.random() < 0.3:
        request["dependsOn"] = [{"type": "SEQUENTIAL"}]
    if user.chance.random() < 0.5:
        request["retryStrategy"] = {"attempts": user.chance.randint(2, 3)}
    if user.chance.random() < 0.2:
        request["timeout"] = {"attemptDurationSeconds": 60}
    definition = f"{queue}-{user.chance.choice(IMAGES)}"
    job = user.call("batch", "SubmitJob", jobName=user.token(), jobQueue=queue, jobDefinition=definition, **request)[
        "jobId"
    ]
    user.note(f"user: SubmitJob {definition} {request}: {job[-6:]}")
    attempts = request.get("retryStrategy", {"attempts": 1})["attempts"]
    user.ledger.jobs[job] = Submitted(size=size, attempts=attempts)


def terminate_job(user: User) -> None:
    if user.ledger.jobs:
        job = user.chance.choice(sorted(user.ledger.jobs))
        user.call("batch", "TerminateJob", jobId=job, reason="no longer needed")
        user.note(f"user: TerminateJob {job[-6:]}")
