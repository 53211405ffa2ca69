"""Container instances through boto3: what agents register and what people do with it."""

from typing import Any

import pytest

from tests.support.tasks import TasksPlane

SIZES = [
    {"name": "CPU", "type": "INTEGER", "integerValue": 512},
    {"name": "MEMORY", "type": "INTEGER", "integerValue": 256},
    {"name": "PORTS", "type": "STRINGSET", "stringSetValue": ["22"]},
]


def describe(plane: TasksPlane, arn: str) -> dict[str, Any]:
    found: dict[str, Any] = plane.ecs.describe_container_instances(containerInstances=[arn])["containerInstances"][0]
    return found


def test_registration_echoes_what_was_sent_and_adds_the_zone(plane: TasksPlane) -> None:
    sent = [{"name": "rack", "value": "7"}, {"name": "ecs.capability.x"}]
    made = plane.ecs.register_container_instance(totalResources=SIZES, attributes=sent)["containerInstance"]
    assert made["status"] == "ACTIVE" and not made["agentConnected"]
    assert made["attributes"] == [*sent, {"name": "ecs.availability-zone", "value": "us-east-1a"}]
    names = [resource["name"] for resource in made["registeredResources"]]
    assert names == ["CPU", "MEMORY", "PORTS"]


def test_a_repeated_registration_with_its_token_is_one_host(plane: TasksPlane) -> None:
    attributes = [{"name": "berth.registration", "value": "t"}]
    first = plane.ecs.register_container_instance(totalResources=SIZES, attributes=attributes)
    again = plane.ecs.register_container_instance(totalResources=SIZES, attributes=attributes)
    assert first["containerInstance"]["containerInstanceArn"] == again["containerInstance"]["containerInstanceArn"]
    assert len(plane.ecs.list_container_instances()["containerInstanceArns"]) == 1


def test_an_agent_that_comes_back_keeps_its_host_and_what_is_reserved_there(plane: TasksPlane) -> None:
    host = plane.add_host(memory=256)
    plane.register()
    plane.run()
    bigger = [{**SIZES[0], "integerValue": 1024}, {**SIZES[1], "integerValue": 512}]
    again = plane.ecs.register_container_instance(totalResources=bigger, containerInstanceArn=host)
    assert again["containerInstance"]["containerInstanceArn"] == host
    assert plane.free(host) == {"CPU": 1024, "MEMORY": 512 - 64}
    with pytest.raises(plane.ecs.exceptions.ClientException, match="need more than"):
        plane.ecs.register_container_instance(
            totalResources=[SIZES[0], {**SIZES[1], "integerValue": 32}], containerInstanceArn=host
        )


@pytest.mark.parametrize("sizes", [[], SIZES[:1], [{**SIZES[0], "integerValue": 0}, SIZES[1]]])
def test_a_host_without_cpu_or_memory_is_refused(plane: TasksPlane, sizes: list[dict[str, Any]]) -> None:
    with pytest.raises(plane.ecs.exceptions.ClientException, match=r"CPU .* and MEMORY"):
        plane.ecs.register_container_instance(totalResources=sizes)


def test_a_reserved_port_is_never_given(plane: TasksPlane) -> None:
    plane.register(
        "t", {"name": "main", "image": "i", "memory": 8, "portMappings": [{"containerPort": 22, "hostPort": 22}]}
    )
    attributes = [{"name": "com.amazonaws.ecs.capability.docker-remote-api.1.18"}]
    made = plane.ecs.register_container_instance(totalResources=SIZES, attributes=attributes)["containerInstance"]
    plane.add_host()
    task = plane.run()
    assert task["containerInstanceArn"] != made["containerInstanceArn"]


def test_a_draining_host_takes_no_tasks_until_it_is_active_again(plane: TasksPlane) -> None:
    host = plane.add_host()
    plane.register()
    changed = plane.ecs.update_container_instances_state(containerInstances=[host], status="DRAINING")
    assert changed["containerInstances"][0]["status"] == "DRAINING"
    assert plane.ecs.run_task(taskDefinition="t")["tasks"] == []
    plane.ecs.update_container_instances_state(containerInstances=[host], status="ACTIVE")
    plane.run()


def test_a_host_with_tasks_leaves_only_by_force_and_its_tasks_end(plane: TasksPlane) -> None:
    host = plane.add_host()
    plane.register()
    arn = plane.run()["taskArn"]
    with pytest.raises(plane.ecs.exceptions.InvalidParameterException):
        plane.ecs.deregister_container_instance(containerInstance=host)
    gone = plane.ecs.deregister_container_instance(containerInstance=host, force=True)["containerInstance"]
    assert gone["status"] == "INACTIVE"
    task = plane.task(arn)
    assert (task["lastStatus"], task["stoppedReason"]) == ("STOPPED", "The container instance was deregistered.")
    assert plane.ecs.list_container_instances()["containerInstanceArns"] == []


def test_counts_ports_and_pages(plane: TasksPlane) -> None:
    hosts = {plane.add_host() for _ in range(3)}
    plane.register(
        "t", {"name": "main", "image": "i", "memory": 8, "portMappings": [{"containerPort": 1, "hostPort": 81}]}
    )
    host = plane.run()["containerInstanceArn"]
    found = describe(plane, host)
    assert (found["pendingTasksCount"], found["runningTasksCount"]) == (1, 0)
    pages = plane.ecs.get_paginator("list_container_instances").paginate(PaginationConfig={"PageSize": 2})
    assert {arn for page in pages for arn in page["containerInstanceArns"]} == hosts


def test_unknown_hosts_are_failures(plane: TasksPlane) -> None:
    answer = plane.ecs.describe_container_instances(containerInstances=["f" * 32])
    assert answer["failures"][0]["reason"] == "MISSING"


def test_capacity_nobody_waits_for_may_not_register(plane: TasksPlane) -> None:
    with pytest.raises(plane.ecs.exceptions.ClientException, match="No such capacity"):
        plane.ecs.register_container_instance(
            totalResources=SIZES, attributes=[{"name": "berth.capacity", "value": "f" * 32}]
        )


def test_agents_find_their_sockets_on_the_endpoint(plane: TasksPlane) -> None:
    found = plane.ecs.discover_poll_endpoint()
    assert found["endpoint"].endswith("/acs") and found["telemetryEndpoint"].endswith("/tcs")


def test_the_health_of_a_host_is_told_to_whoever_asks(plane: TasksPlane) -> None:
    host = plane.add_host()
    asked = plane.ecs.describe_container_instances(containerInstances=[host], include=["CONTAINER_INSTANCE_HEALTH"])
    told = asked["containerInstances"][0]["healthStatus"]
    assert told == {"overallStatus": "OK", "details": [{"type": "CONTAINER_RUNTIME", "status": "OK"}]}
    assert "healthStatus" not in describe(plane, host)
