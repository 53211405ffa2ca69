"""Addresses of ``awsvpc`` tasks: each is given to one task at a time, and running out of them is a refusal."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from kit.settings import Settings
from scheduler.ending import end_task
from scheduler.launch import Launch, Launched, launch_tasks
from scheduler.wiring import interface_of
from state.addresses import addresses_left, release_addresses, take_addresses
from state.clusters import Cluster
from state.container_instances import ContainerInstance
from state.store import Session, Store
from state.task_definitions import TaskDefinition
from state.tasks import Task, list_tasks

NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture
def store(store: Store) -> Store:
    def fill(session: Session) -> None:
        session.add(Cluster(name="default", created_at=NOW))
        session.flush()
        session.add(
            ContainerInstance(
                id="host",
                cluster="default",
                registered_cpu=4096,
                registered_memory=4096,
                free_cpu=4096,
                free_memory=4096,
                agent_connected=True,
                attributes=[{"name": "berth.awsvpc-cidr", "value": "10.9.0.0/29"}],
                registered_at=NOW,
            )
        )
        container = {"name": "c", "image": "i", "memory": 16}
        body = {"networkMode": "awsvpc", "containerDefinitions": [container]}
        session.add(TaskDefinition(family="t", revision=1, body=body, registered_at=NOW, registered_by="me"))

    store.transact(fill)
    return store


def launch(session: Session, count: int) -> Launched:
    definition = session.get_one(TaskDefinition, ("t", 1))
    asked = Launch(cluster="default", task_definition=definition, launch_type="EC2")
    return launch_tasks(session, asked, count, now=NOW, seed=1, settings=Settings())


def test_tasks_get_different_addresses_and_the_last_are_refused_when_none_is_left(store: Store) -> None:
    launched = store.transact(lambda session: launch(session, 7))
    tasks = store.read(lambda session: list_tasks(session, launched.ids))
    addresses = [(interface_of(task) or {})["privateIPv4Address"] for task in tasks]
    assert sorted(addresses) == [f"10.9.0.{number}" for number in range(2, 7)]
    assert launched.missing == 2
    assert launched.refused is not None
    assert launched.refused.text() == "addresses: 1 asked, 0 free on host (1 host)"


def test_an_ended_task_gives_its_address_back(store: Store) -> None:
    def end_one_and_launch_another(session: Session) -> Launched:
        first = session.get_one(Task, launch(session, 5).ids[0])
        end_task(session, first, now=NOW, because="enough")
        return launch(session, 1)

    assert len(store.transact(end_one_and_launch_another).ids) == 1


def test_hosts_that_share_a_network_share_its_addresses(store: Store) -> None:
    def join(session: Session) -> None:
        room = {"registered_cpu": 4096, "registered_memory": 4096, "free_cpu": 4096, "free_memory": 4096}
        attributes = [{"name": "berth.awsvpc-cidr", "value": "10.9.0.0/29"}]
        session.add(
            ContainerInstance(
                id="twin", cluster="default", agent_connected=True, attributes=attributes, registered_at=NOW, **room
            )
        )

    store.transact(join)
    launched = store.transact(lambda session: launch(session, 8))
    assert (len(launched.ids), launched.missing) == (5, 3)
    assert launched.refused is not None
    assert "addresses: 1 asked, 0 free on" in launched.refused.text()
    left = store.read(lambda session: session.scalars(select(ContainerInstance.free_memory)).all())
    assert sum(left) == 2 * 4096 - 5 * 16


def test_the_lowest_free_address_is_next_whoever_gave_it_back(store: Store) -> None:
    network = "10.9.0.0/22"

    def take(*ids: str) -> list[str]:
        return list(store.transact(lambda session: take_addresses(session, network, ids)).values())

    assert take(*(f"t{number}" for number in range(600)))[-1] == "10.9.2.89"
    assert store.read(lambda session: addresses_left(session, [network, "10.8.0.0/30"])) == {
        network: 1021 - 600,
        "10.8.0.0/30": 1,
    }
    store.transact(lambda session: release_addresses(session, ["t7", "t300", "nobody"]))
    assert take("a", "b", "c") == ["10.9.0.9", "10.9.1.46", "10.9.2.90"]
    assert take("b") == ["10.9.1.46"]
    assert len(take(*(f"u{number}" for number in range(500)))) == 1021 - 601
    assert take("late") == []
    store.transact(lambda session: release_addresses(session, ["u0"]))
    assert take("late") == ["10.9.2.91"]
