"""boto3's own waiters, which decide by the fields of what ECS describes."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import WaiterError

from tests.support.berth import RunningBerth
from tests.support.faults import ENDS_WHEN_TOLD

SOON = {"Delay": 1, "MaxAttempts": 60}


@pytest.fixture(scope="module")
def ecs(berth: RunningBerth) -> Any:
    return berth.client("ecs")


@pytest.fixture
def family(ecs: Any, image: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A task definition of one container that serves until it is told to stop."""
    name = request.node.name.replace("[", "-").rstrip("]")
    ecs.register_task_definition(
        family=name,
        containerDefinitions=[
            {"name": "main", "image": image, "memory": 32, "command": ["sleep", "300"], **ENDS_WHEN_TOLD}
        ],
    )
    yield name


def test_tasks_running_and_tasks_stopped(ecs: Any, family: str) -> None:
    started = ecs.run_task(taskDefinition=family, count=2, launchType="EC2")
    assert started["failures"] == []
    arns = [task["taskArn"] for task in started["tasks"]]
    ecs.get_waiter("tasks_running").wait(tasks=arns, WaiterConfig=SOON)
    assert {task["lastStatus"] for task in ecs.describe_tasks(tasks=arns)["tasks"]} == {"RUNNING"}
    for arn in arns:
        ecs.stop_task(task=arn, reason="enough")
    ecs.get_waiter("tasks_stopped").wait(tasks=arns, WaiterConfig=SOON)
    stopped = ecs.describe_tasks(tasks=arns)["tasks"]
    assert [(task["stopCode"], task["stoppedReason"]) for task in stopped] == [("UserInitiated", "enough")] * 2
    assert all("exitCode" in container for task in stopped for container in task["containers"])


def test_tasks_running_gives_up_on_a_task_that_has_stopped(ecs: Any, family: str) -> None:
    started = ecs.run_task(
        taskDefinition=family,
        launchType="EC2",
        overrides={"containerOverrides": [{"name": "main", "command": ["sh", "-c", "exit 7"]}]},
    )
    arns = [started["tasks"][0]["taskArn"]]
    ecs.get_waiter("tasks_stopped").wait(tasks=arns, WaiterConfig=SOON)
    with pytest.raises(WaiterError, match="terminal failure"):
        ecs.get_waiter("tasks_running").wait(tasks=arns, WaiterConfig=SOON)
    assert ecs.describe_tasks(tasks=arns)["tasks"][0]["containers"][0]["exitCode"] == 7


def test_tasks_running_gives_up_on_a_task_that_never_was(ecs: Any) -> None:
    with pytest.raises(WaiterError, match="MISSING"):
        ecs.get_waiter("tasks_running").wait(tasks=["0" * 32], WaiterConfig=SOON)


def test_services_stable_and_services_inactive(ecs: Any, family: str) -> None:
    ecs.create_service(serviceName=family, taskDefinition=family, desiredCount=2, launchType="EC2")
    ecs.get_waiter("services_stable").wait(services=[family], WaiterConfig=SOON)
    [service] = ecs.describe_services(services=[family])["services"]
    assert (service["runningCount"], service["pendingCount"], len(service["deployments"])) == (2, 0, 1)
    first = set(ecs.list_tasks(serviceName=family)["taskArns"])
    ecs.update_service(service=family, forceNewDeployment=True)
    ecs.get_waiter("services_stable").wait(services=[family], WaiterConfig=SOON)
    second = set(ecs.list_tasks(serviceName=family)["taskArns"])
    assert (len(second), first & second) == (2, set())
    ecs.delete_service(service=family, force=True)
    ecs.get_waiter("services_inactive").wait(services=[family], WaiterConfig=SOON)
    ecs.get_waiter("tasks_stopped").wait(tasks=[*second], WaiterConfig=SOON)


def test_services_inactive_gives_up_on_a_service_that_never_was(ecs: Any) -> None:
    with pytest.raises(WaiterError, match="MISSING"):
        ecs.get_waiter("services_inactive").wait(services=["never-was"], WaiterConfig=SOON)
