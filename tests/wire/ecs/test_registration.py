"""Registering hosts through boto3: whoever repeats a registration that got no answer is the same host."""

from typing import Any

import pytest
from botocore.exceptions import ClientError
from sqlalchemy import select

from kit.clock import SystemClock
from state.capacities import Capacity
from state.container_instances import ContainerInstance
from tests.support.tasks import TasksPlane

RESOURCES = [
    {"name": "CPU", "type": "INTEGER", "integerValue": 1024},
    {"name": "MEMORY", "type": "INTEGER", "integerValue": 2048},
]


def register(plane: TasksPlane, token: str, *, memory: int = 2048, **attributes: str) -> str:
    attributes["berth.registration"] = token
    answer = plane.client("ecs").register_container_instance(
        cluster="default",
        totalResources=[RESOURCES[0], {**RESOURCES[1], "integerValue": memory}],
        attributes=[{"name": name, "value": value} for name, value in attributes.items()],
    )
    return str(answer["containerInstance"]["containerInstanceArn"])


def instances(plane: TasksPlane) -> list[ContainerInstance]:
    return list(plane.store.read(lambda session: session.scalars(select(ContainerInstance)).all()))


def test_a_registration_that_got_no_answer_and_is_repeated_is_one_host(plane: TasksPlane) -> None:
    first = register(plane, "token-1")
    assert register(plane, "token-1", memory=4096) == first
    [instance] = instances(plane)
    assert (instance.registered_memory, instance.free_memory) == (4096, 4096)


def test_another_token_is_another_host(plane: TasksPlane) -> None:
    assert register(plane, "token-1") != register(plane, "token-2")
    assert len(instances(plane)) == 2


def test_a_deregistered_host_registers_anew_under_its_old_token(plane: TasksPlane) -> None:
    first = register(plane, "token-1")
    plane.client("ecs").deregister_container_instance(containerInstance=first)
    assert register(plane, "token-1") != first


def test_the_host_of_a_capacity_that_registers_twice_is_given_its_task_once(plane: TasksPlane) -> None:
    def ask(session: Any) -> None:
        session.add(
            Capacity(
                id="c1", provisioner="fake", cluster="default", purpose="compute-environment", status="LAUNCHED",
                cpu=1024, memory=2048, requested_at=SystemClock().now(), launched_at=SystemClock().now(),
            )
        )  # fmt: skip

    plane.store.transact(ask)
    first = register(plane, "token-1", **{"berth.capacity": "c1"})
    assert register(plane, "token-1", **{"berth.capacity": "c1"}) == first
    [instance] = instances(plane)
    capacity = plane.store.read(lambda session: session.get_one(Capacity, "c1"))
    assert (capacity.status, capacity.container_instance_id) == ("ACTIVE", instance.id)


@pytest.mark.parametrize("network", ["nonsense", "10.0.0.1/24", "10.0.0.0/33"])
def test_a_network_that_is_none_is_refused(plane: TasksPlane, network: str) -> None:
    with pytest.raises(ClientError, match="must be a network"):
        register(plane, "token", **{"berth.awsvpc-cidr": network})
    assert instances(plane) == []


def test_what_no_column_holds_is_refused(plane: TasksPlane) -> None:
    with pytest.raises(ClientError, match="at most 255 characters"):
        register(plane, "token", **{"berth.host": "h" * 256})
    with pytest.raises(ClientError, match="at most 128 characters"):
        register(plane, "t" * 129)
    assert instances(plane) == []
