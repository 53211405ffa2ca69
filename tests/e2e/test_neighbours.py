"""Two Berths on one engine: each gives its tasks addresses of its own, and goes without taking the other's away."""

from typing import Any

import pytest

from tests.support.berth import RunningBerth, running_berth, until
from tests.support.engine import Engine
from tests.support.faults import ENDS_WHEN_TOLD

AWSVPC = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}


def start_task(berth: RunningBerth, image: str) -> tuple[Any, str]:
    """Run a task with an address of its own on the local host; answers the client and the task's ARN."""
    ecs = berth.client("ecs")
    ecs.register_task_definition(
        family="neighbour",
        networkMode="awsvpc",
        containerDefinitions=[
            {"name": "main", "image": image, "memory": 32, "command": ["sleep", "300"], **ENDS_WHEN_TOLD}
        ],
    )
    started = ecs.run_task(taskDefinition="neighbour", launchType="EC2", networkConfiguration=AWSVPC)
    return ecs, started["tasks"][0]["taskArn"]


def running(ecs: Any, arn: str) -> str:
    """The address of the task once it runs; fails the test when it has stopped."""
    task = ecs.describe_tasks(tasks=[arn])["tasks"][0]
    assert task["lastStatus"] != "STOPPED", task["stoppedReason"]
    if task["lastStatus"] != "RUNNING":
        return ""
    address: str = task["containers"][0]["networkInterfaces"][0]["privateIpv4Address"]
    return address


@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_tasks_of_two_berths_have_addresses_of_their_own(
    berth: RunningBerth, image: str, docker_engine: Engine, busybox_image: str, first: str
) -> None:
    with running_berth(docker_engine) as other:
        theirs = other.push(busybox_image, "e2e/busybox")
        sides = [(berth, image), (other, theirs)] if first == "ours" else [(other, theirs), (berth, image)]
        tasks = [start_task(side, name) for side, name in sides]
        addresses = [until("the task runs", lambda task=task: running(*task), seconds=120) for task in tasks]
        assert len(set(addresses)) == 2
        ours = tasks[0] if first == "ours" else tasks[1]
    assert running(*ours) == addresses[0 if first == "ours" else 1]
    ours[0].stop_task(task=ours[1])
