"""GPUs and named resources through boto3: registered by hosts, asked for by tasks, and what is refused."""

from typing import Any

import pytest

from tests.support.tasks import CAPABLE, FARGATE, SIZES, SMALL, TasksPlane


def gpus(*ids: str) -> dict[str, Any]:
    return {"name": "GPU", "type": "STRINGSET", "stringSetValue": [*ids]}


def amount(name: str, value: int, kind: str = "INTEGER") -> dict[str, Any]:
    return {
        "name": name,
        "type": kind,
        {"INTEGER": "integerValue", "LONG": "longValue"}.get(kind, "doubleValue"): value,
    }


def host(plane: TasksPlane, *resources: dict[str, Any], **members: Any) -> dict[str, Any]:
    answer = plane.ecs.register_container_instance(totalResources=[*SIZES, *resources], attributes=CAPABLE, **members)
    found: dict[str, Any] = answer["containerInstance"]
    return found


def needs(*requirements: tuple[str, str], **members: Any) -> dict[str, Any]:
    return {
        **SMALL,
        "resourceRequirements": [{"type": kind, "value": value} for kind, value in requirements],
        **members,
    }


def refusal(plane: TasksPlane, *containers: dict[str, Any], **members: Any) -> str:
    with pytest.raises(plane.ecs.exceptions.ClientException) as refused:
        plane.register("t", *containers, **members)
    return str(refused.value.response["Error"]["Message"])


def shown(resources: list[dict[str, Any]], name: str) -> Any:
    found = next(resource for resource in resources if resource["name"] == name)
    return found[{"INTEGER": "integerValue", "LONG": "longValue", "STRINGSET": "stringSetValue"}[found["type"]]]


def test_hosts_show_their_devices_and_resources_registered_and_left(plane: TasksPlane) -> None:
    made = host(plane, gpus("GPU-b", "GPU-a"), amount("licence", 3), amount("scratch", 2**40, "LONG"))
    for resources in (made["registeredResources"], made["remainingResources"]):
        assert shown(resources, "GPU") == ["GPU-b", "GPU-a"]
        assert (shown(resources, "licence"), shown(resources, "scratch")) == (3, 2**40)


@pytest.mark.parametrize(
    ("resource", "text"),
    [
        (gpus("a", "a"), "the same GPU is given twice"),
        (gpus("a,b"), "'a,b' is not the id of a GPU"),
        (gpus(""), "is not the id of a GPU"),
        (gpus(*(f"gpu-{n}" for n in range(1001))), "at most 1000 GPUs"),
        (amount("licence", -1), "licence must be between 0 and"),
        ({"name": "licence", "type": "DOUBLE", "doubleValue": 1.5}, "must be of type INTEGER or LONG, not 'DOUBLE'"),
        ({"name": "licence"}, "must be of type INTEGER or LONG, not ''"),
        (amount("bad name", 1), "'bad name' is not a name for a resource"),
        (amount("", 1), "'' is not a name for a resource"),
        (amount("CPU", 5), "CPU is given twice"),
        ({"name": "PORTS", "type": "STRINGSET", "stringSetValue": ["http"]}, "PORTS holds 'http', which is not a port"),
        ({"name": "PORTS_UDP", "type": "STRINGSET", "stringSetValue": ["65536"]}, "which is not a port"),
    ],
)
def test_resources_that_mean_nothing_are_refused(plane: TasksPlane, resource: dict[str, Any], text: str) -> None:
    with pytest.raises(plane.ecs.exceptions.ClientException) as refused:
        host(plane, resource)
    assert text in str(refused.value)


def test_a_host_may_come_back_with_other_devices_and_resources(plane: TasksPlane) -> None:
    arn = host(plane, gpus("a", "b"), amount("licence", 3))["containerInstanceArn"]
    again = host(plane, gpus("b", "c"), amount("seat", 1), containerInstanceArn=arn)
    assert shown(again["remainingResources"], "GPU") == ["b", "c"]
    names = {resource["name"] for resource in again["remainingResources"]}
    assert names == {"CPU", "MEMORY", "GPU", "seat"}


def test_task_definitions_keep_their_devices_and_fit_no_fargate(plane: TasksPlane) -> None:
    accelerators = [{"deviceName": "device_1", "deviceType": "eia2.medium"}]
    container = needs(("GPU", "2"), ("InferenceAccelerator", "device_1"))
    plane.register("t", container, networkMode="awsvpc", cpu="256", memory="512", inferenceAccelerators=accelerators)
    found = plane.ecs.describe_task_definition(taskDefinition="t")["taskDefinition"]
    assert found["inferenceAccelerators"] == accelerators
    assert found["containerDefinitions"][0]["resourceRequirements"] == container["resourceRequirements"]
    assert found["compatibilities"] == ["EC2"]
    assert "do not support GPU resource requirements" in refusal(plane, needs(("GPU", "1")), **FARGATE)
    assert "do not support inferenceAccelerators" in refusal(
        plane, needs(("InferenceAccelerator", "device_1")), inferenceAccelerators=accelerators, **FARGATE
    )


@pytest.mark.parametrize(
    ("requirements", "text"),
    [
        ([("GPU", "0")], "Invalid number of GPUs '0'"),
        ([("GPU", "1.5")], "Invalid number of GPUs"),
        ([("GPU", "x" * 5000)], "Invalid number of GPUs"),
        ([("GPU", "ALL")], "ALL GPUs of a host are not supported"),
        ([("GPU", "1"), ("GPU", "2")], "only one resource requirement of type GPU"),
        ([("InferenceAccelerator", "other")], "'other', which is not in the task definition"),
        ([("InferenceAccelerator", "one"), ("InferenceAccelerator", "one")], "'one' twice"),
        ([], "'one' is not a resource requirement of any container"),
        ([("NeuronDevice", "ALL")], "type NeuronDevice are not supported by Berth"),
    ],
)
def test_requirements_are_refused_when(plane: TasksPlane, requirements: list[tuple[str, str]], text: str) -> None:
    accelerators = [{"deviceName": "one", "deviceType": "eia2.medium"}]
    assert text in refusal(plane, needs(*requirements), inferenceAccelerators=accelerators)


@pytest.mark.parametrize(
    ("accelerators", "text"),
    [
        ([{"deviceName": "", "deviceType": "x"}], "deviceName must have from 1 to 255"),
        ([{"deviceName": "one", "deviceType": ""}], "deviceType must have from 1 to 255"),
        ([{"deviceName": "one", "deviceType": "x" * 256}], "deviceType must have from 1 to 255"),
        ([{"deviceName": "one", "deviceType": "MEMORY"}], "deviceType cannot be MEMORY"),
        ([{"deviceName": "one", "deviceType": "x"}] * 2, "Duplicate inference accelerator name 'one'"),
    ],
)
def test_accelerators_are_refused_when(plane: TasksPlane, accelerators: list[dict[str, Any]], text: str) -> None:
    assert text in refusal(plane, needs(("InferenceAccelerator", "one")), inferenceAccelerators=accelerators)


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        ({"containerOverrides": [{"name": "main", **needs(("GPU", "no"))}]}, "Invalid number of GPUs 'no'"),
        (
            {"containerOverrides": [{"name": "main", **needs(("InferenceAccelerator", "x"))}]},
            "not in the task definition",
        ),
        ({"inferenceAcceleratorOverrides": [{"deviceName": "x", "deviceType": "y"}]}, "accelerator named x is not"),
    ],
)
def test_overrides_are_refused_when(plane: TasksPlane, overrides: dict[str, Any], text: str) -> None:
    plane.register("t", SMALL)
    for override in overrides.get("containerOverrides", ()):
        override.pop("image", None)
    with pytest.raises(plane.ecs.exceptions.ClientError) as refused:
        plane.ecs.run_task(taskDefinition="t", overrides=overrides)
    assert refused.value.response["Error"]["Code"] in ("ClientException", "InvalidParameterException")
    assert text in refused.value.response["Error"]["Message"]
