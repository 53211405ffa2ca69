"""What a run overrides reaches placement and the agent, or is refused by name."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from kit.settings import Settings
from orchestrator.agents.conversation import Conversation
from tests.support.tasks import FARGATE, NETWORK, TasksPlane

ROLE = "arn:aws:iam::123456789012:role/r"
FILES = [{"type": "s3", "value": "arn:aws:s3:::bucket/run.env"}]
MAIN = {"name": "main", "image": "i:1", "memory": 64}
CAPABLE = {"ecs.capability.env-files.s3": "", "com.amazonaws.ecs.capability.task-iam-role": ""}


class Plane(TasksPlane):
    def told(self, host: str) -> dict[str, Any]:
        """The one task that the host's agent is told of."""
        talk = Conversation(self.store, self.clock, self.settings, host.rsplit("/", 1)[-1])
        [task] = [task for frame in talk.news() for task in json.loads(frame)["message"]["tasks"]]
        return dict(task)


@pytest.fixture
def plane(store_url: str) -> Iterator[Plane]:
    """Its tasks may read files from S3."""
    plane = Plane(store_url, settings=Settings(task_s3_endpoint="http://s3.test:9000"))
    yield plane
    plane.close()


def test_sizes_count_at_placement_and_bound_the_task(plane: Plane) -> None:
    host = plane.add_host()
    plane.register()
    task = plane.run(overrides={"cpu": "512", "memory": "256"})
    assert (task["cpu"], task["memory"]) == ("512", "256")
    assert plane.free(host) == {"CPU": 512, "MEMORY": 768}
    told = plane.told(host)
    assert (told["cpu"], told["memory"]) == (0.5, 256)


def test_a_containers_sizes_command_and_environment_are_the_runs(plane: Plane) -> None:
    host = plane.add_host()
    plane.register("t", {**MAIN, "cpu": 10, "command": ["old"], "environment": [{"name": "A", "value": "1"}]})
    override = {
        "name": "main",
        "cpu": 100,
        "memory": 200,
        "memoryReservation": 150,
        "command": ["new"],
        "environment": [{"name": "A", "value": "2"}, {"name": "B", "value": "3"}],
    }
    task = plane.run(overrides={"containerOverrides": [override]})
    assert plane.free(host) == {"CPU": 924, "MEMORY": 874}
    [container] = plane.told(host)["containers"]
    assert (container["cpu"], container["memory"]) == (100, 200)
    assert json.loads(container["overrides"])["command"] == ["new"]
    assert container["environment"] == {"A": "2", "B": "3"}
    config = json.loads(container["dockerConfig"]["hostConfig"])
    assert config["MemoryReservation"] == 150 * 1024 * 1024
    assert task["overrides"]["containerOverrides"] == [override]


def test_environment_files_are_the_runs_and_need_a_role(plane: Plane) -> None:
    host = plane.add_host(**CAPABLE)
    plane.register()
    overrides = {"containerOverrides": [{"name": "main", "environmentFiles": FILES}]}
    with pytest.raises(plane.ecs.exceptions.ClientException, match="executionRoleArn"):
        plane.ecs.run_task(taskDefinition="t", overrides=overrides)
    plane.run(overrides={**overrides, "executionRoleArn": ROLE})
    [container] = plane.told(host)["containers"]
    assert container["environmentFiles"] == FILES


def test_files_of_a_run_need_a_store(store_url: str) -> None:
    plane = Plane(store_url)
    plane.register(executionRoleArn=ROLE)
    with pytest.raises(plane.ecs.exceptions.ClientException, match="BERTH_TASK_S3_ENDPOINT"):
        plane.ecs.run_task(
            taskDefinition="t", overrides={"containerOverrides": [{"name": "main", "environmentFiles": FILES}]}
        )
    plane.close()


def test_storage_is_fargates(plane: Plane) -> None:
    plane.register("f", MAIN, **FARGATE)
    run = {"taskDefinition": "f", "launchType": "FARGATE", "networkConfiguration": NETWORK}
    task = plane.ecs.run_task(**run, overrides={"ephemeralStorage": {"sizeInGiB": 50}})["tasks"][0]
    assert task["overrides"]["ephemeralStorage"] == task["ephemeralStorage"] == {"sizeInGiB": 50}
    assert plane.ecs.run_task(**run)["tasks"][0]["ephemeralStorage"] == {"sizeInGiB": 20}
    plane.register("g", MAIN, **FARGATE, ephemeralStorage={"sizeInGiB": 30})
    own = plane.ecs.run_task(**{**run, "taskDefinition": "g"})["tasks"][0]
    assert own["ephemeralStorage"] == {"sizeInGiB": 30}
    with pytest.raises(plane.ecs.exceptions.ClientException, match="should be at most 200"):
        plane.ecs.run_task(**run, overrides={"ephemeralStorage": {"sizeInGiB": 500}})
    plane.register()
    with pytest.raises(plane.ecs.exceptions.ClientException, match="do not support EphemeralStorage"):
        plane.ecs.run_task(taskDefinition="t", overrides={"ephemeralStorage": {"sizeInGiB": 50}})


def test_a_runs_variable_cannot_have_the_name_of_a_secret(plane: Plane) -> None:
    plane.register("t", {**MAIN, "secrets": [{"name": "DB", "valueFrom": "/db"}]}, executionRoleArn=ROLE)
    override = {"name": "main", "environment": [{"name": "DB", "value": "x"}]}
    with pytest.raises(plane.ecs.exceptions.ClientException, match="such as 'DB'"):
        plane.ecs.run_task(taskDefinition="t", overrides={"containerOverrides": [override]})


def test_a_container_overridden_twice_is_refused(plane: Plane) -> None:
    host = plane.add_host()
    plane.register()
    twice = [{"name": "main", "memory": 64}, {"name": "main", "memory": 640}]
    with pytest.raises(plane.ecs.exceptions.InvalidParameterException, match="'main' is overridden twice"):
        plane.ecs.run_task(taskDefinition="t", overrides={"containerOverrides": twice})
    assert plane.free(host) == {"CPU": 1024, "MEMORY": 1024}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"cpu": "1"}, "Invalid 'cpu' setting for task. It must be at least 128, not 1"),
        ({"memory": "32"}, "'memory' of 64 MiB exceeds the task's memory of 32 MiB"),
        ({"cpu": "128", "containerOverrides": [{"name": "main", "cpu": 129}]}, "cpu of 129 units in total exceeds"),
        ({"containerOverrides": [{"name": "main", "memory": 300}]}, "'memory' of 300 MiB exceeds"),
    ],
)
def test_containers_fit_into_their_task_with_a_runs_sizes_too(
    plane: Plane, overrides: dict[str, Any], message: str
) -> None:
    plane.add_host()
    plane.register("t", MAIN, memory="256")
    with pytest.raises(plane.ecs.exceptions.ClientException, match=message):
        plane.ecs.run_task(taskDefinition="t", overrides=overrides)


def test_a_runs_tags_are_its_own_its_definitions_and_ecss(plane: Plane) -> None:
    host = plane.add_host()
    plane.register("t", MAIN, tags=[{"key": "team", "value": "of-definition"}, {"key": "from", "value": "definition"}])
    asked = {
        "tags": [{"key": "team", "value": "of-run"}],
        "propagateTags": "TASK_DEFINITION",
        "enableECSManagedTags": True,
    }
    wanted = {"team": "of-run", "from": "definition", "aws:ecs:clusterName": "default"}
    run = plane.run(**asked)
    started = plane.ecs.start_task(taskDefinition="t", containerInstances=[host], **asked)["tasks"][0]
    for task in (run, started):
        tags = plane.ecs.describe_tasks(tasks=[task["taskArn"]], include=["TAGS"])["tasks"][0]["tags"]
        assert {tag["key"]: tag["value"] for tag in tags} == wanted


def test_a_run_has_no_service_to_take_tags_from(plane: Plane) -> None:
    host = plane.add_host()
    plane.register()
    refused = plane.ecs.exceptions.InvalidParameterException
    with pytest.raises(refused, match="propagateTags SERVICE is for the tasks of a service"):
        plane.ecs.run_task(taskDefinition="t", propagateTags="SERVICE")
    with pytest.raises(refused, match="propagateTags SERVICE is for the tasks of a service"):
        plane.ecs.start_task(taskDefinition="t", containerInstances=[host], propagateTags="SERVICE")
