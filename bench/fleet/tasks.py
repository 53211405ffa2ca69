"""What a simulated agent keeps of a task, and what it reports of it, in the members of SubmitTaskStateChange."""

from dataclasses import dataclass
from random import Random
from typing import Any

TOLD, RUNNING, STOPPED = "TOLD", "RUNNING", "STOPPED"
DIGEST = f"sha256:{'0' * 64}"
PULL_TROUBLE = "CannotPullContainerError: the registry does not answer"


@dataclass(slots=True)
class SimulatedTask:
    """One task on one host; ``containers`` are names, shared by all tasks that are alike."""

    arn: str
    cluster: str
    containers: tuple[str, ...]
    phase: str = TOLD
    stopping: bool = False


def running(task: SimulatedTask, now: float, chance: Random) -> dict[str, Any]:
    """Every container runs."""
    return {
        "cluster": task.cluster,
        "task": task.arn,
        "status": "RUNNING",
        "pullStartedAt": now,
        "pullStoppedAt": now,
        "containers": [
            {
                "containerName": name,
                "status": "RUNNING",
                "runtimeId": f"{chance.getrandbits(256):064x}",
                "imageDigest": DIGEST,
            }
            for name in task.containers
        ],
    }


def stopped(task: SimulatedTask, now: float, exit_code: int) -> dict[str, Any]:
    """Every container has exited, by itself or because it was told to."""
    containers = [{"containerName": name, "status": "STOPPED", "exitCode": exit_code} for name in task.containers]
    report = {"cluster": task.cluster, "task": task.arn, "status": "STOPPED", "executionStoppedAt": now}
    if not task.stopping:
        report["reason"] = "Essential container in task exited"
    return {**report, "containers": containers}


def not_pulled(task: SimulatedTask, now: float) -> dict[str, Any]:
    """No container came to be."""
    return {
        "cluster": task.cluster,
        "task": task.arn,
        "status": "STOPPED",
        "reason": PULL_TROUBLE,
        "executionStoppedAt": now,
        "containers": [
            {"containerName": name, "status": "STOPPED", "reason": PULL_TROUBLE} for name in task.containers
        ],
    }
