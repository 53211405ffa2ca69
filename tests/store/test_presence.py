"""Presence: hosts are shown as connected while a socket of theirs is open, however many agents dial at once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from orchestrator.agents.presence import Presence
from state.container_instances import ContainerInstance
from tests.support.tasks import TasksPlane


@pytest.fixture
def plane(store_url: str) -> Iterator[TasksPlane]:
    plane = TasksPlane(store_url)
    yield plane
    plane.close()


def connections(plane: TasksPlane) -> dict[str, str | None]:
    """The open connection by host; None where the host is away."""
    columns = (ContainerInstance.id, ContainerInstance.agent_connected, ContainerInstance.connection_id)
    rows = plane.store.read(lambda session: session.execute(select(*columns)).all())
    assert all((connection is not None) == connected for _, connected, connection in rows)
    return {host: connection for host, _, connection in rows}


def test_an_agent_that_dialled_anew_is_not_taken_for_away_when_its_old_socket_closes(plane: TasksPlane) -> None:
    host = plane.add_host().rsplit("/", 1)[-1]
    presence = Presence(plane.store, plane.clock)
    presence.arrived(host, "old")
    presence.arrived(host, "new")
    presence.left(host, "old")
    assert connections(plane) == {host: "new"}
    presence.left(host, "new")
    assert connections(plane) == {host: None}


def test_agents_that_come_and_go_at_once_are_all_noted(plane: TasksPlane) -> None:
    hosts = [plane.add_host().rsplit("/", 1)[-1] for _ in range(12)]
    doors = [Presence(plane.store, plane.clock) for _ in range(2)]

    def come_and_go(number: int) -> None:
        host, presence = hosts[number], doors[number % 2]
        for turn in range(3):
            presence.arrived(host, f"{number}-{turn}")
            if turn < 2 or number % 3 == 0:
                presence.left(host, f"{number}-{turn}")

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(come_and_go, range(12)))

    expected = {host: None if number % 3 == 0 else f"{number}-2" for number, host in enumerate(hosts)}
    assert connections(plane) == expected


def test_many_may_arrive_in_one_transaction(plane: TasksPlane) -> None:
    hosts = [plane.add_host().rsplit("/", 1)[-1] for _ in range(3)]
    Presence(plane.store, plane.clock).arrived_together({f"socket-{host[-8:]}": host for host in hosts})
    assert connections(plane) == {host: f"socket-{host[-8:]}" for host in hosts}
