"""Ranges of ports through boto3: what each network mode allows, and what stands in a task definition afterwards."""

from typing import Any

import pytest

from tests.support.tasks import SMALL, TasksPlane


def register(plane: TasksPlane, *mappings: dict[str, Any], **members: Any) -> dict[str, Any]:
    container = {**SMALL, "portMappings": [*mappings]}
    answer = plane.ecs.register_task_definition(family="t", containerDefinitions=[container], **members)
    found: dict[str, Any] = answer["taskDefinition"]
    return found


def span(text: str, **members: Any) -> dict[str, Any]:
    return {"containerPortRange": text, **members}


def test_a_range_is_kept_as_it_was_registered_and_needs_an_agent_that_knows_ranges(plane: TasksPlane) -> None:
    found = register(plane, span("8000-8010", protocol="udp"), {"containerPort": 80})
    assert found["containerDefinitions"][0]["portMappings"] == [
        {"containerPortRange": "8000-8010", "protocol": "udp"},
        {"containerPort": 80, "hostPort": 0, "protocol": "tcp"},
    ]
    assert {"name": "ecs.capability.network.container-port-range"} in found["requiresAttributes"]
    plane.add_host()
    refused = plane.ecs.run_task(taskDefinition="t")["failures"]
    assert [failure["reason"] for failure in refused] == ["ATTRIBUTE"]
    plane.add_host(**{"ecs.capability.network.container-port-range": "yes"})
    assert plane.run()["lastStatus"] == "PENDING"


@pytest.mark.parametrize(
    "text", ["8000", "8010-8000", "8000-8000", "0-10", "65000-65536", "a-b", "1-2-3", "-5", "1 - 9"]
)
def test_a_range_has_two_ends_the_first_below_the_last(plane: TasksPlane, text: str) -> None:
    with pytest.raises(plane.ecs.exceptions.ClientException, match="Invalid containerPortRange"):
        register(plane, span(text))


@pytest.mark.parametrize(
    ("mappings", "text"),
    [
        ([span("80-90", containerPort=80)], "a containerPort or a containerPortRange"),
        ([span("80-90", hostPort=80)], "must have no hostPort"),
        ([span("80-90"), span("90-99")], "port 90/tcp is in more than one port mapping"),
        ([span("80-90"), {"containerPort": 85}], "port 85/tcp is in more than one port mapping"),
        ([span("10-99"), span("20-21"), span("50-60")], "port 20-21/tcp is in more than one"),
        ([span(f"{n}-{n + 1}") for n in range(1000, 1202, 2)], "at most 100 port ranges"),
        ([span("1000-2000")], "at most 1000 for a task in bridge mode"),
        ([{"containerPort": n, "hostPort": n} for n in range(1, 102)], "asks for 101 host ports, but at most 100"),
    ],
)
def test_mappings_are_refused_when(plane: TasksPlane, mappings: list[dict[str, Any]], text: str) -> None:
    with pytest.raises(plane.ecs.exceptions.ClientException, match=text):
        register(plane, *mappings)


def test_the_same_ports_of_the_other_protocol_and_of_another_container_are_others(plane: TasksPlane) -> None:
    register(plane, span("80-90"), span("80-90", protocol="udp"), {"containerPort": 91})
    two = [{**SMALL, "name": name, "portMappings": [span("80-90")]} for name in "ab"]
    plane.ecs.register_task_definition(family="two", containerDefinitions=two)
    for mode in ("host", "awsvpc"):
        with pytest.raises(plane.ecs.exceptions.ClientException, match="Host port 80-90/tcp is used by more than one"):
            plane.ecs.register_task_definition(family="two", networkMode=mode, containerDefinitions=two)


def test_a_range_of_the_host_itself_is_reserved_port_by_port(plane: TasksPlane) -> None:
    with pytest.raises(plane.ecs.exceptions.ClientException, match="asks for 101 host ports"):
        register(plane, span("8000-8100"), networkMode="host")
    register(plane, span("8000-8002"), span("8001-8002", protocol="udp"), networkMode="host")
    host = plane.add_host(**{"ecs.capability.network.container-port-range": "yes"})
    task = plane.run()
    again = plane.ecs.run_task(taskDefinition="t")["failures"]
    assert [failure["reason"] for failure in again] == ["RESOURCE:PORTS"]
    plane.report(task["taskArn"], "STOPPED")
    assert plane.run()["containerInstanceArn"] == host
    register(plane, span("1-65535"), networkMode="awsvpc")
