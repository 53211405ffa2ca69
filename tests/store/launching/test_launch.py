"""Launching in bulk: what is planned on a remembered view holds in the store, whoever else writes meanwhile."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from sqlalchemy import func, select, update

from kit.settings import Settings
from scheduler.ending import end_task, end_tasks
from scheduler.fleets import Fleets, View
from scheduler.launch import Launch, Launched, TaskExtra, launch_on, launch_tasks
from state.base import Event
from state.capacities import Capacity
from state.container_instances import ContainerInstance, HostPort
from state.store import Session, Store
from state.task_counts import TaskCount
from state.task_definitions import TaskDefinition
from state.tasks import Task, list_tasks
from tests.store.launching.conftest import HOSTS, NOW

PACK = ({"type": "binpack", "field": "memory"},)


def launch(
    session: Session,
    count: int,
    *,
    fleets: Fleets | None = None,
    family: str = "web",
    extras: Sequence[TaskExtra] = (),
    **members: Any,
) -> Launched:
    definition = session.get_one(TaskDefinition, (family, 1))
    usual = {"cluster": "default", "launch_type": "EC2", "strategy": PACK}
    asked = Launch(task_definition=definition, **{**usual, **members})
    return launch_tasks(session, asked, count, now=NOW, seed=1, settings=Settings(), fleets=fleets, extras=extras)


def hosts_of(store: Store) -> Counter[str | None]:
    return Counter(store.read(lambda session: session.scalars(select(Task.container_instance_id)).all()))


def free(store: Store) -> Mapping[str, tuple[int, int]]:
    rows = select(ContainerInstance.id, ContainerInstance.free_cpu, ContainerInstance.free_memory)
    return {host: (cpu, memory) for host, cpu, memory in store.read(lambda session: session.execute(rows).all())}


def test_tasks_hold_their_room_have_their_events_and_are_counted(store: Store) -> None:
    launched = store.transact(lambda session: launch(session, 25, group="service:web", deployment_id="d"))
    assert len(set(launched.ids)) == 25
    assert (launched.missing, launched.refused) == (0, None)
    tasks = store.read(lambda session: list_tasks(session, launched.ids))
    on = Counter(task.container_instance_id for task in tasks)
    assert sorted(on.values()) == [5, 10, 10]
    assert all(free(store)[host or ""] == (1000 - 100 * count, 1000 - 100 * count) for host, count in on.items())
    assert {(task.last_status, task.desired_status, task.group, task.version) for task in tasks} == {
        ("PENDING", "RUNNING", "service:web", 1)
    }
    assert len({container["id"] for task in tasks for container in task.containers}) == 25
    events = store.read(lambda session: session.scalars(select(Event)).all())
    assert {(event.entity, event.before, event.after, event.because, event.at) for event in events} == {
        (f"task/default/{task.id}", None, "PENDING", f"placed on {task.container_instance_id}", NOW) for task in tasks
    }
    cells = store.read(lambda session: session.scalars(select(TaskCount)).all())
    assert {(cell.container_instance_id, cell.deployment_id): cell.tasks for cell in cells} == {
        (host, "d"): count for host, count in on.items()
    }


def test_what_finds_no_room_is_missing_and_says_why(store: Store) -> None:
    launched = store.transact(lambda session: launch(session, 33))
    assert (len(launched.ids), launched.missing) == (30, 3)
    assert launched.refused is not None
    assert launched.refused.text().startswith("memory: 100 MiB asked, 0 free on")
    again = store.transact(lambda session: launch(session, 2))
    assert (list(again.ids), again.missing) == ([], 2)


def test_each_task_gets_what_is_its_own(store: Store) -> None:
    extras = [TaskExtra(job_id=f"job-{n}/1", extra_environment={"N": str(n)}) for n in range(4)]
    launched = store.transact(
        lambda session: launch(session, 4, extras=extras, extra_environment={"ALL": "yes"}, overrides={"x": None})
    )
    tasks = {task.id: task for task in store.read(lambda session: list_tasks(session, launched.ids))}
    for number, task_id in enumerate(launched.ids):
        task = tasks[task_id]
        assert task.job_id == f"job-{number}/1"
        assert task.extra_environment["N"] == str(number)
        assert task.extra_environment["ALL"] == "yes"
        assert task.overrides == {"x": None}
        assert task.network_configuration is None


def test_a_fargate_task_and_the_capacity_it_waits_for_name_each_other(store: Store) -> None:
    launched = store.transact(lambda session: launch(session, 3, launch_type="FARGATE"))
    tasks = store.read(lambda session: list_tasks(session, launched.ids))
    wanted = store.read(lambda session: session.scalars(select(Capacity)).all())
    assert {(task.capacity_id, task.id) for task in tasks} == {(one.id, one.task_id) for one in wanted}
    assert {(one.status, one.purpose, one.cpu, one.memory) for one in wanted} == {("REQUESTED", "task", 100, 100)}
    assert {task.last_status for task in tasks} == {"PROVISIONING"}
    assert hosts_of(store) == {None: 3}


def test_host_ports_are_given_once(store: Store) -> None:
    launched = store.transact(lambda session: launch(session, 5, family="port"))
    assert (len(launched.ids), launched.missing) == (3, 2)
    assert launched.refused is not None
    assert launched.refused.text().startswith("host port")
    taken = store.read(lambda session: session.scalars(select(HostPort)).all())
    assert {(row.container_instance_id, row.port, row.task_id) for row in taken} == {
        (task.container_instance_id, 8080, task.id)
        for task in store.read(lambda session: list_tasks(session, launched.ids))
    }


def test_a_view_follows_what_others_write(store: Store) -> None:
    ours, theirs = Fleets(), Fleets()
    first = store.transact(lambda session: launch(session, 30, fleets=ours))
    assert store.transact(lambda session: launch(session, 1, fleets=ours)).missing == 1

    def end_two(session: Session) -> None:
        for task_id in first.ids[:2]:
            end_task(session, session.get_one(Task, task_id), now=NOW, because="enough")

    store.transact(end_two)
    assert store.transact(lambda session: launch(session, 1, fleets=theirs)).missing == 0
    assert store.transact(lambda session: launch(session, 2, fleets=ours)).missing == 1
    assert set(free(store).values()) == {(0, 0)}


def test_a_host_that_drains_comes_or_goes_is_seen(store: Store) -> None:
    fleets = Fleets()
    store.transact(lambda session: launch(session, 1, fleets=fleets))

    def change(session: Session) -> None:
        session.get_one(ContainerInstance, "host-a").advance("DRAINING", at=NOW, because="told to")
        session.get_one(ContainerInstance, "host-b").advance("DEREGISTERING", at=NOW, because="told to")
        room = {"registered_cpu": 100, "registered_memory": 100, "free_cpu": 100, "free_memory": 100}
        session.add(ContainerInstance(id="host-d", cluster="default", agent_connected=True, registered_at=NOW, **room))

    store.transact(change)
    before = hosts_of(store)
    launched = store.transact(lambda session: launch(session, 12, fleets=fleets))
    assert launched.refused is not None
    assert "draining: 1 host" in launched.refused.text()
    after = hosts_of(store) - before
    assert after == {"host-c": 10 - before["host-c"], "host-d": 1}


def test_a_rolled_back_launch_leaves_no_false_view(store: Store) -> None:
    fleets = Fleets()

    def launch_and_fail(session: Session) -> None:
        assert launch(session, 30, fleets=fleets).missing == 0
        # The same transaction sees its own: nothing is left.
        assert launch(session, 1, fleets=fleets).missing == 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.transact(launch_and_fail)
    assert hosts_of(store) == {}
    assert store.transact(lambda session: launch(session, 30, fleets=fleets)).missing == 0


def test_who_places_past_the_view_misleads_nobody(store: Store) -> None:
    fleets = Fleets()

    def look(session: Session) -> None:
        with fleets.view(session, "default") as view:
            for host in HOSTS:
                view.fleet.drop(host)

    store.read(look)
    assert store.transact(lambda session: launch(session, 30, fleets=fleets)).missing == 0


class Meddled(Fleets):
    """Someone writes between each look and the launch: ``meddle`` gets the session and how many looks there were."""

    def __init__(self, meddle: Any) -> None:
        super().__init__()
        self._meddle = meddle
        self.looks = 0

    @contextmanager
    def view(self, session: Session, cluster: str, *, addresses: bool = True) -> Iterator[View]:
        self.looks += 1
        with super().view(session, cluster, addresses=addresses) as view:
            yield view
        self._meddle(session, self.looks)


def test_tasks_of_a_host_that_drains_before_the_write_go_elsewhere_and_the_others_stay(store: Store) -> None:
    def drain(session: Session, looks: int) -> None:
        if looks == 1:
            session.get_one(ContainerInstance, "host-b").advance("DRAINING", at=NOW, because="told to")
            session.flush()

    fleets = Meddled(drain)
    spread = ({"type": "spread", "field": "instanceId"},)
    launched = store.transact(lambda session: launch(session, 12, fleets=fleets, strategy=spread))
    assert (len(launched.ids), launched.missing, fleets.looks) == (12, 0, 2)
    assert hosts_of(store) == {"host-a": 6, "host-c": 6}
    assert free(store) == {"host-a": (400, 400), "host-b": (1000, 1000), "host-c": (400, 400)}


def test_tasks_that_are_turned_away_each_time_are_missing_and_leave_nothing_behind(store: Store) -> None:
    class Squeezed(Meddled):
        """There is room whenever someone looks, and none when it is to be written."""

        @contextmanager
        def view(self, session: Session, cluster: str, *, addresses: bool = True) -> Iterator[View]:
            session.execute(update(ContainerInstance).values(free_memory=1000, revision=1000 + self.looks))
            with super().view(session, cluster, addresses=addresses) as view:
                yield view

    def squeeze(session: Session, looks: int) -> None:
        session.execute(update(ContainerInstance).values(free_memory=0, revision=looks))

    fleets = Squeezed(squeeze)
    launched = store.transact(lambda session: launch(session, 6, fleets=fleets, family="port"))
    assert (list(launched.ids), launched.missing, fleets.looks) == ([], 6, 3)
    assert launched.refused is not None
    assert launched.refused.failures()
    left = [select(func.count()).select_from(table) for table in (Task, HostPort, Event, TaskCount)]
    assert store.read(lambda session: [session.scalar(rows) for rows in left]) == [0, 0, 0, 0]


def test_tasks_for_named_hosts_see_each_other(store: Store) -> None:
    def start(session: Session) -> tuple[Sequence[str], int]:
        definition = session.get_one(TaskDefinition, ("port", 1))
        asked = Launch(cluster="default", task_definition=definition, launch_type="EC2")
        named = ["host-a", "host-a", "host-b", "nowhere"]
        ids, refused = launch_on(session, asked, named, now=NOW, settings=Settings())
        return ids, len(refused)

    ids, refused = store.transact(start)
    assert (len(ids), refused) == (2, 1)
    assert hosts_of(store) == {"host-a": 1, "host-b": 1}


def test_processes_that_launch_at_once_fill_the_hosts_and_no_more(store: Store, store_url: str) -> None:
    stores = [store, *(Store(store_url) for _ in range(3))]
    fleets = [Fleets() for _ in stores]

    def one(number: int) -> int:
        at = number % len(stores)
        return len(stores[at].transact(lambda session: launch(session, 3, fleets=fleets[at])).ids)

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(one, range(16))) == 30
    assert hosts_of(store) == dict.fromkeys(HOSTS, 10)
    assert set(free(store).values()) == {(0, 0)}
    for other in stores[1:]:
        other.close()


def test_room_adds_up_while_some_launch_and_others_end(store: Store, store_url: str) -> None:
    stores = [store, Store(store_url)]
    spread = ({"type": "spread", "field": "instanceId"},)

    def end(session: Session, *, ids: Sequence[str]) -> None:
        end_tasks(session, list_tasks(session, ids), now=NOW, because="enough")

    def come_and_go(number: int) -> int:
        ours, fleets = stores[number % 2], Fleets()
        count = 0
        for _ in range(4):
            ids = ours.transact(lambda session: launch(session, 5, fleets=fleets, strategy=spread)).ids
            ours.transact(partial(end, ids=ids))
            count += len(ids)
        return count

    with ThreadPoolExecutor(6) as pool:
        launched = sum(pool.map(come_and_go, range(6)))
    # Together they never hold more than there is, so nobody is turned away.
    assert launched == 6 * 4 * 5
    assert free(store) == dict.fromkeys(HOSTS, (1000, 1000))
    assert store.read(lambda session: session.scalar(select(func.sum(TaskCount.tasks)))) == 0
    assert store.read(lambda session: session.scalar(select(func.count()).where(Task.last_status == "STOPPED"))) == (
        launched
    )
    stores[1].close()


def test_exactly_the_agents_that_got_tasks_are_woken(store: Store) -> None:
    heard: list[str] = []
    for host in HOSTS:
        store.wakes.listen(f"agent:{host}", partial(heard.append, host))
    store.transact(lambda session: launch(session, 7))
    assert heard == list(hosts_of(store))
