"""Devices: whole GPUs and amounts of named resources, which of them a host has left, and which task holds them.

A GPU that is taken is a row with a unique key, and what is left of a named resource can never go below zero: the
database itself refuses. Whoever takes or gives back here writes the host's free CPU and memory in the same
transaction, and with that its revision mark. Room is given back by task, once: giving it back again finds nothing.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    CursorResult,
    ForeignKey,
    String,
    bindparam,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from state.base import Base
from state.store import Conflict

GPU = "GPU"
# Resources of these names have columns or tables of their own.
STANDARD = frozenset({"CPU", "MEMORY", "PORTS", "PORTS_UDP", GPU})
# Ids in one statement; SQLite admits some 32,000 parameters.
MOST_IDS = 1000


class HostDevice(Base):
    """One GPU held by one task."""

    __tablename__ = "host_devices"

    container_instance_id: Mapped[str] = mapped_column(
        ForeignKey("container_instances.id", ondelete="CASCADE"), primary_key=True
    )
    device: Mapped[str] = mapped_column(String(255), primary_key=True)
    task_id: Mapped[str] = mapped_column(String(36), index=True)


class HostResource(Base):
    """What a host registered of one named resource, and what is left of it."""

    __tablename__ = "host_resources"
    __table_args__ = (CheckConstraint("free >= 0", name="free_not_negative"),)

    container_instance_id: Mapped[str] = mapped_column(
        ForeignKey("container_instances.id", ondelete="CASCADE"), primary_key=True
    )
    name: Mapped[str] = mapped_column(String(255), primary_key=True)
    registered: Mapped[int] = mapped_column(BigInteger)
    free: Mapped[int] = mapped_column(BigInteger)


class TakenResource(Base):
    """What one task holds of one named resource of its host."""

    __tablename__ = "taken_resources"

    task_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    name: Mapped[str] = mapped_column(String(255), primary_key=True)
    container_instance_id: Mapped[str] = mapped_column(
        ForeignKey("container_instances.id", ondelete="CASCADE"), index=True
    )
    amount: Mapped[int] = mapped_column(BigInteger)


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenDevice:
    """One GPU for one task."""

    container_instance_id: str
    device: str
    task_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenAmount:
    """An amount of one named resource for one task."""

    container_instance_id: str
    name: str
    amount: int
    task_id: str


class Registered(Protocol):
    """A container instance, or a row with these two columns of it."""

    @property
    def id(self) -> str: ...

    @property
    def resources(self) -> Sequence[Mapping[str, Any]]: ...


class ResourceHeld(ValueError):
    """A host cannot register less of a resource than its tasks hold."""


def registered_gpus(resources: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """The ids of a host's GPUs, in the order it registered them."""
    return tuple(device for one in resources if one.get("name") == GPU for device in one.get("stringSetValue") or ())


def registered_resources(resources: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """The amounts a host registered besides CPU, memory, ports and GPUs, by name."""
    members = {"INTEGER": "integerValue", "LONG": "longValue"}
    return {
        one["name"]: int(one.get(members[one["type"]]) or 0)
        for one in resources
        if one.get("name") not in STANDARD and one.get("type") in members
    }


def free_gpus(session: Session, hosts: Iterable[Registered]) -> dict[str, tuple[str, ...]]:
    """The GPUs that no task holds, by host id, in the host's own order; hosts without any GPU are left out."""
    have = {host.id: gpus for host in hosts if (gpus := registered_gpus(host.resources))}
    taken: defaultdict[str, set[str]] = defaultdict(set)
    for ids in _some(have):
        for host, device in session.execute(
            select(HostDevice.container_instance_id, HostDevice.device).where(HostDevice.container_instance_id.in_(ids))
        ):
            taken[host].add(device)
    return {host: tuple(gpu for gpu in gpus if gpu not in taken[host]) for host, gpus in have.items()}


def free_resources(session: Session, hosts: Iterable[Registered]) -> dict[str, dict[str, int]]:
    """What is left of each named resource, by host id; hosts without any are left out."""
    left: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for ids in _some(host.id for host in hosts if registered_resources(host.resources)):
        for host, name, free in session.execute(
            select(HostResource.container_instance_id, HostResource.name, HostResource.free).where(
                HostResource.container_instance_id.in_(ids)
            )
        ):
            left[host][name] = free
    return dict(left)


def take_devices(session: Session, rows: Sequence[TakenDevice]) -> None:
    """Take GPUs for tasks; the database refuses one that another task holds, and the transaction is repeated."""
    if rows:
        session.execute(
            insert(HostDevice),
            [
                {"container_instance_id": row.container_instance_id, "device": row.device, "task_id": row.task_id}
                for row in rows
            ],
        )


def take_resources(session: Session, rows: Sequence[TakenAmount]) -> None:
    """Take amounts of named resources for tasks; raises Conflict when a host has not that much left."""
    wanted: defaultdict[tuple[str, str], int] = defaultdict(int)
    for row in rows:
        wanted[row.container_instance_id, row.name] += row.amount
    for (host, name), amount in sorted(wanted.items()):
        taken = session.execute(
            update(HostResource)
            .where(HostResource.container_instance_id == host, HostResource.name == name, HostResource.free >= amount)
            .values(free=HostResource.free - amount)
            .execution_options(synchronize_session=False)
        )
        if not isinstance(taken, CursorResult) or taken.rowcount != 1:
            raise Conflict(f"not enough {name} left on {host}")
    if rows:
        session.execute(
            insert(TakenResource),
            [
                {
                    "container_instance_id": row.container_instance_id,
                    "task_id": row.task_id,
                    "name": row.name,
                    "amount": row.amount,
                }
                for row in rows
            ],
        )


_FREE_DEVICES = delete(HostDevice).where(HostDevice.task_id.in_(bindparam("ids", expanding=True)))
_FREE_RESOURCES = (
    delete(TakenResource)
    .where(TakenResource.task_id.in_(bindparam("ids", expanding=True)))
    .returning(TakenResource.container_instance_id, TakenResource.name, TakenResource.amount)
)


def release_devices(session: Session, task_ids: Collection[str]) -> None:
    """Give back the GPUs and the named resources of tasks that have ended."""
    back: defaultdict[tuple[str, str], int] = defaultdict(int)
    for ids in _some(task_ids):
        session.connection().execute(_FREE_DEVICES, {"ids": ids})
        # Whoever deletes the row gives the amount back: nobody can do it twice.
        for host, name, amount in session.connection().execute(_FREE_RESOURCES, {"ids": ids}):
            back[host, name] += amount
    if back:
        session.connection().execute(
            update(HostResource)
            .where(HostResource.container_instance_id == bindparam("host"), HostResource.name == bindparam("resource"))
            .values(free=HostResource.free + bindparam("amount")),
            [{"host": host, "resource": name, "amount": amount} for (host, name), amount in sorted(back.items())],
        )


def register_resources(session: Session, container_instance_id: str, amounts: Mapping[str, int]) -> None:
    """Write what a host has of named resources, now or again; raises ResourceHeld for less than its tasks hold."""
    known = {
        row.name: row
        for row in session.scalars(
            select(HostResource).where(HostResource.container_instance_id == container_instance_id).with_for_update()
        )
    }
    for name in amounts.keys() | known.keys():
        row = known.get(name)
        amount = amounts.get(name, 0)
        if row is None:
            session.add(
                HostResource(container_instance_id=container_instance_id, name=name, registered=amount, free=amount)
            )
            continue
        held = row.registered - row.free
        if held > amount:
            raise ResourceHeld(f"its tasks hold {held} of {name}, and it registers {amount}")
        if name not in amounts:
            session.delete(row)
        else:
            row.registered, row.free = amount, amount - held
    session.flush()


def _some(ids: Iterable[str]) -> Iterator[list[str]]:
    """The ids, as many at a time as one statement takes."""
    left = list(ids)
    for start in range(0, len(left), MOST_IDS):
        yield left[start : start + MOST_IDS]
