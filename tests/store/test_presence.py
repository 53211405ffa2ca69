"""Presence: hosts are shown as connected while a socket of theirs is open, however many agents dial at once; and the
heartbeat finds the connections that were not told of something.
"""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import event, select

from kit.clock import ManualClock
from orchestrator.agents.conversation import Conversation
from orchestrator.agents.heartbeat import Heartbeat
from orchestrator.agents.presence import REFRESHED_EVERY, SHARE, Presence
from scheduler.loops.hosts import AWAY_AFTER, HostsLoop
from state.container_instances import ContainerInstance
from state.loop import Leases
from state.store import StoreUnavailable
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


class Replica:
    """An API process with open connections; ``woken`` are the hosts that its last heartbeat found behind."""

    def __init__(self, plane: TasksPlane) -> None:
        self.presence = Presence(plane.store, plane.clock)
        self.lines: list[Conversation] = []
        self.woken: list[str] = []
        self.heartbeat = Heartbeat(self.presence, self._compare)
        self._plane = plane

    def connect(self, host: str) -> Conversation:
        line = Conversation(self._plane.store, self._plane.clock, self._plane.settings, host.rsplit("/", 1)[-1])
        self.presence.arrived(line.instance_id, f"{id(line)}")
        line.news()
        self.lines.append(line)
        return line

    def hang_up(self, line: Conversation) -> None:
        self.lines.remove(line)
        self.presence.left(line.instance_id, f"{id(line)}")

    def beat(self) -> list[str]:
        self.heartbeat.step()
        return self.woken

    def _compare(self, marks: Mapping[str, int | None]) -> None:
        self.woken = [line.instance_id for line in self.lines if line.compare(marks)]


def test_a_heartbeat_wakes_whoever_missed_a_wake_and_nobody_else(plane: TasksPlane) -> None:
    hosts = [plane.add_host(name=name) for name in ("one", "two")]
    plane.register()
    replica = Replica(plane)
    first, second = (replica.connect(host) for host in hosts)
    assert replica.beat() == []

    on_second = [{"type": "memberOf", "expression": "attribute:name == two"}]
    task = plane.run(placementConstraints=on_second)["taskArn"]
    assert replica.beat() == [second.instance_id]
    assert replica.beat() == [second.instance_id], "until it has looked"
    assert second.news() and replica.beat() == []

    plane.ecs.stop_task(task=task)
    assert replica.beat() == [second.instance_id]
    assert second.news() and replica.beat() == []

    plane.ecs.deregister_container_instance(containerInstance=hosts[0], force=True)
    assert replica.beat() == [first.instance_id]


def test_replicas_each_look_after_their_own_connections(plane: TasksPlane) -> None:
    hosts = [plane.add_host() for _ in range(2)]
    plane.register()
    here, there = Replica(plane), Replica(plane)
    here.connect(hosts[0])
    there.connect(hosts[1])
    task = plane.run()
    mine = task["containerInstanceArn"].rsplit("/", 1)[-1]

    assert [*here.beat(), *there.beat()] == [mine]


def test_a_connection_whose_agent_has_dialled_elsewhere_is_looked_at_again(plane: TasksPlane) -> None:
    host = plane.add_host()
    old, new = Replica(plane), Replica(plane)
    line = old.connect(host)
    new.connect(host)

    assert old.beat() == [line.instance_id]
    assert new.beat() == []


def test_an_agent_whose_host_was_counted_away_is_hung_up_on_and_dials_again(plane: TasksPlane) -> None:
    host = plane.add_host()
    replica = Replica(plane)
    line = replica.connect(host)
    later = ManualClock(plane.clock.now() + AWAY_AFTER + timedelta(seconds=1))
    HostsLoop(plane.store, later, Leases(plane.store, later, "one")).step()
    assert connections(plane) == {line.instance_id: None}

    assert replica.beat() == [line.instance_id] and line.closed
    assert line.news() == []
    again = replica.connect(host)
    assert replica.beat() == [line.instance_id] and not again.closed, "only what is known to be here no more"
    replica.hang_up(line)
    assert replica.beat() == [] and not again.closed


def test_each_connection_has_its_turn_within_a_round_and_is_compared_in_it_alone(
    plane: TasksPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.agents.presence.SHARE", 2)
    replica = Replica(plane)
    hosts = [replica.connect(plane.add_host()).instance_id for _ in range(5)]
    plane.register()
    tasks = [plane.run() for _ in range(40)]
    behind = {task["containerInstanceArn"].rsplit("/", 1)[-1] for task in tasks}
    assert behind == set(hosts), "placed at random, so every host has one"

    turns = [replica.beat() for _ in range(3)]
    assert [len(woken) for woken in turns] == [2, 2, 2]
    assert {host for woken in turns for host in woken} == set(hosts)


def test_the_more_connections_there_are_the_sooner_is_the_next_share_due(plane: TasksPlane) -> None:
    clock = ManualClock()
    presence = Presence(plane.store, clock)
    for connected in (0, 1, SHARE):
        presence.arrived_together({f"socket-{number}": "host" for number in range(connected)})
        assert presence.refresh_at() == clock.now() + REFRESHED_EVERY
    presence.arrived_together({f"socket-{number}": "host" for number in range(4 * SHARE)})
    assert presence.refresh_at() == clock.now() + REFRESHED_EVERY / 4


def test_a_turn_that_comes_late_is_for_as_many_as_should_have_had_theirs(
    plane: TasksPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.agents.presence.SHARE", 1)
    clock = ManualClock()
    presence = Presence(plane.store, clock)
    presence.arrived_together({f"socket-{number}": f"host-{number}" for number in range(10)})
    assert len(presence.refresh()) == 1
    clock.tick(seconds=REFRESHED_EVERY.total_seconds() / 2)
    assert len(presence.refresh()) == 5
    clock.tick(seconds=REFRESHED_EVERY.total_seconds() * 3)
    assert len(presence.refresh()) == 10


def test_a_share_whose_write_failed_is_not_passed_over(plane: TasksPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.agents.presence.SHARE", 1)
    replica = Replica(plane)
    first, second = (replica.connect(plane.add_host()).instance_id for _ in range(2))

    def fail(*_: object) -> None:
        raise StoreUnavailable

    with monkeypatch.context() as broken:
        broken.setattr(plane.store, "transact", fail)
        with pytest.raises(StoreUnavailable):
            replica.heartbeat.step()
    assert [list(replica.presence.refresh()) for _ in range(3)] == [[first], [second], [first]]


def test_a_heartbeat_is_one_statement_for_all_hosts_of_a_share(plane: TasksPlane) -> None:
    replica = Replica(plane)
    for _ in range(5):
        replica.connect(plane.add_host())
    statements: list[str] = []
    event.listen(plane.store.engine, "before_cursor_execute", lambda *given: statements.append(given[2]))

    assert replica.beat() == []
    assert len([statement for statement in statements if statement.startswith("UPDATE")]) == 1
    assert not any("revision" in statement for statement in statements if statement.startswith("SELECT"))
