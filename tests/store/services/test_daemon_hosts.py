"""DAEMON services keep to the hosts that their constraints name, as hosts change and as other tasks come and go."""

from typing import Any

import pytest

from scheduler.hosts_as_named import host_as_named
from scheduler.loops.daemon_hosts import Daemon, takes_daemon
from scheduler.placement import Host
from tests.support.services import NEEDED, ServicesPlane


def host(plane: ServicesPlane, **attributes: str) -> str:
    needed = [{"name": name, "value": ""} for name in NEEDED]
    return plane.add_host(attributes=[*needed, *({"name": n, "value": v} for n, v in attributes.items())])


def member_of(expression: str) -> list[dict[str, str]]:
    return [{"type": "memberOf", "expression": expression}]


def on(plane: ServicesPlane) -> list[str | None]:
    return sorted(task.container_instance_id or "" for task in plane.tasks() if task.service_name == "web")


def test_a_daemon_runs_only_where_its_constraint_says(plane: ServicesPlane) -> None:
    first, other = host(plane, rack="1"), host(plane, rack="2")
    plane.create(None, schedulingStrategy="DAEMON", placementConstraints=member_of("attribute:rack in [1, 3]"))
    plane.come_to_rest()
    assert on(plane) == [first]
    assert plane.service()["desiredCount"] == 1
    third = host(plane, rack="3")
    plane.come_to_rest()
    assert on(plane) == sorted([first, third])
    plane.ecs.put_attributes(attributes=[{"name": "rack", "value": "1", "targetId": other}])
    plane.ecs.put_attributes(attributes=[{"name": "rack", "value": "9", "targetId": third}])
    plane.come_to_rest()
    assert on(plane) == sorted([first, other])


def test_a_task_definitions_constraint_holds_for_a_daemon_too(plane: ServicesPlane) -> None:
    host(plane)
    second = host(plane, rack="2")
    plane.register(placementConstraints=member_of("attribute:rack exists"))
    plane.create(None, schedulingStrategy="DAEMON")
    plane.come_to_rest()
    assert on(plane) == [second]


def test_a_daemon_does_not_turn_its_own_constraint(plane: ServicesPlane) -> None:
    hosts = [host(plane), host(plane)]
    plane.create(None, schedulingStrategy="DAEMON", placementConstraints=member_of("runningTasksCount == 0"))
    plane.come_to_rest()
    assert on(plane) == sorted(hosts)
    before = {task.id for task in plane.tasks()}
    plane.come_to_rest()
    assert {task.id for task in plane.tasks()} == before


def test_a_daemon_can_keep_away_from_other_tasks(plane: ServicesPlane) -> None:
    busy = host(plane)
    plane.register(family="db")
    plane.ecs.run_task(taskDefinition="db", group="db")
    free = host(plane)
    plane.create(None, schedulingStrategy="DAEMON", placementConstraints=member_of("not (task:group == db)"))
    plane.come_to_rest()
    assert on(plane) == [free]
    assert {task.container_instance_id for task in plane.tasks() if task.group == "db"} == {busy}


def test_only_hosts_that_have_changed_are_read_and_asked_again(
    plane: ServicesPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts = [host(plane, rack="1") for _ in range(3)]
    plane.create(None, schedulingStrategy="DAEMON", placementConstraints=member_of("attribute:rack == 1"))
    plane.come_to_rest()
    read: list[str] = []
    asked: list[str] = []

    def reading(row: Any, **members: Any) -> Host:
        read.append(row.id)
        return host_as_named(row, **members)

    def asking(host: Host, daemon: Daemon, *, present: bool) -> bool:
        asked.append(host.id)
        return takes_daemon(host, daemon, present=present)

    monkeypatch.setattr("scheduler.loops.daemon_hosts.host_as_named", reading)
    monkeypatch.setattr("scheduler.loops.daemon_hosts.takes_daemon", asking)
    plane.step()
    assert (read, asked) == ([], [])
    plane.ecs.put_attributes(attributes=[{"name": "rack", "value": "2", "targetId": hosts[1]}])
    plane.step()
    assert (read, asked) == ([hosts[1]], [hosts[1]])
    plane.come_to_rest()
    assert on(plane) == sorted([hosts[0], hosts[2]])
    added = host(plane, rack="1")
    plane.come_to_rest()
    assert on(plane) == sorted([hosts[0], hosts[2], added])
    plane.ecs.deregister_container_instance(containerInstance=hosts[0], force=True)
    plane.come_to_rest()
    assert on(plane) == sorted([hosts[2], added])
