"""Payloads: what a task definition says reaches the agent, and the agent reads it as it was meant."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent.tasks.payload import read_task
from agent.tasks.spec import ContainerSpec, TaskSpec
from kit.ids import Arns
from kit.settings import Settings
from orchestrator.agents.payloads import render_payload_task
from scheduler.launch import Launch
from scheduler.new_tasks import Mould, Place
from state.task_definitions import TaskDefinition
from state.tasks import Task

NOW = datetime(2030, 1, 1, tzinfo=UTC)
SETTINGS = Settings(registry_port=5050)


def new_task(launch: Launch, *, settings: Settings = SETTINGS, place: Place | None = None) -> Task:
    """The first task of the launch, as it would be read from the store."""
    mould = Mould(launch, now=NOW, settings=settings)
    own = mould.births(["a" * 32], places=[place] if place else [])[0]._asdict()
    documents = {name: json.loads(own.pop(name)) for name in ("containers", "attachments", "extra_environment")}
    return Task(**mould.alike, **own, **documents)


def payload(
    container: dict[str, Any],
    *,
    overrides: dict[str, Any] | None = None,
    settings: Settings = SETTINGS,
    **body: Any,
) -> dict[str, Any]:
    containers = [{"name": "main", "image": "i:1", "memory": 64, **container}]
    definition = TaskDefinition(
        family="f", revision=3, body={"containerDefinitions": containers, **body}, registered_at=NOW, registered_by="me"
    )
    launch = Launch(
        cluster="default",
        task_definition=definition,
        launch_type="EC2",
        overrides=overrides or {},
        extra_environment={"FROM": "berth"},
    )
    task = new_task(launch, settings=settings)
    return render_payload_task(task, definition, arns=Arns(), settings=settings)


def read(container: dict[str, Any], **rest: Any) -> tuple[TaskSpec, ContainerSpec]:
    """As the agent understands it."""
    task = read_task(payload(container, **rest), seq=1, cluster="default")
    return task, task.containers[-1]


def test_command_entry_point_ports_and_timeouts_arrive() -> None:
    task, container = read(
        {
            "command": ["a", "b"],
            "entryPoint": ["e"],
            "portMappings": [{"containerPort": 80, "hostPort": 0, "protocol": "udp"}],
            "stopTimeout": 5,
            "essential": False,
        }
    )
    assert (task.family, task.version, task.network_mode) == ("f", "3", "bridge")
    assert (container.command, container.entry_point) == (("a", "b"), ("e",))
    assert [(p.container_port, p.host_port, p.protocol) for p in container.port_mappings] == [(80, 0, "udp")]
    assert container.stop_timeout == timedelta(seconds=5)
    assert not container.essential


def test_environment_is_the_definitions_then_berths_then_the_overrides() -> None:
    _, container = read(
        {"environment": [{"name": "A", "value": "1"}, {"name": "FROM", "value": "definition"}]},
        overrides={"containerOverrides": [{"name": "main", "environment": [{"name": "A", "value": "2"}]}]},
    )
    assert container.environment == {"A": "2", "FROM": "berth"}


def test_tasks_that_are_to_reach_berth_are_told_where_and_in_which_region() -> None:
    settings = Settings(inject_endpoint=True, endpoint="http://berth.example:7070", region="eu-west-1")
    _, container = read({}, settings=settings)
    assert container.environment == {
        "FROM": "berth",
        "AWS_ENDPOINT_URL": "http://berth.example:7070",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }


def test_an_overriding_command_replaces_the_definitions() -> None:
    overrides = {"containerOverrides": [{"name": "main", "command": ["new"], "memory": 100}]}
    _, container = read({"command": ["old"]}, overrides=overrides)
    assert (container.command, container.memory) == (("new",), 100)


def test_what_the_engine_is_to_do_is_told_in_its_own_words() -> None:
    told = payload(
        {
            "user": "1000",
            "healthCheck": {"command": ["CMD", "true"], "interval": 7, "retries": 2},
            "memoryReservation": 32,
            "ulimits": [{"name": "nofile", "softLimit": 10, "hardLimit": 20}],
            "linuxParameters": {"capabilities": {"add": ["NET_ADMIN"]}, "initProcessEnabled": True},
            "logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "g"}},
            "readonlyRootFilesystem": True,
        }
    )["containers"][0]
    config = json.loads(told["dockerConfig"]["config"])
    host = json.loads(told["dockerConfig"]["hostConfig"])
    assert config["User"] == "1000"
    assert config["Healthcheck"] == {
        "Test": ["CMD", "true"],
        "Interval": 7_000_000_000,
        "Timeout": 5_000_000_000,
        "Retries": 2,
        "StartPeriod": 0,
    }
    assert host["MemoryReservation"] == 32 * 1024 * 1024
    assert host["Ulimits"] == [{"Name": "nofile", "Soft": 10, "Hard": 20}]
    assert host["CapAdd"] == ["NET_ADMIN"] and host["Init"] is True and host["ReadonlyRootfs"] is True
    assert host["LogConfig"] == {"Type": "awslogs", "Config": {"awslogs-group": "g"}}


@pytest.mark.parametrize(
    ("given", "told"), [(["read", "mknod"], "rm"), (["READ", "WRITE"], "rw"), ([], "rwm"), (None, "rwm")]
)
def test_a_devices_permissions_may_be_spelled_as_ecs_or_as_batch_does(given: list[str] | None, told: str) -> None:
    device = {"hostPath": "/dev/fuse", **({} if given is None else {"permissions": given})}
    sent = payload({"linuxParameters": {"devices": [device]}})["containers"][0]
    assert json.loads(sent["dockerConfig"]["hostConfig"])["Devices"] == [
        {"PathOnHost": "/dev/fuse", "PathInContainer": "/dev/fuse", "CgroupPermissions": told}
    ]


def test_mounts_and_volumes_arrive_together() -> None:
    task, container = read(
        {"mountPoints": [{"sourceVolume": "v", "containerPath": "/data", "readOnly": True}]},
        volumes=[{"name": "v", "host": {"sourcePath": "/srv"}}],
    )
    assert [(m.source_volume, m.container_path, m.read_only) for m in container.mount_points] == [("v", "/data", True)]
    assert (task.volumes[0].name, task.volumes[0].source_path) == ("v", "/srv")


def test_only_images_of_this_registry_are_pulled_with_a_token_of_ours() -> None:
    ours = ("127.0.0.1:5050/web:1", "123456789012.dkr.ecr.us-east-1.amazonaws.com/web")
    assert all("registryAuthentication" in payload({"image": image})["containers"][0] for image in ours)
    assert "registryAuthentication" not in payload({"image": "docker.io/library/web"})["containers"][0]


def test_an_awsvpc_task_is_told_its_address() -> None:
    definition = TaskDefinition(
        family="f",
        revision=1,
        body={"networkMode": "awsvpc", "containerDefinitions": [{"name": "main", "image": "i", "memory": 8}]},
        registered_at=NOW,
        registered_by="me",
    )
    task = new_task(
        Launch(cluster="default", task_definition=definition, launch_type="EC2"),
        place=Place("h", network="10.9.0.0/24", address="10.9.0.2"),
    )
    told = read_task(render_payload_task(task, definition, arns=Arns(), settings=SETTINGS), seq=1, cluster="default")
    assert told.interface is not None
    assert (told.interface.address, told.interface.gateway) == ("10.9.0.2", "10.9.0.1/24")


def test_gpus_and_ranges_of_ports_reach_the_containers_they_are_for() -> None:
    gpu = {"resourceRequirements": [{"type": "GPU", "value": "2"}]}
    containers = [
        {"name": "plain", "image": "i:1", "memory": 64},
        {"name": "main", "image": "i:1", "memory": 64, "portMappings": [{"containerPortRange": "80-89"}], **gpu},
        {"name": "side", "image": "i:1", "memory": 64, "resourceRequirements": [{"type": "GPU", "value": "1"}]},
    ]
    definition = TaskDefinition(
        family="f", revision=3, body={"containerDefinitions": containers}, registered_at=NOW, registered_by="me"
    )
    launch = Launch(cluster="default", task_definition=definition, launch_type="EC2")
    task = new_task(launch, place=Place(host="h", gpus=("GPU-c", "GPU-a", "GPU-b")))
    understood = read_task(
        render_payload_task(task, definition, arns=Arns(), settings=SETTINGS), seq=1, cluster="default"
    )
    assert {container.name: container.gpus for container in understood.containers} == {
        "plain": (),
        "main": ("GPU-c", "GPU-a"),
        "side": ("GPU-b",),
    }
    [mapping] = understood.containers[1].port_mappings
    assert (mapping.container_port, mapping.count) == (80, 10)
