"""Devices and named resources: no two tasks ever hold the same, and what is given back is given back once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError

from kit.settings import Settings
from scheduler.launch import Launch, launch_tasks
from state.clusters import Cluster
from state.container_instances import ContainerInstance
from state.devices import (
    HostDevice,
    HostResource,
    ResourceHeld,
    TakenAmount,
    TakenDevice,
    free_gpus,
    free_resources,
    register_resources,
    release_devices,
    take_devices,
    take_resources,
)
from state.store import Conflict, Session, Store, StoreBusy
from state.task_definitions import TaskDefinition
from state.tasks import Task

NOW = datetime(2030, 1, 1, tzinfo=UTC)
RESOURCES = [
    {"name": "CPU", "type": "INTEGER", "integerValue": 4096},
    {"name": "GPU", "type": "STRINGSET", "stringSetValue": ["gpu-b", "gpu-a", "gpu-c"]},
    {"name": "licence", "type": "INTEGER", "integerValue": 3},
]


@pytest.fixture
def store(store: Store) -> Store:
    def fill(session: Session) -> None:
        session.add(Cluster(name="default", created_at=NOW))
        session.flush()
        for name, resources in (("host", RESOURCES), ("plain", [])):
            session.add(
                ContainerInstance(
                    id=name,
                    cluster="default",
                    registered_cpu=4096,
                    registered_memory=4096,
                    free_cpu=4096,
                    free_memory=4096,
                    resources=resources,
                    registered_at=NOW,
                )
            )
        register_resources(session, "host", {"licence": 3})

    store.transact(fill)
    return store


def gpu(device: str, task: str) -> TakenDevice:
    return TakenDevice(container_instance_id="host", device=device, task_id=task)


def licences(amount: int, task: str) -> TakenAmount:
    return TakenAmount(container_instance_id="host", name="licence", amount=amount, task_id=task)


def left(store: Store) -> tuple[dict[str, tuple[str, ...]], dict[str, dict[str, int]]]:
    def look(session: Session) -> tuple[dict[str, tuple[str, ...]], dict[str, dict[str, int]]]:
        hosts = [session.get_one(ContainerInstance, name) for name in ("host", "plain")]
        return free_gpus(session, hosts), free_resources(session, hosts)

    return store.read(look)


def test_free_devices_keep_the_order_in_which_the_host_named_them(store: Store) -> None:
    assert left(store) == ({"host": ("gpu-b", "gpu-a", "gpu-c")}, {"host": {"licence": 3}})
    store.transact(lambda session: take_devices(session, [gpu("gpu-a", "one")]))
    assert left(store)[0] == {"host": ("gpu-b", "gpu-c")}


def test_a_device_is_never_given_to_two_tasks(store: Store) -> None:
    store.transact(lambda session: take_devices(session, [gpu("gpu-a", "one")]))
    with pytest.raises((StoreBusy, IntegrityError)):
        store.transact(lambda session: take_devices(session, [gpu("gpu-b", "two"), gpu("gpu-a", "two")]))
    assert left(store)[0] == {"host": ("gpu-b", "gpu-c")}


def test_no_more_of_a_resource_is_taken_than_there_is(store: Store) -> None:
    store.transact(lambda session: take_resources(session, [licences(1, "one"), licences(1, "two")]))

    def greedy(session: Session) -> str:
        try:
            take_resources(session, [licences(2, "three")])
        except Conflict as refused:
            session.rollback()
            return str(refused)
        return ""

    assert store.transact(greedy) == "not enough licence left on host"
    assert left(store)[1] == {"host": {"licence": 1}}


def test_what_ended_tasks_held_comes_back_once(store: Store) -> None:
    def take(session: Session) -> None:
        take_devices(session, [gpu("gpu-a", "one"), gpu("gpu-b", "one"), gpu("gpu-c", "two")])
        take_resources(session, [licences(1, "one"), licences(2, "two")])

    store.transact(take)
    assert left(store) == ({"host": ()}, {"host": {"licence": 0}})
    store.transact(lambda session: release_devices(session, ["one", "nobody"]))
    store.transact(lambda session: release_devices(session, ["one"]))
    assert left(store) == ({"host": ("gpu-b", "gpu-a")}, {"host": {"licence": 1}})
    store.transact(lambda session: release_devices(session, ["one", "two"]))
    assert left(store) == ({"host": ("gpu-b", "gpu-a", "gpu-c")}, {"host": {"licence": 3}})


def test_thousands_of_ended_tasks_give_back_in_one_call(store: Store) -> None:
    store.transact(lambda session: take_resources(session, [licences(3, "task-2500")]))
    store.transact(lambda session: release_devices(session, [f"task-{number}" for number in range(3000)]))
    assert left(store)[1] == {"host": {"licence": 3}}


def test_a_host_that_registers_again_keeps_what_its_tasks_hold(store: Store) -> None:
    store.transact(lambda session: take_resources(session, [licences(2, "one")]))
    store.transact(lambda session: register_resources(session, "host", {"licence": 5}))
    assert left(store)[1] == {"host": {"licence": 3}}
    for fewer in ({"licence": 1}, {}):
        with pytest.raises(ResourceHeld, match="its tasks hold 2 of licence"):
            store.transact(lambda session, fewer=fewer: register_resources(session, "host", fewer))
    store.transact(lambda session: release_devices(session, ["one"]))
    store.transact(lambda session: register_resources(session, "host", {}))
    assert left(store)[1] == {}


def test_launches_that_race_each_get_devices_of_their_own(store: Store) -> None:
    def register(session: Session) -> None:
        session.get_one(ContainerInstance, "host").agent_connected = True
        needs = [{"type": "GPU", "value": "1"}]
        container = {"name": "c", "image": "i", "memory": 16, "resourceRequirements": needs}
        body = {"containerDefinitions": [container]}
        session.add(TaskDefinition(family="t", revision=1, body=body, registered_at=NOW, registered_by="me"))

    def launch(session: Session) -> int:
        definition = session.get_one(TaskDefinition, ("t", 1))
        asked = Launch(cluster="default", task_definition=definition, launch_type="EC2")
        return launch_tasks(session, asked, 1, now=NOW, seed=1, settings=Settings()).missing

    store.transact(register)
    with ThreadPoolExecutor(4) as pool:
        missing = list(pool.map(lambda _: store.transact(launch), range(5)))
    assert sum(missing) == 2
    held = store.read(lambda session: session.execute(select(HostDevice.device, HostDevice.task_id)).all())
    assert {device for device, _ in held} == {"gpu-a", "gpu-b", "gpu-c"}
    assert len({task for _, task in held}) == 3
    told = store.read(lambda session: [(t.containers[0]["gpuIds"], t.id) for t in session.scalars(select(Task))])
    assert sorted(told) == sorted(([device], task) for device, task in held)


def test_a_host_that_is_forgotten_takes_its_resources_along(store: Store) -> None:
    store.transact(lambda session: session.execute(delete(ContainerInstance).where(ContainerInstance.id == "host")))
    assert store.read(lambda session: session.scalars(select(HostResource)).all()) == []
