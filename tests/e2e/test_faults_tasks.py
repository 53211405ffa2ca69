"""Tasks that cannot run, or end badly: each says why, in ECS's words, where a person looks for it."""

import socket
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support import faults
from tests.support.berth import RunningBerth, free_port

AWSVPC = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}


def why(task: dict[str, Any]) -> tuple[str, str]:
    """The stop code, and the reason of the first container or of the task."""
    return task["stopCode"], task["containers"][0].get("reason") or task["stoppedReason"]


def test_an_image_that_is_not_in_the_registry(berth: RunningBerth, image: str) -> None:
    missing = image.rpartition(":")[0] + ":never-pushed"

    task = faults.stopped(berth, faults.register(berth, "missing-tag", missing, "true"))

    code, reason = why(task)
    assert code == "TaskFailedToStart"
    assert reason.startswith("CannotPullContainerError") and "never-pushed" in reason
    assert task["stoppedReason"].startswith("CannotPullContainerError")
    assert "exitCode" not in task["containers"][0]


def test_a_repository_that_does_not_exist(berth: RunningBerth) -> None:
    missing = f"{berth.registry}/no/such/repository:1"

    task = faults.stopped(berth, faults.register(berth, "missing-repository", missing, "true"))

    code, reason = why(task)
    assert code == "TaskFailedToStart"
    assert reason.startswith("CannotPullContainerError") and "no/such/repository" in reason


def test_a_registry_that_nobody_answers_at(berth: RunningBerth) -> None:
    nowhere = f"127.0.0.1:{free_port()}/app:1"

    task = faults.stopped(berth, faults.register(berth, "nowhere", nowhere, "true"))

    code, reason = why(task)
    assert code == "TaskFailedToStart"
    assert reason.startswith("CannotPullContainerError") and "refused" in reason


def test_a_name_that_is_no_image(berth: RunningBerth) -> None:
    task = faults.stopped(berth, faults.register(berth, "no-image", "registry.invalid/app:1", "true"))

    code, reason = why(task)
    assert (code, reason.partition(":")[0]) == ("TaskFailedToStart", "CannotPullContainerError")


def test_a_command_that_the_shell_does_not_find(berth: RunningBerth, image: str) -> None:
    task = faults.stopped(berth, faults.register(berth, "exits-127", image, "sh", "-c", "no-such-command"))

    assert (task["stopCode"], task["stoppedReason"]) == (
        "EssentialContainerExited",
        "Essential container in task exited",
    )
    assert task["containers"][0]["exitCode"] == 127


def test_a_program_that_is_not_in_the_image(berth: RunningBerth, image: str) -> None:
    task = faults.stopped(berth, faults.register(berth, "no-program", image, "/no/such/program", linuxParameters={}))

    code, reason = why(task)
    assert code == "TaskFailedToStart"
    assert reason.startswith("CannotStartContainerError") and "/no/such/program" in reason
    assert task["stoppedReason"].startswith("CannotStartContainerError")


def test_a_container_that_takes_too_much_memory(berth: RunningBerth, image: str) -> None:
    # The engine forgets it at times where the container ends in the same moment.
    hog = ("sh", "-c", "(x=0123456789abcdef; while true; do x=$x$x; done); code=$?; sleep 1; exit $code")

    task = faults.stopped(berth, faults.register(berth, "hog", image, *hog))

    assert task["containers"][0]["exitCode"] == 137
    assert task["containers"][0]["reason"].startswith("OutOfMemoryError")
    assert task["stopCode"] == "EssentialContainerExited"


def test_a_container_that_ignores_sigterm_is_killed(berth: RunningBerth, image: str) -> None:
    stubborn = faults.register(berth, "stubborn", image, "sh", "-c", "trap '' TERM; while true; do sleep 1; done")
    arn = faults.run_one(berth, stubborn)
    faults.all_at(berth, "RUNNING", [arn])

    berth.client("ecs").stop_task(task=arn, reason="enough")

    (task,) = faults.all_at(berth, "STOPPED", [arn])
    assert task["containers"][0]["exitCode"] == 137
    assert (task["stopCode"], task["stoppedReason"]) == ("UserInitiated", "enough")
    length = task["executionStoppedAt"] - task["stoppingAt"]
    assert length.total_seconds() >= 1.9


def test_a_host_port_that_somebody_else_has(berth: RunningBerth, image: str) -> None:
    with socket.socket() as foreign:
        foreign.bind(("0.0.0.0", 0))
        foreign.listen()
        port = foreign.getsockname()[1]
        taken = faults.register(
            berth, "taken", image, "sleep", "600", portMappings=[{"containerPort": 80, "hostPort": port}]
        )

        task = faults.stopped(berth, taken)

    code, reason = why(task)
    assert code == "TaskFailedToStart"
    assert reason.startswith("CannotStartContainerError") and str(port) in reason


def test_a_host_port_that_another_task_has(berth: RunningBerth, image: str) -> None:
    port = free_port()
    family = faults.register(
        berth, "port-twice", image, "sleep", "600", portMappings=[{"containerPort": 80, "hostPort": port}]
    )
    first = faults.run_one(berth, family)

    answer = berth.client("ecs").run_task(taskDefinition=family)

    assert [failure["reason"] for failure in answer["failures"]] == ["RESOURCE:PORTS"]
    berth.client("ecs").stop_task(task=first)
    faults.all_at(berth, "STOPPED", [first])


@pytest.mark.parametrize(
    ("members", "reason"), [({"memory": 900_000}, "RESOURCE:MEMORY"), ({"cpu": 900_000}, "RESOURCE:CPU")]
)
def test_a_task_larger_than_any_host(berth: RunningBerth, image: str, members: dict[str, int], reason: str) -> None:
    family = faults.register(berth, f"too-large-{next(iter(members))}", image, "true", **members)

    answer = berth.client("ecs").run_task(taskDefinition=family)

    assert answer["tasks"] == []
    assert [failure["reason"] for failure in answer["failures"]] == [reason]
    (host,) = berth.client("ecs").list_container_instances()["containerInstanceArns"]
    assert answer["failures"][0]["arn"] == host


def test_a_cluster_without_hosts(berth: RunningBerth, image: str) -> None:
    ecs = berth.client("ecs")
    ecs.create_cluster(clusterName="empty")
    family = faults.register(berth, "hostless", image, "true")

    with pytest.raises(ClientError, match="No Container Instances were found in your cluster") as refused:
        ecs.run_task(cluster="empty", taskDefinition=family)

    assert refused.value.response["Error"]["Code"] == "InvalidParameterException"


def test_awsvpc_without_a_network_configuration(berth: RunningBerth, image: str) -> None:
    ecs = berth.client("ecs")
    container = {"name": "main", "image": image, "memory": 16}
    ecs.register_task_definition(family="vpc", networkMode="awsvpc", containerDefinitions=[container])

    with pytest.raises(ClientError, match="Network Configuration must be provided"):
        ecs.run_task(taskDefinition="vpc")


def test_sizes_that_fargate_does_not_have(berth: RunningBerth, image: str) -> None:
    ecs = berth.client("ecs")
    for cpu, memory in (("256", "4096"), ("300", "512"), ("1024", "1024"), ("many", "512")):
        with pytest.raises(ClientError) as refused:
            ecs.register_task_definition(
                family="odd",
                requiresCompatibilities=["FARGATE"],
                networkMode="awsvpc",
                cpu=cpu,
                memory=memory,
                containerDefinitions=[{"name": "main", "image": image}],
            )
        assert refused.value.response["Error"]["Code"] == "ClientException", (cpu, memory)


def test_a_fargate_task_whose_image_is_missing_ends_and_leaves_nothing(berth: RunningBerth) -> None:
    berth.client("ecs").register_task_definition(
        family="fargate-missing",
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu="256",
        memory="512",
        containerDefinitions=[{"name": "main", "image": f"{berth.registry}/no/such:1"}],
    )

    task = faults.stopped(berth, "fargate-missing", launchType="FARGATE", networkConfiguration=AWSVPC)

    assert why(task)[0] == "TaskFailedToStart"
    assert why(task)[1].startswith("CannotPullContainerError")
