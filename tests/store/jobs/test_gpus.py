"""Jobs that need GPUs: each gets devices of its own, and one that no host could ever give them says so."""

from typing import Any

import pytest
from sqlalchemy import select

from state.devices import HostDevice
from state.task_definitions import get_task_definition
from tests.support.batch import EC2, FARGATE, FARGATE_CONTAINER, BatchPlane, refusal

GPUS = [{"name": "GPU", "type": "STRINGSET", "stringSetValue": ["GPU-0", "GPU-1", "GPU-2"]}]


@pytest.fixture
def plane(plane: BatchPlane) -> BatchPlane:
    plane.definition()
    return plane


@pytest.fixture
def hosted(plane: BatchPlane) -> BatchPlane:
    """An UNMANAGED environment with a host of 4 vCPU and three GPUs, and one without any."""
    plane.environment()
    plane.add_host(resources=GPUS)
    plane.add_host()
    plane.queue()
    return plane


def needs(count: int) -> dict[str, Any]:
    return {"containerOverrides": {"resourceRequirements": [{"type": "GPU", "value": str(count)}]}}


def held(plane: BatchPlane) -> dict[str, set[str]]:
    """The devices that tasks hold, by task."""
    found: dict[str, set[str]] = {}
    for device, task in plane.store.read(lambda s: s.execute(select(HostDevice.device, HostDevice.task_id)).all()):
        found.setdefault(task, set()).add(device)
    return found


def test_jobs_get_devices_of_their_own_and_give_them_back(hosted: BatchPlane) -> None:
    first, second, third = hosted.submit(**needs(2)), hosted.submit(**needs(1)), hosted.submit(**needs(1))
    hosted.settle()
    assert [hosted.status(job) for job in (first, second, third)] == ["STARTING", "STARTING", "RUNNABLE"]
    devices = held(hosted)
    assert {len(devices[hosted.task_of(job).id]) for job in (first,)} == {2}
    assert set().union(*devices.values()) == {"GPU-0", "GPU-1", "GPU-2"}
    [container] = hosted.task_of(first).containers
    assert set(container["gpuIds"]) == devices[hosted.task_of(first).id]
    assert hosted.job(third)["statusReason"].startswith("CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - ")
    hosted.finish(second)
    assert hosted.status(third) == "STARTING"
    hosted.finish(first)
    hosted.finish(third)
    assert held(hosted) == {}


def test_the_task_definition_of_the_job_asks_for_its_gpus(hosted: BatchPlane) -> None:
    job = hosted.submit(**needs(2))
    hosted.settle()
    task = hosted.task_of(job)
    definition = hosted.store.read(lambda session: get_task_definition(session, task.family, task.revision))
    assert definition is not None
    [container] = definition.body["containerDefinitions"]
    assert container["resourceRequirements"] == [{"type": "GPU", "value": "2"}]
    shown = {entry["type"]: entry["value"] for entry in hosted.job(job)["container"]["resourceRequirements"]}
    assert shown == {"VCPU": "1", "MEMORY": "512", "GPU": "2"}


def test_a_job_that_needs_more_gpus_than_any_host_has_says_so_and_holds_nobody_up(hosted: BatchPlane) -> None:
    large, small = hosted.submit(**needs(4)), hosted.submit(**needs(3))
    hosted.settle()
    assert hosted.status(small) == "STARTING"
    assert hosted.status(large) == "RUNNABLE"
    assert hosted.job(large)["statusReason"].startswith("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - ce: ")


def test_a_managed_environment_launches_no_host_for_a_job_that_needs_a_gpu(plane: BatchPlane) -> None:
    plane.environment(resources=EC2)
    plane.queue()
    job = plane.submit(**needs(1))
    plane.settle()
    assert plane.job(job)["statusReason"] == (
        "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - ce: the hosts it launches have no GPU"
    )
    described = plane.batch.describe_compute_environments(computeEnvironments=["ce"])["computeEnvironments"]
    assert described[0]["computeResources"]["desiredvCpus"] == 0


def test_fargate_offers_none(plane: BatchPlane) -> None:
    plane.environment(resources=FARGATE)
    plane.queue()
    plane.definition("light", container=FARGATE_CONTAINER, platformCapabilities=["FARGATE"])
    text = refusal(plane.batch.submit_job, jobName="j", jobQueue="queue", jobDefinition="light", **needs(1))
    assert text == "Fargate offers no GPU."
