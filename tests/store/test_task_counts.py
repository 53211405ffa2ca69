"""Counts move with the tasks: whoever writes, however often, whatever is rolled back."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest
from sqlalchemy import func, select

from scheduler.ending import end_task, stop_tasks
from state.clusters import Cluster
from state.container_instances import ContainerInstance
from state.counts import count_clusters, count_deployments
from state.store import Session, Store
from state.task_counts import (
    Cell,
    TaskCount,
    cell_of,
    forget_empty_cells,
    groups_by_host,
    move_counts,
    tally_hosts,
)
from state.tasks import Task
from tests.support.counts import counts_amiss

NOW = datetime(2030, 1, 1, tzinfo=UTC)
CELL = Cell("c", "h1", "service:web", "d1", "EC2", "", "PENDING", "RUNNING", "UNKNOWN")


@pytest.fixture
def store(store: Store) -> Store:
    sizes = {"registered_cpu": 4096, "registered_memory": 4096, "free_cpu": 0, "free_memory": 0}

    def fill(session: Session) -> None:
        session.add(Cluster(name="c", status="ACTIVE", created_at=NOW))
        session.flush()
        for host in ("h1", "h2"):
            session.add(ContainerInstance(id=host, cluster="c", registered_at=NOW, **sizes))

    store.transact(fill)
    return store


def task(name: str, **members: Any) -> Task:
    usual: dict[str, Any] = {
        "cluster": "c",
        "family": "web",
        "revision": 1,
        "launch_type": "EC2",
        "group": "service:web",
    }
    usual |= {"deployment_id": "d1", "cpu": 1, "memory": 1, "last_status": "PENDING", "created_at": NOW}
    return Task(id=name, **{**usual, **members})


def amiss(store: Store) -> list[str]:
    return store.read(lambda session: list(counts_amiss(session)))


def cells(store: Store) -> dict[tuple[str, str], int]:
    rows = store.read(lambda session: session.execute(select(TaskCount)).scalars().all())
    return {(row.container_instance_id, row.last_status): row.tasks for row in rows if row.tasks}


def test_a_task_is_counted_where_it_is_all_its_life(store: Store) -> None:
    store.transact(lambda session: session.add_all([task("a", container_instance_id="h1"), task("b")]))
    assert cells(store) == {("h1", "PENDING"): 1, ("", "PENDING"): 1}

    def run(session: Session) -> None:
        own = session.get_one(Task, "b")
        own.container_instance_id = "h2"
        own.advance("RUNNING", at=NOW, because="its containers run")
        session.flush()
        own.health_status = "HEALTHY"

    store.transact(run)
    assert cells(store) == {("h1", "PENDING"): 1, ("h2", "RUNNING"): 1}
    store.transact(lambda session: end_task(session, session.get_one(Task, "b"), now=NOW, because="it exited"))
    assert cells(store) == {("h1", "PENDING"): 1}
    store.transact(lambda session: session.delete(session.get_one(Task, "a")))
    assert cells(store) == {} and amiss(store) == []


def test_a_task_that_is_read_anew_before_it_moves_is_counted_once(store: Store) -> None:
    store.transact(lambda session: session.add(task("a")))

    def run(session: Session) -> None:
        own = session.get_one(Task, "a")
        session.expire(own)
        own.last_status = "RUNNING"
        session.flush()
        session.refresh(own, with_for_update=True)
        own.last_status, own.last_status = "STOPPED", "RUNNING"

    store.transact(run)
    assert cells(store) == {("", "RUNNING"): 1} and amiss(store) == []


def test_what_is_rolled_back_was_never_counted(store: Store) -> None:
    store.transact(lambda session: session.add(task("a")))

    def fail(session: Session) -> None:
        session.add(task("b"))
        session.get_one(Task, "a").last_status = "RUNNING"
        session.flush()
        raise KeyError("an error after the write")

    with pytest.raises(KeyError):
        store.transact(fail)
    assert cells(store) == {("", "PENDING"): 1} and amiss(store) == []


def test_part_of_a_transaction_can_be_rolled_back(store: Store) -> None:
    def half(session: Session) -> None:
        session.add(task("a"))
        with pytest.raises(KeyError), session.begin_nested():
            session.add(task("b"))
            session.flush()
            raise KeyError("the inner part fails")

    store.transact(half)
    assert cells(store) == {("", "PENDING"): 1} and amiss(store) == []


def test_statements_move_counts_by_what_came_and_went(store: Store) -> None:
    running = CELL._replace(last_status="RUNNING")
    store.transact(lambda session: move_counts(session, {CELL: 5}))
    store.transact(lambda session: move_counts(session, {CELL: -2, running: 2}))
    assert cells(store) == {("h1", "PENDING"): 3, ("h1", "RUNNING"): 2}
    # Whoever ends tasks need not know that STOPPED ones are not counted.
    store.transact(lambda session: move_counts(session, {running: -2, CELL._replace(last_status="STOPPED"): 2}))
    assert cells(store) == {("h1", "PENDING"): 3}


def test_cells_at_nothing_are_forgotten_and_may_come_back(store: Store) -> None:
    store.transact(lambda session: move_counts(session, {CELL: 2}))
    store.transact(lambda session: move_counts(session, {CELL: -2}))
    store.transact(forget_empty_cells)
    assert store.read(lambda session: session.scalar(select(func.count()).select_from(TaskCount))) == 0
    store.transact(lambda session: move_counts(session, {CELL: 1}))
    store.transact(forget_empty_cells)
    assert cells(store) == {("h1", "PENDING"): 1}


def test_writers_of_the_same_cells_at_the_same_time_lose_nothing(store: Store) -> None:
    names = [CELL._replace(container_instance_id=host) for host in ("h1", "h2", "")]

    def write(number: int) -> None:
        # Told in any order: the keys are written in one.
        mixed = Random(number).sample(names, len(names))
        for _ in range(20):
            store.transact(lambda session: move_counts(session, dict.fromkeys(mixed, 1)))
            store.transact(lambda session: forget_empty_cells(session) if number == 0 else None)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert set(cells(store).values()) == {80}


def test_counts_are_read_per_cluster_deployment_and_host(store: Store) -> None:
    rows = [task(f"r{n}", container_instance_id="h1", last_status="RUNNING") for n in range(3)]
    rows += [task("p", last_status="PROVISIONING", launch_type="FARGATE", deployment_id="d2")]
    rows += [task("x", container_instance_id="h1", desired_status="STOPPED", last_status="RUNNING", group="family:x")]
    rows += [task("s", last_status="STOPPED"), task("g", container_instance_id="h2", group="family:x")]
    store.transact(lambda session: session.add_all(rows))
    cluster = store.read(lambda session: count_clusters(session, ["c"]))["c"]
    assert (cluster.tasks_in("RUNNING"), cluster.tasks_in("PENDING"), cluster.instances) == (4, 2, 2)
    assert cluster.tasks["FARGATE", "PENDING"] == 1
    deployments = store.read(lambda session: count_deployments(session, ["d1", "d2", "d3"]))
    assert deployments == {"d1": {"RUNNING": 4, "PENDING": 1}, "d2": {"PENDING": 1}, "d3": {}}
    assert store.read(lambda session: tally_hosts(session, ["h1", "h2"])) == {
        "h1": {"RUNNING": 4},
        "h2": {"PENDING": 1},
    }
    groups = store.read(lambda session: groups_by_host(session, "c"))
    assert groups == {"h1": {"service:web": 3}, "h2": {"family:x": 1}}
    assert store.read(lambda session: groups_by_host(session, "c", ["h2"])) == {"h2": {"family:x": 1}}


@pytest.mark.parametrize("seed", range(5))
def test_any_course_of_many_tasks_leaves_counts_that_are_true(store: Store, seed: int) -> None:
    rng = Random(seed)
    names = [f"t{number}" for number in range(12)]
    store.transact(
        lambda session: session.add_all(
            task(name, deployment_id=rng.choice([None, "d1", "d2"]), group=rng.choice([None, "g"])) for name in names
        )
    )

    def course(session: Session) -> None:
        for name in rng.sample(names, 5):
            own = session.get_one(Task, name)
            match rng.randrange(5):
                case 0 if own.last_status != "STOPPED":
                    own.container_instance_id = rng.choice(["h1", "h2", None])
                case 1 if own.last_status == "PENDING":
                    own.advance("RUNNING", at=NOW, because="its containers run")
                case 2:
                    own.health_status = rng.choice(["HEALTHY", "UNHEALTHY", "UNKNOWN"])
                case 3:
                    stop_tasks(session, [own], now=NOW, code="UserInitiated", because="asked to")
                case 4:
                    end_task(session, own, now=NOW, because="it exited")
            if rng.random() < 0.3:
                session.flush()

    for _ in range(8):
        store.transact(course)
        assert amiss(store) == []


def test_a_new_task_is_counted_as_what_the_table_makes_of_it() -> None:
    deltas = Counter([cell_of(task("a"))])
    assert deltas == {Cell("c", "", "service:web", "d1", "EC2", "", "PENDING", "RUNNING", "UNKNOWN"): 1}
