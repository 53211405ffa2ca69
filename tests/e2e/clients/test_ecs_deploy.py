"""``ecs-deploy``: deploys, scales and runs, and tells when a deployment cannot succeed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.berth import RunningBerth, until
from tests.support.faults import ENDS_WHEN_TOLD


@pytest.fixture(scope="module")
def ecs(berth: RunningBerth) -> Any:
    return berth.client("ecs")


@pytest.fixture
def service(berth: RunningBerth, ecs: Any, image: str) -> Iterator[str]:
    """A stable service of one task, named as its family."""
    name = "deployed"
    ecs.register_task_definition(
        family=name,
        containerDefinitions=[
            {"name": "main", "image": image, "memory": 32, "command": ["sleep", "300"], **ENDS_WHEN_TOLD}
        ],
    )
    ecs.create_service(serviceName=name, taskDefinition=name, desiredCount=1, launchType="EC2")
    ecs.get_waiter("services_stable").wait(services=[name], WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    yield name
    ecs.delete_service(service=name, force=True)
    ecs.get_waiter("services_inactive").wait(services=[name], WaiterConfig={"Delay": 1, "MaxAttempts": 60})


def test_deploy_changes_the_service_and_retires_the_old_revision(
    berth: RunningBerth, clients: Path, ecs: Any, service: str
) -> None:
    before = ecs.describe_services(services=[service])["services"][0]["taskDefinition"]
    told = berth.run(clients / "ecs", "deploy", "default", service, "-e", "main", "COLOUR", "blue")
    assert 'Changed environment "COLOUR" of container "main" to: "blue"' in told
    assert "Deployment successful" in told
    assert "Successfully deregistered revision" in told
    [now] = ecs.describe_services(services=[service])["services"]
    container = ecs.describe_task_definition(taskDefinition=now["taskDefinition"])["taskDefinition"][
        "containerDefinitions"
    ][0]
    assert container["environment"] == [{"name": "COLOUR", "value": "blue"}]
    assert ecs.describe_task_definition(taskDefinition=before)["taskDefinition"]["status"] == "INACTIVE"
    tasks = ecs.describe_tasks(tasks=ecs.list_tasks(serviceName=service)["taskArns"])["tasks"]
    assert [task["taskDefinitionArn"] for task in tasks] == [now["taskDefinition"]]


def test_scale_changes_the_number_of_tasks(berth: RunningBerth, clients: Path, ecs: Any, service: str) -> None:
    told = berth.run(clients / "ecs", "scale", "default", service, "3")
    assert "Scaling successful" in told
    assert len(ecs.list_tasks(serviceName=service)["taskArns"]) == 3
    berth.run(clients / "ecs", "scale", "default", service, "0")
    assert ecs.list_tasks(serviceName=service)["taskArns"] == []
    until("nothing runs", lambda: ecs.describe_services(services=[service])["services"][0]["runningCount"] == 0)


def test_run_starts_tasks_with_another_command(berth: RunningBerth, clients: Path, ecs: Any, service: str) -> None:
    told = berth.run(clients / "ecs", "run", "default", service, "2", "-c", "main", '["sh", "-c", "exit 4"]')
    assert f"Successfully started 2 instances of task: {service}" in told

    def ended() -> list[Any]:
        arns = ecs.list_tasks(startedBy="ECS Deploy", desiredStatus="STOPPED")["taskArns"]
        tasks = ecs.describe_tasks(tasks=arns)["tasks"] if arns else []
        return tasks if [task["lastStatus"] for task in tasks] == ["STOPPED"] * 2 else []

    assert [task["containers"][0]["exitCode"] for task in until("both have ended", ended)] == [4, 4]


def test_a_deployment_without_room_fails_with_the_services_event(
    berth: RunningBerth, clients: Path, ecs: Any, service: str
) -> None:
    failed = berth.attempt(
        clients / "ecs", "deploy", "default", service, "--memory", "main", "900000", "--timeout", "60"
    )
    assert failed.returncode == 1
    assert "Deployment failed" in failed.stdout + failed.stderr
    assert "was unable to place a task because no container instance met all of its requirements" in (
        failed.stdout + failed.stderr
    )
