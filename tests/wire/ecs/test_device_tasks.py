"""Tasks that need GPUs or named resources, through boto3: each gets its own, and gives it back when it ends."""

from typing import Any

import pytest

from tests.support.tasks import CAPABLE, FARGATE, NETWORK, SIZES, SMALL, TasksPlane

LICENCES = [{"deviceName": "device_1", "deviceType": "licence"}]


def add_host(plane: TasksPlane, *gpus: str, licences: int = 0) -> str:
    """A connected host with these GPUs; answers its ARN."""
    host = plane.add_host()
    return register(plane, host, *gpus, licences=licences)


def register(plane: TasksPlane, host: str, *gpus: str, licences: int = 0) -> str:
    more: list[dict[str, Any]] = [{"name": "GPU", "type": "STRINGSET", "stringSetValue": [*gpus]}] if gpus else []
    more += [{"name": "licence", "type": "INTEGER", "integerValue": licences}] if licences else []
    plane.ecs.register_container_instance(totalResources=SIZES + more, attributes=CAPABLE, containerInstanceArn=host)
    return host


def needs(kind: str, value: str, **members: Any) -> dict[str, Any]:
    return {**SMALL, "resourceRequirements": [{"type": kind, "value": value}], **members}


def left(plane: TasksPlane, host: str, name: str) -> Any:
    found = plane.ecs.describe_container_instances(containerInstances=[host])["containerInstances"][0]
    resource = next(one for one in found["remainingResources"] if one["name"] == name)
    return resource["stringSetValue"] if name == "GPU" else resource["integerValue"]


def gpus_of(task: dict[str, Any]) -> list[str]:
    return [gpu for container in task["containers"] for gpu in container.get("gpuIds", ())]


def test_no_two_tasks_get_the_same_gpu_and_the_last_says_what_is_short(plane: TasksPlane) -> None:
    hosts = [add_host(plane, "a0", "a1"), add_host(plane, "b0", "b1")]
    plain = plane.add_host()
    plane.register("t", needs("GPU", "1"))
    answer = plane.ecs.run_task(taskDefinition="t", count=5)
    given = [gpu for task in answer["tasks"] for gpu in gpus_of(plane.task(task["taskArn"]))]
    assert sorted(given) == ["a0", "a1", "b0", "b1"]
    assert [left(plane, host, "GPU") for host in hosts] == [[], []]
    assert {failure["reason"] for failure in answer["failures"]} == {"RESOURCE:GPU"}
    assert "GPUs: 1 asked, 0 free" in answer["failures"][0]["detail"]
    assert {task["containerInstanceArn"] for task in answer["tasks"]} == {*hosts} - {plain}


def test_a_gpu_is_free_again_when_its_task_has_ended_and_not_before(plane: TasksPlane) -> None:
    host = add_host(plane, "a0")
    plane.register("t", needs("GPU", "1"))
    task = plane.run()
    plane.report(task["taskArn"], "RUNNING")
    plane.ecs.stop_task(task=task["taskArn"])
    assert left(plane, host, "GPU") == []
    assert plane.ecs.run_task(taskDefinition="t")["tasks"] == []
    plane.report(task["taskArn"], "STOPPED")
    plane.report(task["taskArn"], "STOPPED")
    assert left(plane, host, "GPU") == ["a0"]
    assert gpus_of(plane.task(task["taskArn"])) == ["a0"]
    assert gpus_of(plane.run()) == ["a0"]


def test_overrides_change_how_many_a_container_gets(plane: TasksPlane) -> None:
    add_host(plane, "a0", "a1", "a2")
    plane.register("t", needs("GPU", "1"), needs("GPU", "1", name="side"))
    more = {"name": "side", "resourceRequirements": [{"type": "GPU", "value": "2"}]}
    task = plane.task(plane.run(overrides={"containerOverrides": [more]})["taskArn"])
    assert {container["name"]: container["gpuIds"] for container in task["containers"]} == {
        "main": ["a0"],
        "side": ["a1", "a2"],
    }


def test_a_task_never_gets_gpus_of_two_hosts(plane: TasksPlane) -> None:
    add_host(plane, "a0")
    add_host(plane, "b0")
    plane.register("t", needs("GPU", "2"))
    answer = plane.ecs.run_task(taskDefinition="t")
    assert answer["tasks"] == []
    assert {failure["reason"] for failure in answer["failures"]} == {"RESOURCE:GPU"}


def test_start_task_pins_gpus_of_the_named_host(plane: TasksPlane) -> None:
    add_host(plane, "a0")
    host = add_host(plane, "b0", "b1")
    plane.register("t", needs("GPU", "1"))
    started = plane.ecs.start_task(taskDefinition="t", containerInstances=[host])["tasks"]
    assert [gpus_of(plane.task(task["taskArn"])) for task in started] == [["b0"]]
    assert left(plane, host, "GPU") == ["b1"]


def test_named_resources_are_counted_like_memory(plane: TasksPlane) -> None:
    host = add_host(plane, licences=2)
    plane.register("t", needs("InferenceAccelerator", "device_1"), inferenceAccelerators=LICENCES)
    answer = plane.ecs.run_task(taskDefinition="t", count=3)
    assert len(answer["tasks"]) == 2
    assert [failure["reason"] for failure in answer["failures"]] == ["RESOURCE:licence"]
    assert left(plane, host, "licence") == 0
    plane.ecs.stop_task(task=answer["tasks"][0]["taskArn"])
    plane.report(answer["tasks"][0]["taskArn"], "STOPPED")
    assert left(plane, host, "licence") == 1
    other = {"inferenceAcceleratorOverrides": [{"deviceName": "device_1", "deviceType": "seat"}]}
    refused = plane.ecs.run_task(taskDefinition="t", overrides=other)["failures"]
    assert [failure["reason"] for failure in refused] == ["RESOURCE:seat"]


def test_a_host_that_comes_back_never_gives_a_held_gpu_twice_nor_one_it_lost(plane: TasksPlane) -> None:
    host = add_host(plane, "a0", "a1", licences=2)
    plane.register("t", needs("GPU", "1"))
    task = plane.run()
    assert gpus_of(task) == ["a0"]
    register(plane, host, "a2", licences=2)
    assert left(plane, host, "GPU") == ["a2"]
    register(plane, host, "a0", "a2", licences=2)
    assert left(plane, host, "GPU") == ["a2"]
    plane.report(task["taskArn"], "STOPPED")
    assert left(plane, host, "GPU") == ["a0", "a2"]


def test_a_host_cannot_come_back_with_less_than_its_tasks_hold(plane: TasksPlane) -> None:
    host = add_host(plane, licences=2)
    plane.register("t", needs("InferenceAccelerator", "device_1"), inferenceAccelerators=LICENCES)
    plane.ecs.run_task(taskDefinition="t", count=2)
    with pytest.raises(plane.ecs.exceptions.ClientException, match="its tasks hold 2 of licence, and it registers 1"):
        register(plane, host, licences=1)
    assert left(plane, host, "licence") == 0


def test_deregistering_by_force_gives_everything_back_once(plane: TasksPlane) -> None:
    host = add_host(plane, "a0", licences=1)
    plane.register("t", needs("GPU", "1"))
    task = plane.run()
    gone = plane.ecs.deregister_container_instance(containerInstance=host, force=True)["containerInstance"]
    assert [one["stringSetValue"] for one in gone["remainingResources"] if one["name"] == "GPU"] == [["a0"]]
    assert plane.task(task["taskArn"])["lastStatus"] == "STOPPED"


def test_fargate_runs_nothing_that_needs_a_device(plane: TasksPlane) -> None:
    plane.register("t", SMALL, **FARGATE)
    gpu = {"containerOverrides": [{"name": "main", "resourceRequirements": [{"type": "GPU", "value": "1"}]}]}
    with pytest.raises(plane.ecs.exceptions.ClientException, match="do not support resourceRequirements"):
        plane.ecs.run_task(taskDefinition="t", launchType="FARGATE", networkConfiguration=NETWORK, overrides=gpu)
