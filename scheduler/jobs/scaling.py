"""Scaling: how many hosts a managed EC2 environment should have for the jobs that wait. Pure.

Up at once, for jobs that fit nowhere; down when a host has been idle for a while and nobody waits for it. The sum of
all hosts' vCPUs stays within maxvCpus, and is never taken below minvCpus.
"""

from collections.abc import Sequence
from dataclasses import dataclass
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
class Bounds:
    """What the environment allows: vCPUs, its types, how long a host may idle, and whether it may grow."""

    minimum: int
    maximum: int
    types: Sequence[InstanceType]
    idle_for: timedelta = IDLE_FOR
    grows: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """What to launch and whom to let go."""

    launch: Sequence[InstanceType]
    release: Sequence[str]


def scale(bounds: Bounds, hosts: Sequence[HostSeen], demand: Sequence[tuple[int, int]], now: datetime) -> Scaling:
    """``demand`` holds CPU units and MiB of the jobs that wait, the first in line first."""
    rooms = [[host.free_cpu, host.free_memory] for host in hosts]
    needed: set[str] = set()
    launch: list[InstanceType] = []
    total = sum(host.cpu for host in hosts)
    for cpu, memory in demand:
        found = next((i for i, room in enumerate(rooms) if room[0] >= cpu and room[1] >= memory), None)
        if found is None:
            kind = _grow(bounds, total, cpu, memory)
            if kind is None:
                continue
            launch.append(kind)
            total += kind.cpu
            rooms.append([kind.cpu, kind.room])
            found = len(rooms) - 1
        rooms[found][0] -= cpu
        rooms[found][1] -= memory
        if found < len(hosts):
            needed.add(hosts[found].capacity_id)
    while total < bounds.minimum * 1024:
        kind = _grow(bounds, total, 1, 1, always=True)
        if kind is None:
            break
        launch.append(kind)
        total += kind.cpu
    return Scaling(launch=launch, release=[] if launch else _release(bounds, hosts, needed, total, now))


def next_release(bounds: Bounds, hosts: Sequence[HostSeen]) -> datetime | None:
    """When the host that has been idle longest may be let go."""
    idle = [host.idle_since + bounds.idle_for for host in hosts if host.idle_since is not None]
    return min(idle, default=None)


def _grow(bounds: Bounds, total: int, cpu: int, memory: int, *, always: bool = False) -> InstanceType | None:
    if not (bounds.grows or always):
        return None
    left = bounds.maximum * 1024 - total
    return smallest_fitting((kind for kind in bounds.types if kind.cpu <= left), cpu, memory)


def _release(bounds: Bounds, hosts: Sequence[HostSeen], needed: set[str], total: int, now: datetime) -> list[str]:
    released = []
    for host in sorted(hosts, key=lambda one: (one.idle_since or now, one.capacity_id)):
        if host.idle_since is None or host.capacity_id in needed or host.idle_since + bounds.idle_for > now:
            continue
        if total - host.cpu < bounds.minimum * 1024:
            continue
        released.append(host.capacity_id)
        total -= host.cpu
    return released
