"""Services of many tasks: a look costs what there is to decide, not what runs; starts and stops come in turns."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, insert, select, update

from scheduler.fleets import Fleets
from scheduler.launch import Launch, Launched, launch_tasks
from scheduler.loops import service_moves, service_names
from scheduler.loops.service_grounds import Grounds
from scheduler.loops.service_sight import Sight, look
from scheduler.rollout import count_tasks
from state.base import Base
from state.service_tasks import _shares
from state.services import Deployment
from state.store import Session
from state.task_counts import Cell, move_counts
from state.tasks import Task
from tests.support.services import CHECKED, ServicesPlane


def fill(plane: ServicesPlane, count: int, hosts: Sequence[str], *, ago: float = 3600, **members: Any) -> None:
    """The service's newest deployment has so many running tasks, spread over the hosts."""
    started = plane.loop_clock.now() - timedelta(seconds=ago)

    def write(session: Session) -> None:
        deployment = session.scalars(select(Deployment).where(Deployment.status == "PRIMARY")).one()
        usual: dict[str, Any] = {"cluster": "default", "family": "web", "revision": 1, "launch_type": "EC2"}
        usual |= {"group": "service:web", "service_name": "web", "deployment_id": deployment.id, "started_by": "x"}
        usual |= {"cpu": 0, "memory": 0, "desired_status": "RUNNING", "last_status": "RUNNING", "created_at": started}
        usual |= {"started_at": started, "health_status": "UNKNOWN", "version": 1, "judged": False, "overrides": {}}
        usual |= {"extra_environment": {}, "containers": [], "attachments": [], "attributes": [], "tags": [], **members}
        prefix = f"{started.timestamp():.0f}"[-6:]
        rows = [
            {**usual, "id": f"{prefix}-{number}", "container_instance_id": hosts[number % len(hosts)]}
            for number in range(count)
        ]
        session.execute(insert(Task), rows)
        deltas: dict[Cell, int] = {}
        for row in rows:
            cell = Cell(
                "default",
                row["container_instance_id"],
                "service:web",
                row["deployment_id"],
                "EC2",
                "",
                row["last_status"],
                row["desired_status"],
                row["health_status"],
            )
            deltas[cell] = deltas.get(cell, 0) + 1
        move_counts(session, deltas)

    plane.store.transact(write)


def see(plane: ServicesPlane) -> Sight:
    now = plane.loop_clock.now()
    [sight] = plane.store.read(lambda session: look(session, {}, Grounds(Fleets()), now=now, settle=_settle(plane)))
    return sight


def effort(plane: ServicesPlane) -> tuple[int, int]:
    """Statements, and instructions of SQLite's machine, that a look takes."""
    statements = 0
    steps = 0

    def count_statement(*_: Any) -> None:
        nonlocal statements
        statements += 1

    def count_step() -> int:
        nonlocal steps
        steps += 10
        return 0

    now = plane.loop_clock.now()

    def work(session: Session) -> None:
        driver = session.connection().connection.driver_connection
        assert driver is not None
        driver.set_progress_handler(count_step, 10)
        try:
            look(session, {}, Grounds(Fleets()), now=now, settle=_settle(plane))
        finally:
            driver.set_progress_handler(None, 0)

    event.listen(plane.store.engine, "before_cursor_execute", count_statement)
    plane.store.read(work)
    event.remove(plane.store.engine, "before_cursor_execute", count_statement)
    return statements, steps


def named(sight: Sight) -> int:
    """How many tasks were read one by one."""
    return sum("/" not in task.id for task in sight.service.tasks)


def test_a_look_at_healthy_tasks_takes_as_much_for_many_as_for_few(sqlite_url: str) -> None:
    plane = ServicesPlane(sqlite_url)
    plane.register()
    hosts = [plane.add_host() for _ in range(3)]
    plane.create(20)
    fill(plane, 20, hosts)
    few = effort(plane)
    plane.update(desiredCount=4020)
    fill(plane, 4000, hosts, ago=7200)
    many = effort(plane)
    assert many[0] == few[0]
    assert many[1] <= few[1] * 1.1 + 100
    sight = see(plane)
    assert named(sight) == 0 and len(sight.service.tasks) == 1
    assert count_tasks(sight.service.tasks) == 4020
    plane.close()


@pytest.mark.parametrize("wish", ["scale in", "deploy", "delete", "drain", "sicken", "fail"])
def test_a_look_at_many_tasks_among_which_to_choose_reads_a_bite(
    sqlite_url: str, wish: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_names, "FEW", 10)
    monkeypatch.setattr(service_names, "BITE", 20)
    efforts = []
    for size in (400, 4000):
        plane = ServicesPlane(sqlite_url.replace("store.db", f"{size}.db"))
        plane.register(CHECKED)
        hosts = [plane.add_host() for _ in range(6)]
        plane.create(size)
        fill(plane, size, hosts, health_status="HEALTHY")
        match wish:
            case "scale in":
                plane.update(desiredCount=size - 30)
            case "deploy":
                plane.update(forceNewDeployment=True)
            case "delete":
                plane.ecs.delete_service(service="web", force=True)
            case "drain":
                plane.ecs.update_container_instances_state(containerInstances=hosts[:1], status="DRAINING")
            case "sicken":
                plane.check(plane.tasks()[:5], "UNHEALTHY")
            case "fail":
                plane.store.transact(lambda session: session.execute(update(Deployment).values(failed_tasks=2)))
        efforts.append(effort(plane))
        assert 0 < named(see(plane)) <= 2 * service_names.BITE
        plane.close()
    # Hosts are few, so that each holds ten times as many: whoever sorted or scanned those would be found out.
    assert efforts[1][0] == efforts[0][0]
    if wish not in ("scale in", "sicken"):
        assert efforts[1][1] <= efforts[0][1] * 2 + 1000


def test_what_has_not_settled_is_counted_apart(plane: ServicesPlane) -> None:
    host = plane.add_host()
    plane.create(12)
    fill(plane, 7, [host])
    fill(plane, 3, [host], ago=3)
    fill(plane, 2, [host], ago=1)
    tasks = see(plane).service.tasks
    young = [task for task in tasks if task.id.endswith("/settling")]
    assert [(task.count, task.started_at) for task in young] == [(5, plane.loop_clock.now() - timedelta(seconds=3))]
    assert count_tasks(tasks) == 12
    assert plane.step() == plane.loop_clock.now() + _settle(plane) - timedelta(seconds=3)
    plane.tick(seconds=41)
    plane.step()
    assert plane.messages()[-1] == "(service web) has reached a steady state."


def test_health_of_tasks_that_need_none_is_told_apart_from_settling(plane: ServicesPlane) -> None:
    host = plane.add_host()
    plane.create(9)
    fill(plane, 4, [host])
    fill(plane, 3, [host], ago=3)
    fill(plane, 2, [host], ago=2, health_status="HEALTHY")
    found = {(task.healthy, task.id.endswith("/settling")): task.count for task in see(plane).service.tasks}
    assert found == {(None, False): 4, (None, True): 3, (True, False): 2}


def test_many_tasks_are_started_in_turns(plane: ServicesPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_moves, "MOST_STARTED", 12)
    plane.add_host(memory=64 * 40)
    plane.create(30)
    woken: list[bool] = []
    plane.store.wakes.listen("services", lambda: woken.append(True))
    counts = []
    for _ in range(4):
        plane.step()
        counts.append((len(plane.tasks()), len(woken)))
    assert counts == [(12, 1), (24, 2), (30, 2), (30, 2)]
    assert plane.messages()[-1].startswith("(service web) has started 6 tasks: (task ")
    assert " and 2 more." in plane.messages()[0]


def test_what_was_refused_is_not_tried_again_until_something_changes(plane: ServicesPlane) -> None:
    plane.add_host(memory=128)
    plane.create(5)
    plane.step(3)
    assert len(plane.tasks()) == 2
    version = plane.store.read(lambda session: _version(session))
    plane.step(3)
    assert plane.store.read(lambda session: _version(session)) == version, "nothing is written while nothing changes"
    plane.add_host(memory=128)
    plane.step()
    assert len(plane.tasks()) == 4
    plane.update(desiredCount=2)
    plane.update(desiredCount=5)
    plane.crash(plane.tasks()[:1])
    plane.step()
    assert len(plane.tasks()) == 4, "the room of the task that ended is taken"


def test_what_was_refused_is_tried_again_after_a_while_in_any_case(
    plane: ServicesPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    def launch(session: Session, wanted: Launch, count: int, **members: Any) -> Launched:
        tried.append(count)
        return launch_tasks(session, wanted, count, **members)

    monkeypatch.setattr(service_moves, "launch_tasks", launch)
    plane.add_host(memory=128)
    plane.create(3)
    plane.step(5)
    assert tried == [3, 1]
    plane.tick(seconds=61)
    plane.step(5)
    assert tried == [3, 1, 1]


def test_scaling_in_a_large_service_leaves_the_rest_spread(
    plane: ServicesPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_names, "FEW", 10)
    monkeypatch.setattr(service_names, "BITE", 7)
    hosts = [plane.add_host() for _ in range(4)]
    plane.create(60)
    fill(plane, 40, hosts)
    fill(plane, 20, hosts[:1], ago=1800)
    plane.step()
    plane.update(desiredCount=20)
    for _ in range(30):
        plane.step()
        plane.run()
    left = plane.tasks()
    assert sorted(sum(task.container_instance_id == host for task in left) for host in hosts) == [5, 5, 5, 5]


def test_a_large_service_rolls_through_in_bites(plane: ServicesPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_names, "FEW", 6)
    monkeypatch.setattr(service_names, "BITE", 5)
    plane.add_host(memory=64 * 60)
    plane.create(20)
    plane.come_to_rest()
    plane.update(forceNewDeployment=True)
    for _ in range(25):
        plane.step()
        plane.run()
        plane.tick(seconds=41)
        assert sum(task.last_status == "RUNNING" for task in plane.tasks()) >= 20
    found = plane.service()
    assert [row["rolloutState"] for row in found["deployments"]] == ["COMPLETED"]
    assert found["runningCount"] == len(plane.tasks()) == 20


@pytest.mark.parametrize("health", ["UNHEALTHY", "UNKNOWN"])
def test_a_large_service_replaces_what_never_became_healthy(
    plane: ServicesPlane, health: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_names, "FEW", 6)
    monkeypatch.setattr(service_names, "BITE", 5)
    plane.register(CHECKED)
    plane.add_host(memory=64 * 60)
    plane.create(20, deploymentConfiguration={"minimumHealthyPercent": 100, "maximumPercent": 150})
    plane.step()
    plane.run(health="HEALTHY")
    plane.check(plane.tasks()[:10], health)
    plane.update(forceNewDeployment=True)
    for _ in range(20):
        plane.step()
        plane.run(health="HEALTHY")
    found = plane.service()
    assert [row["runningCount"] for row in found["deployments"]] == [20], "those that were healthy had to wait"


def test_a_large_service_is_deleted_in_bites(plane: ServicesPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_names, "FEW", 6)
    monkeypatch.setattr(service_names, "BITE", 5)
    plane.add_host(memory=64 * 60)
    plane.create(25)
    plane.come_to_rest()
    plane.ecs.delete_service(service="web", force=True)
    for _ in range(12):
        plane.step()
        plane.run()
    assert plane.service()["status"] == "INACTIVE" and plane.tasks() == []


def test_many_failures_are_judged_in_turns_and_forgiven_by_one_that_is_well(
    plane: ServicesPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_names, "FEW", 3)
    monkeypatch.setattr(service_names, "MOST_UNJUDGED", 4)
    plane.add_host(memory=64 * 60)
    plane.create(10)
    plane.step()
    plane.crash(plane.tasks())
    plane.step()
    assert plane.service()["deployments"][0]["failedTasks"] == 4
    plane.step(2)
    assert plane.service()["deployments"][0]["failedTasks"] == 10
    plane.tick(minutes=16)
    plane.step()
    plane.run()
    plane.tick(seconds=41)
    plane.step()
    assert plane.service()["deployments"][0]["failedTasks"] == 0


def test_shares_level_the_fullest_hosts() -> None:
    assert _shares({"a": 5, "b": 3, "c": 1}, 4) == {"a": 3, "b": 1}
    assert _shares({"a": 5, "b": 3}, 100) == {"a": 5, "b": 3}
    assert _shares({"a": 2, "b": 2, "c": 2}, 2) == {"a": 1, "b": 1}
    assert _shares({}, 2) == {}


def _settle(plane: ServicesPlane) -> timedelta:
    return timedelta(seconds=plane.settings.service_settle_seconds)


def _version(session: Session) -> Any:
    return session.execute(select(Deployment.updated_at, Deployment.id)).all(), session.execute(
        select(Base.metadata.tables["services"].c.version)
    ).all()
