"""Hosts that are lost: what services had there runs elsewhere in time, and nothing else is touched."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from orchestrator.agents.presence import Presence
from orchestrator.agents.report_desk import apply_reports
from scheduler.loops.hosts import PATIENCE, HostsLoop
from state.base import Event
from state.loop import Leases
from state.store import Session
from state.tasks import Task
from tests.support.services import WEB, ServicesPlane

AFTER = timedelta(seconds=7)


class Plane(ServicesPlane):
    """Services on hosts whose agents come and go."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.presence = Presence(self.store, self.loop_clock)
        self.hosts = HostsLoop(self.store, self.loop_clock, Leases(self.store, self.loop_clock, "one"))
        self.register()

    def join(self, **members: Any) -> str:
        host = self.add_host(**members)
        self.presence.arrived(host, host)
        return host

    def sole(self, count: int = 1) -> str:
        """A host that runs a service of so many tasks, and has another beside it."""
        host = self.join()
        self.create(count)
        self.come_to_rest()
        self.join()
        return host

    def on(self, host: str, *, alive: bool = True) -> list[Task]:
        return [task for task in self.tasks(alive=alive) if task.container_instance_id == host]

    def part(self, *hosts: str, after: timedelta | None = AFTER) -> None:
        for host in hosts:
            self.presence.left(host, host, lost_after=after)

    def pass_by(self, length: timedelta) -> None:
        """Time passes, and the loop looks when it said it would."""
        until = self.loop_clock.now() + length
        while self.loop_clock.now() < until:
            self.presence.refresh()
            latest = self.loop_clock.now() + self.hosts.every
            due = min(self.hosts.step() or latest, latest)
            self.loop_clock.tick(seconds=(min(due, until) - self.loop_clock.now()).total_seconds())
        self.hosts.step()


@pytest.fixture
def plane(store_url: str) -> Iterator[Plane]:
    plane = Plane(store_url)
    yield plane
    plane.close()


def test_a_lost_hosts_tasks_run_elsewhere_and_not_before_its_time(plane: Plane) -> None:
    first, second = plane.join(), plane.join()
    plane.create(4, placementStrategy=[{"type": "spread", "field": "instanceId"}])
    plane.come_to_rest()
    assert len(plane.on(first)) == len(plane.on(second)) == 2

    plane.part(first)
    plane.pass_by(AFTER - timedelta(seconds=1))
    assert len(plane.on(first)) == 2
    plane.pass_by(timedelta(seconds=1))
    lost = plane.on(first, alive=False)
    assert [task.last_status for task in lost] == ["STOPPED"] * 2
    assert lost[0].stop_code == "TerminationNotice"
    assert lost[0].stopped_reason == f"Host EC2 (instance {first}) terminated."
    plane.step()
    assert len(plane.on(second)) == 4


def test_an_agent_that_is_back_in_time_keeps_its_tasks(plane: Plane) -> None:
    host = plane.join()
    plane.create(2)
    plane.come_to_rest()

    plane.part(host)
    plane.pass_by(AFTER - timedelta(seconds=1))
    plane.presence.arrived(host, "another connection")
    plane.pass_by(timedelta(minutes=10))
    assert len(plane.on(host)) == 2


def test_what_nobody_would_replace_is_left_alone(plane: Plane) -> None:
    host = plane.join()
    plane.ecs.run_task(taskDefinition="web")
    plane.part(host)
    plane.pass_by(timedelta(hours=1))
    assert len(plane.on(host)) == 1


def test_agents_that_went_away_with_the_control_plane_get_time_to_come_back(plane: Plane) -> None:
    host = plane.sole()

    plane.part(host, after=None)
    plane.pass_by(PATIENCE - timedelta(seconds=1))
    assert len(plane.on(host)) == 1
    plane.pass_by(timedelta(seconds=20))
    assert plane.on(host) == []


def test_a_host_lost_while_nobody_looked_has_its_time_from_the_first_look_on(plane: Plane) -> None:
    host = plane.sole()

    plane.part(host)
    plane.tick(minutes=10)
    plane.pass_by(PATIENCE - timedelta(seconds=1))
    assert len(plane.on(host)) == 1
    plane.pass_by(timedelta(seconds=2))
    assert plane.on(host) == []


def test_many_hosts_away_at_once_are_waited_for(plane: Plane) -> None:
    hosts = [plane.join() for _ in range(4)]
    plane.create(4, placementStrategy=[{"type": "spread", "field": "instanceId"}])
    plane.come_to_rest()

    plane.part(*hosts[:3])
    plane.pass_by(PATIENCE)
    assert all(plane.on(host) for host in hosts)
    plane.pass_by(AFTER + timedelta(seconds=1))
    assert [bool(plane.on(host)) for host in hosts] == [False, False, False, True]


def test_those_that_went_with_many_are_waited_for_when_most_are_back(plane: Plane) -> None:
    """As when a control plane was too busy to hear its agents: they come back one after another."""
    hosts = [plane.join() for _ in range(6)]
    plane.create(6, placementStrategy=[{"type": "spread", "field": "instanceId"}])
    plane.come_to_rest()

    plane.part(*hosts)
    plane.hosts.step()
    for host in hosts[:5]:
        plane.presence.arrived(host, host[::-1])
    plane.pass_by(PATIENCE)
    assert all(plane.on(host) for host in hosts)
    plane.pass_by(AFTER)
    assert [bool(plane.on(host)) for host in hosts] == [True] * 5 + [False]


def test_where_nothing_could_run_elsewhere_the_hosts_are_waited_for(plane: Plane) -> None:
    host = plane.join()
    plane.create(1)
    plane.come_to_rest()

    plane.part(host)
    plane.pass_by(PATIENCE)
    assert len(plane.on(host)) == 1
    plane.pass_by(AFTER)
    assert plane.on(host) == []


def test_hosts_that_have_been_dead_for_long_hold_nobody_up(plane: Plane) -> None:
    dead = [plane.join() for _ in range(4)]
    plane.part(*dead)
    plane.pass_by(timedelta(hours=1))
    host = plane.sole()

    plane.part(host)
    plane.pass_by(AFTER)
    assert plane.on(host) == []


def test_hosts_are_never_lost_where_that_is_set(plane: Plane) -> None:
    host = plane.join()
    plane.create(1)
    plane.come_to_rest()
    plane.hosts = HostsLoop(
        plane.store, plane.loop_clock, Leases(plane.store, plane.loop_clock, "one"), lose_hosts=False
    )

    plane.part(host)
    plane.pass_by(timedelta(hours=1))
    assert len(plane.on(host)) == 1


def test_how_long_a_lost_hosts_copy_ran_on_is_told(plane: Plane) -> None:
    host = plane.sole()
    plane.part(host)
    plane.pass_by(AFTER)
    [task] = plane.on(host, alive=False)
    ended = plane.loop_clock.now() + timedelta(seconds=34)
    report: dict[str, Any] = {"task": task.id, "status": "STOPPED", "executionStoppedAt": ended, "containers": []}

    def submit(session: Session) -> Any:
        return apply_reports(session, [report], now=ended)

    for _ in range(2):
        assert plane.store.transact(submit) == [None]
    report |= {"executionStoppedAt": ended + timedelta(days=3000)}
    assert plane.store.transact(submit) == [None], "nothing has ended in times to come"
    [task] = plane.on(host, alive=False)
    assert task.execution_stopped_at == ended
    events = plane.store.read(lambda session: told(session, task))
    assert events.count("its copy on a host that was lost ran on for 34 s") == 1
    assert WEB["name"] == task.containers[0]["name"] and task.last_status == "STOPPED"


def told(session: Session, task: Task) -> list[str | None]:
    return list(session.scalars(select(Event.because).where(Event.entity == task.event_name())))
