"""What a host has a number of, end to end: named resources and ranges of ports on a real engine, GPUs pinned to tasks.

No machine of the tests has a GPU: the ids are made up, and the host that accepts them has a simulated engine.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.app import Agent
from agent.identity import IdentityFile
from agent.runtime.simulated import Program, SimulatedRuntime
from agent.settings import build_parser, read_settings
from kit.clock import SystemClock
from tests.support.berth import RunningBerth, running_berth, until
from tests.support.engine import Engine
from tests.support.faults import ENDS_WHEN_TOLD
from tests.support.pages import served

SERVE = "for port in 8000 8001 8002; do httpd -p $port -h /www; done; exec sleep 600"
LICENCE = [{"deviceName": "device_1", "deviceType": "licence"}]


@pytest.fixture(scope="module")
def equipped(docker_engine: Engine) -> Iterator[RunningBerth]:
    """A Berth whose own host offers one licence, and a GPU that is not there."""
    with running_berth(docker_engine, resources="licence=1", gpus="TEST-GPU-0") as running:
        yield running


@pytest.fixture(scope="module")
def busybox(equipped: RunningBerth, busybox_image: str) -> str:
    return equipped.push(busybox_image, "e2e/busybox")


def register(berth: RunningBerth, family: str, image: str, *command: str, **members: Any) -> str:
    """A task definition of one small container; the members that are not a container's are the definition's."""
    own = {name: members.pop(name) for name in ("inferenceAccelerators",) if name in members}
    container = {"name": "main", "image": image, "memory": 16, "command": [*command], **ENDS_WHEN_TOLD, **members}
    berth.client("ecs").register_task_definition(family=family, containerDefinitions=[container], **own)
    return family


def seen(berth: RunningBerth, arn: str, status: str, cluster: str = "default") -> dict[str, Any]:
    """The task once it has the status."""

    def look() -> dict[str, Any] | None:
        task: dict[str, Any] = berth.client("ecs").describe_tasks(cluster=cluster, tasks=[arn])["tasks"][0]
        if status != "STOPPED":
            assert task["lastStatus"] != "STOPPED", task.get("stoppedReason")
        return task if task["lastStatus"] == status else None

    found = until(f"the task is {status}", look)
    assert found is not None
    return found


def left(berth: RunningBerth, name: str, cluster: str = "default") -> Any:
    """What the cluster's one host has left of a resource."""
    ecs = berth.client("ecs")
    arns = ecs.list_container_instances(cluster=cluster)["containerInstanceArns"]
    [host] = ecs.describe_container_instances(cluster=cluster, containerInstances=arns)["containerInstances"]
    resource = next(one for one in host["remainingResources"] if one["name"] == name)
    return resource["stringSetValue"] if name == "GPU" else resource["integerValue"]


def test_a_licence_is_one_tasks_at_a_time(equipped: RunningBerth, busybox: str) -> None:
    ecs = equipped.client("ecs")
    needs = [{"type": "InferenceAccelerator", "value": "device_1"}]
    family = register(
        equipped, "licensed", busybox, "sleep", "600", resourceRequirements=needs, inferenceAccelerators=LICENCE
    )
    assert left(equipped, "licence") == 1
    answer = ecs.run_task(taskDefinition=family, count=2)
    [task] = answer["tasks"]
    [failure] = answer["failures"]
    assert failure["reason"] == "RESOURCE:licence"
    seen(equipped, task["taskArn"], "RUNNING")
    assert left(equipped, "licence") == 0
    ecs.stop_task(task=task["taskArn"])
    seen(equipped, task["taskArn"], "STOPPED")
    assert left(equipped, "licence") == 1


def test_a_range_of_ports_is_served_where_describe_tasks_says(equipped: RunningBerth, busybox: str) -> None:
    ports = [{"containerPortRange": "8000-8002"}]
    family = register(equipped, "ranged", busybox, "sh", "-c", SERVE, portMappings=ports)
    ecs = equipped.client("ecs")
    arn = ecs.run_task(taskDefinition=family)["tasks"][0]["taskArn"]
    [binding] = seen(equipped, arn, "RUNNING")["containers"][0]["networkBindings"]
    assert (binding["containerPortRange"], binding["protocol"]) == ("8000-8002", "tcp")
    first, last = (int(port) for port in binding["hostPortRange"].split("-"))
    assert last - first == 2
    for port in range(first, last + 1):
        assert served(f"http://127.0.0.1:{port}/") == b"hello from berth\n"
    ecs.stop_task(task=arn)
    seen(equipped, arn, "STOPPED")


def test_an_engine_that_knows_no_gpu_fails_the_task_with_its_own_words(equipped: RunningBerth, busybox: str) -> None:
    assert left(equipped, "GPU") == ["TEST-GPU-0"]
    family = register(equipped, "gpu", busybox, "sleep", "600", resourceRequirements=[{"type": "GPU", "value": "1"}])
    arn = equipped.client("ecs").run_task(taskDefinition=family)["tasks"][0]["taskArn"]
    task = seen(equipped, arn, "STOPPED")
    assert task["stopCode"] == "TaskFailedToStart"
    assert 'could not select device driver "nvidia"' in task["containers"][0]["reason"]
    assert task["containers"][0]["gpuIds"] == ["TEST-GPU-0"]
    assert left(equipped, "GPU") == ["TEST-GPU-0"]


@contextmanager
def simulated_host(berth: RunningBerth, data: Path, *options: str) -> Iterator[SimulatedRuntime]:
    """An agent of cluster ``lab`` in this process, whose engine is simulated and takes any GPU."""
    given = ["--endpoint", berth.environment["AWS_ENDPOINT_URL"], "--data", str(data), "--cluster", "lab", *options]
    settings = read_settings(build_parser().parse_args(given), berth.environment)
    runtime = SimulatedRuntime(clock=SystemClock(), images={"train": Program()})
    file = IdentityFile(data)
    host = Agent(settings, file, file.load("lab"), runtime=runtime)
    thread = threading.Thread(target=host.run, name="simulated-host")
    thread.start()
    try:
        yield runtime
    finally:
        host.stop()
        thread.join(30)


def test_each_task_is_given_gpus_of_its_own(equipped: RunningBerth, tmp_path: Path) -> None:
    ecs = equipped.client("ecs")
    ecs.create_cluster(clusterName="lab")
    family = register(equipped, "train", "train", resourceRequirements=[{"type": "GPU", "value": "2"}])
    offered = [word for number in range(5) for word in ("--gpu", f"GPU-{number}")]
    options = (*offered, "--image-pull-behavior", "prefer-cached")
    with simulated_host(equipped, tmp_path, *options) as runtime:
        until(
            "the host joins",
            lambda: ecs.describe_clusters(clusters=["lab"])["clusters"][0]["registeredContainerInstancesCount"],
        )
        tasks = until(
            "the host takes two tasks", lambda: ecs.run_task(cluster="lab", taskDefinition=family, count=2)["tasks"]
        )
        assert len(tasks) == 2
        pinned = []
        for task in tasks:
            running = seen(equipped, task["taskArn"], "RUNNING", "lab")
            [container] = running["containers"]
            body = runtime.body_of(container["runtimeId"])
            [request] = body["HostConfig"]["DeviceRequests"]
            assert request == {"Driver": "nvidia", "DeviceIDs": container["gpuIds"], "Capabilities": [["gpu"]]}
            assert f"NVIDIA_VISIBLE_DEVICES={','.join(container['gpuIds'])}" in body["Env"]
            pinned += container["gpuIds"]
        assert len(pinned) == len({*pinned}) == 4
        assert {*left(equipped, "GPU", "lab")} == {f"GPU-{number}" for number in range(5)} - {*pinned}
        third = ecs.run_task(cluster="lab", taskDefinition=family)
        assert [failure["reason"] for failure in third["failures"]] == ["RESOURCE:GPU"]
        for task in tasks:
            ecs.stop_task(cluster="lab", task=task["taskArn"])
        for task in tasks:
            seen(equipped, task["taskArn"], "STOPPED", "lab")
        assert len(left(equipped, "GPU", "lab")) == 5
