"""Of equal hosts a launch takes one on which a task of the same revision has started, after restarts too."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta

from sqlalchemy import update

from kit.settings import Settings
from scheduler.fleets import Fleets
from scheduler.image_notes import READ_AGAIN
from scheduler.launch import Launch, launch_tasks
from state.store import Session, Store
from state.task_definitions import TaskDefinition
from state.tasks import Task
from tests.store.launching.conftest import HOSTS, NOW

SPREAD = ({"type": "spread", "field": "instanceId"},)
SEEDS = range(12)


def launch(
    session: Session, seed: int, *, fleets: Fleets | None = None, count: int = 1, family: str = "web", later: timedelta
) -> Sequence[str]:
    definition = session.get_one(TaskDefinition, (family, 1))
    asked = Launch(task_definition=definition, cluster="default", launch_type="EC2", strategy=SPREAD)
    now = NOW + later
    return launch_tasks(session, asked, count, now=now, seed=seed, settings=Settings(), fleets=fleets).ids


class Undone(Exception):
    """What was tried is rolled back, so that the next is tried under the same conditions."""


def tried(
    store: Store, seed: int, *, fleets: Fleets | None = None, family: str = "web", later: timedelta = timedelta()
) -> str:
    found: list[str] = []

    def attempt(session: Session) -> None:
        (task,) = launch(session, seed, fleets=fleets, family=family, later=later)
        found.append(session.get_one(Task, task).container_instance_id or "")
        raise Undone

    with suppress(Undone):
        store.transact(attempt)
    return found[-1]


def ran_on(store: Store, host: str, *, started: bool = True, ended: bool = True, family: str = "web") -> None:
    """A task of the family was placed on the host, and perhaps it started there, and perhaps that is over."""

    def write(session: Session) -> None:
        task = Task(
            id=f"{family}-{host}-{started}-{ended}",
            cluster="default",
            family=family,
            revision=1,
            launch_type="EC2",
            group=f"family:{family}",
            container_instance_id=host,
            cpu=100,
            memory=100,
            last_status="STOPPED" if ended else "RUNNING",
            desired_status="STOPPED" if ended else "RUNNING",
            created_at=NOW,
            started_at=NOW if started else None,
        )
        session.add(task)

    store.transact(write)


def test_of_equal_hosts_the_one_that_has_run_it_is_taken_by_a_process_that_has_just_begun(store: Store) -> None:
    assert len({tried(store, seed) for seed in SEEDS}) > 1
    ran_on(store, HOSTS[1])
    assert {tried(store, seed, fleets=Fleets()) for seed in SEEDS} == {HOSTS[1]}


def test_where_a_task_never_started_nothing_is_preferred(store: Store) -> None:
    ran_on(store, HOSTS[1], started=False)
    assert len({tried(store, seed) for seed in SEEDS}) > 1


def test_another_task_definition_is_no_reason(store: Store) -> None:
    ran_on(store, HOSTS[1], family="port")
    assert len({tried(store, seed) for seed in SEEDS}) > 1
    assert {tried(store, seed, family="port") for seed in SEEDS} == {HOSTS[1]}


def test_spread_goes_to_another_host_all_the_same(store: Store) -> None:
    ran_on(store, HOSTS[1], ended=False)
    assert HOSTS[1] not in {tried(store, seed) for seed in SEEDS}


def test_what_has_started_meanwhile_is_seen_after_a_while(store: Store) -> None:
    fleets = Fleets()
    assert len({tried(store, seed, fleets=fleets) for seed in SEEDS}) > 1
    ran_on(store, HOSTS[2])
    assert {tried(store, seed, fleets=fleets, later=READ_AGAIN) for seed in SEEDS} == {HOSTS[2]}
    store.transact(lambda session: session.execute(update(Task).values(started_at=None)))
    assert len({tried(store, seed, fleets=fleets, later=2 * READ_AGAIN) for seed in SEEDS}) > 1


def test_a_group_takes_the_hosts_that_have_run_it_first(store: Store) -> None:
    for host in HOSTS[1:]:
        ran_on(store, host)
    placed: list[str | None] = []

    def run(session: Session) -> None:
        ids = launch(session, 1, count=2, later=timedelta())
        placed.extend(session.get_one(Task, task).container_instance_id for task in ids)

    store.transact(run)
    assert sorted(placed, key=str) == list(HOSTS[1:])
