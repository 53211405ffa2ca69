"""The clients under test: unmodified, each from an environment of its own, told of Berth by AWS_ENDPOINT_URL alone."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.berth import ROOT, RunningBerth, until

Aws = Callable[..., Any]

SCRIPTS = Path(__file__).parent / "scripts"


def programs(environment: str, setup: str) -> Path:
    """The programs of an environment that this checkout's set-up makes; made now when they are missing."""
    found = ROOT / environment / "bin"
    if not (found / "python").exists():
        subprocess.run([ROOT / ".ci/setup", setup], check=True)
    return found


@pytest.fixture(scope="session")
def clients() -> Path:
    """Where ``aws``, ``ecs`` and luigi's ``python`` are."""
    return programs(".venv-clients", "e2e")


@pytest.fixture(scope="session")
def aws(berth: RunningBerth, clients: Path) -> Aws:
    """The ``aws`` command: its words in, what it printed as JSON out (None when it printed nothing)."""

    def run(*words: str, seconds: int = 180) -> Any:
        printed = berth.run(clients / "aws", *words, "--output", "json", seconds=seconds)
        return json.loads(printed) if printed.strip() else None

    return run


@pytest.fixture(scope="session")
def job_queue(berth: RunningBerth) -> str:
    """A job queue whose environment launches hosts of its own for jobs."""
    batch = berth.client("batch")
    batch.create_compute_environment(
        computeEnvironmentName="clients",
        type="MANAGED",
        computeResources={
            "type": "EC2",
            "minvCpus": 0,
            "maxvCpus": 4,
            "instanceTypes": ["m5.xlarge"],
            "subnets": ["subnet-1"],
            "securityGroupIds": ["sg-1"],
            "instanceRole": "ecsInstanceRole",
        },
    )
    until("the environment is valid", lambda: _valid(batch.describe_compute_environments()["computeEnvironments"]))
    batch.create_job_queue(
        jobQueueName="clients", priority=1, computeEnvironmentOrder=[{"order": 1, "computeEnvironment": "clients"}]
    )
    until("the queue is valid", lambda: _valid(batch.describe_job_queues()["jobQueues"]))
    return "clients"


@pytest.fixture(scope="session")
def job_definition(berth: RunningBerth, image: str) -> str:
    """A job definition that says ``Ref::words``, and fails when they are ``no``."""
    berth.client("batch").register_job_definition(
        jobDefinitionName="say",
        type="container",
        parameters={"words": "nothing"},
        containerProperties={
            "image": image,
            "command": ["sh", "-c", 'echo "they said $0"; [ "$0" != no ]', "Ref::words"],
            "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "32"}],
        },
    )
    return "say"


def logs_to(group: str) -> dict[str, Any]:
    """A container's logConfiguration: into this group, which is made when it is missing, streams as ``e2e/…``."""
    options = {
        "awslogs-group": group,
        "awslogs-region": "us-east-1",
        "awslogs-stream-prefix": "e2e",
        "awslogs-create-group": "true",
    }
    return {"logDriver": "awslogs", "options": options}


def _valid(found: list[dict[str, Any]]) -> bool:
    return bool(found) and all(item["status"] == "VALID" for item in found)
