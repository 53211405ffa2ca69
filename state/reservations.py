"""Reservations: taking room on hosts for tasks and giving it back, always in the tasks' own transaction.

Room is written by host, however many tasks it is for. Each write is guarded in its WHERE clause and backed by CHECKs
and unique keys, so two schedulers that decided on the same view cannot both succeed: the second is refused.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import NamedTuple

from sqlalchemy import BigInteger, String, Update, bindparam, delete, insert, update
from sqlalchemy.orm import Session

from state.addresses import release_addresses
from state.base import some
from state.container_instances import ContainerInstance, HostPort, hold_hosts, new_revision
from state.devices import release_devices
from state.given import GIVEN, as_given, given

_HOSTS = ContainerInstance.metadata.tables[ContainerInstance.__tablename__]
_FREE_PORTS = delete(HostPort).where(HostPort.task_id.in_(bindparam("ids", expanding=True)))


class Room(NamedTuple):
    """CPU units and MiB."""

    cpu: int
    memory: int


class Holding(NamedTuple):
    """What one task has taken of a host; the host is None where it has none yet."""

    task_id: str
    container_instance_id: str | None
    cpu: int
    memory: int


class TakenPort(NamedTuple):
    """One host port for one task."""

    container_instance_id: str
    port: int
    protocol: str
    task_id: str


def take_room(session: Session, wanted: Mapping[str, Room]) -> set[str]:
    """Take room on the hosts, by id; answers those that gave it. One that drains or has too little left gives none."""
    if not wanted:
        return set()
    connection = session.connection()
    hold_hosts(session, wanted)
    rows = as_given((host, room.cpu, room.memory) for host, room in wanted.items())
    taken = connection.execute(_take(connection.dialect.name), {GIVEN: rows, "mark": new_revision()})
    return set(taken.scalars())


def take_ports(session: Session, ports: Sequence[TakenPort]) -> None:
    """Take host ports; the database refuses one that is taken, and the transaction is repeated."""
    if ports:
        session.execute(insert(HostPort), [port._asdict() for port in ports])


def give_back(session: Session, holdings: Iterable[Holding]) -> None:
    """Give back everything that tasks had taken. Call it exactly when they move to their end, once.

    Nothing is flushed here: the counts of tasks come last of what writers hold.
    """
    with session.no_autoflush:
        _give_back(session, holdings)


def _give_back(session: Session, holdings: Iterable[Holding]) -> None:
    back: defaultdict[str, Counter[str]] = defaultdict(Counter)
    ids = []
    for holding in holdings:
        ids.append(holding.task_id)
        if holding.container_instance_id is not None:
            back[holding.container_instance_id].update(cpu=holding.cpu, memory=holding.memory)
    if back:
        connection = session.connection()
        hold_hosts(session, back)
        rows = as_given((host, room["cpu"], room["memory"]) for host, room in back.items())
        connection.execute(_give(connection.dialect.name), {GIVEN: rows, "mark": new_revision()})
    if not ids:
        return
    ids.sort()
    for few in some(ids):
        session.connection().execute(_FREE_PORTS, {"ids": few})
    release_addresses(session, ids)
    release_devices(session, ids)


@cache
def _take(dialect: str) -> Update:
    wanted = given(dialect, {"host": String(), "cpu": BigInteger(), "memory": BigInteger()})
    return (
        update(_HOSTS)
        .where(
            _HOSTS.c.id == wanted.c.host,
            _HOSTS.c.status == "ACTIVE",
            _HOSTS.c.free_cpu >= wanted.c.cpu,
            _HOSTS.c.free_memory >= wanted.c.memory,
        )
        .values(
            free_cpu=_HOSTS.c.free_cpu - wanted.c.cpu,
            free_memory=_HOSTS.c.free_memory - wanted.c.memory,
            revision=bindparam("mark"),
        )
        .returning(_HOSTS.c.id)
    )


@cache
def _give(dialect: str) -> Update:
    back = given(dialect, {"host": String(), "cpu": BigInteger(), "memory": BigInteger()})
    return (
        update(_HOSTS)
        .where(_HOSTS.c.id == back.c.host)
        .values(
            free_cpu=_HOSTS.c.free_cpu + back.c.cpu,
            free_memory=_HOSTS.c.free_memory + back.c.memory,
            revision=bindparam("mark"),
        )
    )
