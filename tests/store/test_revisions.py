"""A host's mark changes with everything placement reads of the host, and with nothing else."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from kit.clock import ManualClock
from orchestrator.agents.presence import Presence
from state.base import Base
from state.clusters import Cluster
from state.container_instances import ContainerInstance, mark_hosts
from state.reservations import Holding, Room, give_back, take_room
from state.store import Session, Store

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOST = "h" * 32


@pytest.fixture
def filled(store_url: str) -> Iterator[Store]:
    store = Store(store_url)
    Base.metadata.create_all(store.engine)

    def write(session: Session) -> None:
        session.add(Cluster(name="default", status="ACTIVE", created_at=NOW))
        session.flush()
        sizes = {"registered_cpu": 1024, "registered_memory": 1024, "free_cpu": 1024, "free_memory": 1024}
        session.add(ContainerInstance(id=HOST, cluster="default", status="ACTIVE", registered_at=NOW, **sizes))

    store.transact(write)
    yield store
    store.close()


def mark(store: Store) -> int | None:
    return store.read(lambda session: session.scalar(select(ContainerInstance.revision)))


def drain(session: Session) -> None:
    session.get_one(ContainerInstance, HOST).advance("DRAINING", at=NOW, because="told to")


WRITES: dict[str, Callable[[Session], object]] = {
    "drain": drain,
    "reserve": lambda session: take_room(session, {HOST: Room(1, 1)}),
    "release": lambda session: give_back(session, [Holding("t", HOST, 0, 0)]),
    "attributes": lambda session: setattr(
        session.get_one(ContainerInstance, HOST), "attributes", [{"name": "rack", "value": "7"}]
    ),
    "agent version": lambda session: setattr(
        session.get_one(ContainerInstance, HOST), "version_info", {"agentVersion": "2.0.0"}
    ),
    "a wish": lambda session: mark_hosts(session, [HOST]),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
def test_whatever_placement_reads_comes_with_a_new_mark(filled: Store, write: Callable[[Session], object]) -> None:
    before = mark(filled)
    filled.transact(write)
    assert mark(filled) != before


@pytest.mark.parametrize("members", [{"tags": [{"key": "a", "value": "b"}]}, {"seen_at": NOW}, {"status": "ACTIVE"}])
def test_what_placement_does_not_read_keeps_the_mark(filled: Store, members: dict[str, Any]) -> None:
    before = mark(filled)

    def write(session: Session) -> None:
        for name, value in members.items():
            setattr(session.get_one(ContainerInstance, HOST), name, value)

    filled.transact(write)
    assert mark(filled) == before


def test_a_heartbeat_changes_the_mark_only_of_a_host_that_was_away(filled: Store) -> None:
    clock = ManualClock(NOW)
    presence = Presence(filled, clock)
    marks = [mark(filled)]
    presence.arrived(HOST, "socket")
    marks.append(mark(filled))
    clock.tick(seconds=20)
    presence.refresh()
    assert mark(filled) == marks[1]

    def take_for_away(session: Session) -> None:
        session.get_one(ContainerInstance, HOST).agent_connected = False

    filled.transact(take_for_away)
    marks.append(mark(filled))
    presence.refresh()
    marks.append(mark(filled))
    presence.left(HOST, "socket")
    marks.append(mark(filled))
    assert len(set(marks)) == len(marks)
    seen = filled.read(lambda session: session.scalar(select(ContainerInstance.seen_at)))
    assert seen == NOW + timedelta(seconds=20)
