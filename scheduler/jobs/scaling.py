"""Scaling: how many hosts managed EC2 environments should have for the jobs that wait. Pure.

Up at once, for jobs that fit nowhere; down when a host has been idle for a while and nobody waits for it. The sum of
an environment's vCPUs stays within its maxvCpus, and is never taken below its minvCpus.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from scheduler.jobs.instance_types import InstanceType, smallest_fitting

IDLE_FOR = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSeen:
    """A host that is up or coming: CPU units and MiB, in all and free. ``idle_since`` is None while it is busy,
    or not up yet."""

    capacity_id: str
    cpu: int
    free_cpu: int
    free_memory: int
    idle_since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """An environment's hosts and what it allows: vCPUs, its types, how long a host may idle, whether it may grow."""

    hosts: Sequence[HostSeen]
    minimum: int
    maximum: int
    types: Sequence[InstanceType]
    idle_for: timedelta = IDLE_FOR
    grows: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """A job that waits: CPU units, MiB, and the environments it may go to, in the order in which they are tried."""

    cpu: int
    memory: int
    environments: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """What to launch and whom to let go."""

    launch: Sequence[InstanceType]
    release: Sequence[str]


def scale(fleets: Mapping[str, Fleet], demand: Sequence[Demand], now: datetime) -> dict[str, Scaling]:
    """Decide for all fleets at once, the job first in line first, so that no two of them grow for the same job."""
    books = {name: _open(fleet) for name, fleet in fleets.items()}
    for job in demand:
        for name in job.environments:
            if name in books and _take(books[name], job.cpu, job.memory):
                break
    return {name: _close(book, now) for name, book in books.items()}


def next_release(fleet: Fleet) -> datetime | None:
    """When the host that has been idle longest may be let go."""
    return min((host.idle_since + fleet.idle_for for host in fleet.hosts if host.idle_since is not None), default=None)


@dataclass(slots=True, kw_only=True)
class _Book:
    """One fleet while jobs are counted into it: what is free on each host, those to be launched last."""

    fleet: Fleet
    rooms: list[list[int]]
    total: int
    launch: list[InstanceType] = field(default_factory=list)
    needed: set[str] = field(default_factory=set)


def _open(fleet: Fleet) -> _Book:
    rooms = [[host.free_cpu, host.free_memory] for host in fleet.hosts]
    return _Book(fleet=fleet, rooms=rooms, total=sum(host.cpu for host in fleet.hosts))


def _take(book: _Book, cpu: int, memory: int) -> bool:
    """Count the job into the first room that holds it, or into a new host's; False when neither is to be had."""
    found = next((i for i, room in enumerate(book.rooms) if room[0] >= cpu and room[1] >= memory), None)
    if found is None:
        if not book.fleet.grows or not _grow(book, cpu, memory):
            return False
        found = len(book.rooms) - 1
    book.rooms[found][0] -= cpu
    book.rooms[found][1] -= memory
    if found < len(book.fleet.hosts):
        book.needed.add(book.fleet.hosts[found].capacity_id)
    return True


def _grow(book: _Book, cpu: int, memory: int) -> bool:
    left = book.fleet.maximum * 1024 - book.total
    kind = smallest_fitting((kind for kind in book.fleet.types if kind.cpu <= left), cpu, memory)
    if kind is None:
        return False
    book.launch.append(kind)
    book.total += kind.cpu
    book.rooms.append([kind.cpu, kind.room])
    return True


def _close(book: _Book, now: datetime) -> Scaling:
    """Keep the minimum; let idle hosts go while nothing is being launched."""
    while book.total < book.fleet.minimum * 1024 and _grow(book, 1, 1):
        pass
    return Scaling(launch=book.launch, release=[] if book.launch else _release(book, now))


def _release(book: _Book, now: datetime) -> list[str]:
    released = []
    for host in sorted(book.fleet.hosts, key=lambda one: (one.idle_since or now, one.capacity_id)):
        if host.idle_since is None or host.capacity_id in book.needed or host.idle_since + book.fleet.idle_for > now:
            continue
        if book.total - host.cpu < book.fleet.minimum * 1024:
            continue
        released.append(host.capacity_id)
        book.total -= host.cpu
    return released
