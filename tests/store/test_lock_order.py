"""Every writer holds what it needs in one order, so that on PostgreSQL none waits for another in a circle."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, select

from orchestrator.agents.handshake import Handshake
from orchestrator.agents.presence import Presence
from orchestrator.agents.tcs import TelemetrySockets
from orchestrator.agents.usage_book import UsageBook
from scheduler.ending import end_tasks, stop_tasks
from scheduler.loops.capacities import CapacitiesLoop
from scheduler.loops.hosts import HostsLoop
from scheduler.provisioners import Wanted
from state.capacities import Capacity
from state.loop import Leases
from state.store import Session
from state.tasks import Task
from tests.support.batch import BatchPlane
from tests.support.loopback import Loopback
from tests.support.services import ServicesPlane, host_of
from tests.support.tasks import TasksPlane

ORDER = ("clusters", "tasks", "container_instances", "address_pools", "task_counts")
AWSVPC = {"awsvpcConfiguration": {"subnets": ["subnet-1"], "securityGroups": []}}
_HELD = re.compile(r"(?:UPDATE|DELETE FROM|INSERT INTO) (\w+)|FROM (\w+)\b.* FOR UPDATE", re.DOTALL)


class Held:
    """What statements have held, in the order in which each table was first held; ``before`` for the transactions
    that were committed since. ``lots`` says of each hold on hosts whether it was on all hosts of a cluster."""

    def __init__(self, plane: Loopback) -> None:
        self.tables: list[str] = []
        self.before: list[list[str]] = []
        self.lots: list[bool] = []
        event.listen(plane.store.engine, "before_cursor_execute", self._note)
        event.listen(plane.store.engine, "commit", self._turn)

    def _turn(self, connection: Any) -> None:
        if self.tables:
            self.before.append(self.tables)
            self.tables = []

    def _note(self, connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        found = _HELD.match(statement) or _HELD.search(statement)
        # New tasks are nobody else's yet.
        if found is None or statement.startswith("INSERT INTO tasks"):
            return
        table = found[1] or found[2]
        if table == "container_instances":
            self.lots.append("cluster IN" in statement)
        if table in ORDER and table not in self.tables:
            self.tables.append(table)


class Gone:
    """A provisioner of whose hosts nothing is left."""

    def running(self) -> frozenset[str]:
        return frozenset()

    def launch(self, wanted: Wanted) -> None:
        raise AssertionError

    def terminate(self, capacity_id: str) -> bool:
        return True


@pytest.fixture
def plane(filled_postgresql_url: str) -> Iterator[TasksPlane]:
    plane = TasksPlane(filled_postgresql_url)
    plane.add_host(memory=4096)
    plane.register("t", networkMode="awsvpc")
    yield plane
    plane.close()


def run(plane: TasksPlane, count: int = 1) -> list[str]:
    answer = plane.ecs.run_task(taskDefinition="t", count=count, networkConfiguration=AWSVPC)
    return [task["taskArn"] for task in answer["tasks"]]


def in_order(tables: list[str]) -> bool:
    return tables == sorted(tables, key=ORDER.index)


def test_a_launch(plane: TasksPlane) -> None:
    held = Held(plane)
    run(plane)
    assert held.before == [["clusters", "container_instances", "address_pools", "task_counts"]]


def test_a_wish_to_stop(plane: TasksPlane) -> None:
    [arn] = run(plane)
    held = Held(plane)
    plane.ecs.stop_task(task=arn)
    assert held.before == [["tasks", "container_instances", "task_counts"]]


@pytest.mark.parametrize("status", ["RUNNING", "STOPPED"])
def test_a_report(plane: TasksPlane, status: str) -> None:
    [arn] = run(plane)
    held = Held(plane)
    plane.report(arn, status)
    assert in_order(*held.before) and {"tasks", "task_counts"} <= set(*held.before)


def test_a_host_that_is_deregistered(plane: TasksPlane) -> None:
    [arn] = run(plane)
    host = plane.task(arn)["containerInstanceArn"]
    held = Held(plane)
    plane.ecs.deregister_container_instance(containerInstance=host, force=True)
    assert held.before == [list(ORDER)]


def test_tasks_that_end_and_others_that_are_to_stop(plane: TasksPlane) -> None:
    def end(session: Session) -> None:
        one, other = session.scalars(select(Task)).all()
        one.ask_to_stop(at=plane.clock.now(), code="TerminationNotice", because="a test")
        end_tasks(session, [one], now=plane.clock.now(), because="a test")
        stop_tasks(session, [other], now=plane.clock.now(), code="UserInitiated", because="a test")

    run(plane, 2)
    held = Held(plane)
    plane.store.transact(end)
    assert in_order(*held.before) and "address_pools" in held.before[0]


def test_health(plane: TasksPlane) -> None:
    [arn] = run(plane)
    host = plane.task(arn)["containerInstanceArn"].rsplit("/", 1)[-1]
    handshake = Handshake(plane.store, plane.clock, lambda _: None)
    sockets = TelemetrySockets(plane.store, handshake, UsageBook(plane.store, plane.clock))
    held = Held(plane)
    health = {"taskArn": arn, "containers": [{"containerName": "main", "healthStatus": "HEALTHY"}]}
    sockets.health(host, {"tasks": [health]})
    assert held.before == [["tasks", "task_counts"]]


def test_a_service_that_stops_tasks_and_starts_others(filled_postgresql_url: str) -> None:
    plane = ServicesPlane(filled_postgresql_url)
    plane.add_host()
    plane.register()
    plane.create(4, deploymentConfiguration={"minimumHealthyPercent": 50, "maximumPercent": 150})
    plane.come_to_rest()
    plane.register()
    plane.update(taskDefinition="web")
    held = Held(plane)
    plane.step()
    wishes = sorted(task.desired_status for task in plane.tasks())
    plane.close()
    assert wishes == ["RUNNING"] * 4 + ["STOPPED"] * 2
    assert held.lots[0], "hosts are stopped on and started on: all are held before the first is written"
    assert held.before == [["clusters", "tasks", "container_instances", "task_counts"]]


def test_a_service_whose_older_tasks_make_room(filled_postgresql_url: str) -> None:
    plane = ServicesPlane(filled_postgresql_url)
    plane.add_host(memory=128)
    plane.register()
    plane.create(2, deploymentConfiguration={"minimumHealthyPercent": 50, "maximumPercent": 200})
    plane.come_to_rest()
    plane.register()
    plane.update(taskDefinition="web")
    held = Held(plane)
    plane.step()
    wishes = sorted(task.desired_status for task in plane.tasks())
    plane.close()
    assert wishes == ["RUNNING", "STOPPED"], "there was no room for a start, so one goes"
    assert all(in_order(tables) for tables in held.before)
    assert ["tasks", "container_instances", "task_counts"] in held.before


def test_jobs_of_several_submissions(filled_postgresql_url: str) -> None:
    plane = BatchPlane(filled_postgresql_url)
    plane.furnish(hosts=2, cpu=1024)
    plane.submit(), plane.submit()
    held = Held(plane)
    plane.settle()
    count = len(plane.tasks())
    plane.close()
    assert count == 2
    assert all(in_order(tables) for tables in held.before) and held.lots[0]


def test_hosts_that_are_buried(filled_postgresql_url: str) -> None:
    plane = TasksPlane(filled_postgresql_url)
    host = plane.add_host(memory=4096).rsplit("/", 1)[-1]
    plane.register("t", networkMode="awsvpc")
    run(plane)
    now = plane.clock.now()
    sizes = {"provisioner": "local", "purpose": "compute-environment", "cpu": 1, "memory": 1, "requested_at": now}
    gone = Capacity(id="c", status="TERMINATING", cluster="default", container_instance_id=host, **sizes)
    plane.store.transact(lambda session: session.add(gone))
    leases = Leases(plane.store, plane.clock, "one")
    loop = CapacitiesLoop(plane.store, plane.clock, leases, {"local": Gone()})
    held = Held(plane)
    loop.step()
    [task] = plane.store.read(lambda session: session.scalars(select(Task)).all())
    plane.close()
    assert task.last_status == "STOPPED"
    assert held.before == [list(ORDER)]


def test_hosts_that_are_lost_while_others_go_away(filled_postgresql_url: str) -> None:
    """In two clusters at once: everything is held before the first of it is written."""
    plane = ServicesPlane(filled_postgresql_url)
    presence = Presence(plane.store, plane.loop_clock)
    loop = HostsLoop(plane.store, plane.loop_clock, Leases(plane.store, plane.loop_clock, "one"))
    plane.register()
    lost = []
    for cluster in ("default", "other"):
        plane.ecs.create_cluster(clusterName=cluster)
        lost.append(host_of(plane, cluster))
        plane.create(1, cluster=cluster)
        plane.come_to_rest()
        presence.arrived(host_of(plane, cluster), f"beside-{cluster}")
    for host in lost:
        presence.arrived(host, host)
    loop.step()
    for host in lost:
        presence.left(host, host, lost_after=timedelta(0))
    plane.add_host(seen_at=plane.loop_clock.now() - timedelta(hours=1))
    held = Held(plane)
    loop.step()
    statuses = [task.last_status for task in plane.tasks(alive=False)]
    plane.close()
    assert statuses == ["STOPPED"] * 2
    assert held.before[-1] == ["clusters", "tasks", "container_instances", "task_counts"]


def test_jobs_that_are_terminated_while_another_waits(filled_postgresql_url: str) -> None:
    plane = BatchPlane(filled_postgresql_url)
    plane.furnish(hosts=1, cpu=2048)
    running = [plane.submit(), plane.submit()]
    plane.settle()
    plane.submit()
    plane.settle()
    for job in running:
        plane.batch.terminate_job(jobId=job, reason=f"the end of {job}")
    held = Held(plane)
    plane.loops["jobs"].step()
    wishes = {task.desired_status for task in plane.tasks()}
    plane.close()
    assert wishes == {"STOPPED"}
    assert held.before == [["clusters", "tasks", "container_instances", "task_counts"]]


@pytest.mark.parametrize("hosts", [1, 2500])
def test_agents_that_are_still_here(plane: TasksPlane, hosts: int) -> None:
    """However many there are, the hosts of a share are held one after another in their order before any is written."""
    presence = Presence(plane.store, plane.clock)
    presence.arrived_together({f"connection-{number}": f"host-{number:05}" for number in range(hosts)})
    statements: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        statements.append("write" if statement.startswith("UPDATE") else "hold" if "FOR UPDATE" in statement else "")

    event.listen(plane.store.engine, "before_cursor_execute", note)
    presence.refresh()
    told = [statement for statement in statements if statement]
    assert told and told == sorted(told) and told.count("hold") == told.count("write") == 1
