"""Packing: a queue of jobs onto hosts, so that fewer hosts are needed. Pure.

Hosts in use come first: what is left of them is given to the largest jobs that fit, each to the host where it leaves
least. Then hosts are begun, and each is filled before the next is looked at, always with the job that points the same
way as what is left of it: the greatest dot product of what is free and what is asked, both as shares of the host, less
a part of the job's own square, which lets a job that fits snugly go before one that is merely large. Jobs of one size
go in their order.
A job that others have overtaken too often goes first, and while it finds no room nobody goes: so nobody starves.

Measured against the alternatives in ``bench.packing``. Source of the heuristic: Panigrahy, Talwar, Uyeda and Wieder,
"Heuristics for Vector Bin Packing" (2011).
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from scheduler.placement.arrays import Floats, Ints, Mask, Slots

PATIENCE = 32
"""Later jobs that may overtake one that waits, before it holds the room for itself."""
SNUGNESS = 0.4
"""The part of the square: with none the dot product alone decides, with a half the distance from what is left."""
LEANING = 0.5
"""How much worse a leftover is that is more of the one than of the other."""
_WHOLE = 1 - 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """One job that waits: CPU units, MiB, and how many later jobs have been started before it so far."""

    id: str
    cpu: int
    memory: int
    overtaken: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """``placed``: jobs and the index of the host of each, in the order in which they go. ``left``: those that found no
    room, in the order of the queue. ``holds``: the one of them that all wait for."""

    placed: tuple[tuple[str, int], ...]
    left: tuple[str, ...]
    holds: str | None = None


def pack_queue(
    jobs: Sequence[Queued], cpu: Ints, memory: Ints, per_cpu: Floats, per_memory: Floats, *, patience: int = PATIENCE
) -> Packed:
    """Choose which of the jobs, in the order of the queue, go where.

    ``cpu`` and ``memory`` are what is free on each host, ``per_*`` one over what it registered; a host is in use when
    less is free than that.
    """
    free_cpu, free_memory = cpu.astype(np.int64), memory.astype(np.int64)
    placed: list[tuple[str, int]] = []
    waiting = list(jobs)
    for job in [one for one in jobs if one.overtaken >= patience]:
        at = _best_host(job, free_cpu, free_memory, per_cpu, per_memory)
        if at is None:
            if _fits_nowhere_ever(job, per_cpu, per_memory):
                continue
            return Packed(placed=tuple(placed), left=tuple(one.id for one in waiting), holds=job.id)
        free_cpu[at] -= job.cpu
        free_memory[at] -= job.memory
        placed.append((job.id, at))
        waiting.remove(job)
    line = _Line(waiting)
    in_use = (free_cpu * per_cpu < _WHOLE) | (free_memory * per_memory < _WHOLE)
    placed += _fill_in_use(line, in_use.nonzero()[0], free_cpu, free_memory, per_cpu, per_memory)
    for at in _in_turn(line, ~in_use, free_cpu, free_memory):
        placed += [(job, at) for job in line.fill(free_cpu[at], free_memory[at], per_cpu[at], per_memory[at])]
        if not line.any():
            break
    gone = {job for job, _ in placed}
    return Packed(placed=tuple(placed), left=tuple(one.id for one in jobs if one.id not in gone))


def overtaken(order: Sequence[str], started: Iterable[str]) -> dict[str, int]:
    """Of the jobs that were not started, how many later ones were; those that nobody overtook are left out."""
    gone = frozenset(started)
    found: dict[str, int] = {}
    later = 0
    for job in reversed(order):
        if job in gone:
            later += 1
        elif later:
            found[job] = later
    return found


class _Line:
    """Jobs by size: arrays with one element a size, and the jobs of each in their order."""

    def __init__(self, jobs: Iterable[Queued]) -> None:
        sizes: dict[tuple[int, int], deque[str]] = {}
        for job in jobs:
            sizes.setdefault((job.cpu, job.memory), deque()).append(job.id)
        self._jobs = list(sizes.values())
        asked = np.array(list(sizes) or [(0, 0)], dtype=np.int64)
        self.cpu: Ints = asked[:, 0]
        self.memory: Ints = asked[:, 1]
        self._waits: Mask = np.full(len(asked), bool(sizes))

    def any(self) -> bool:
        """Whether anybody is left."""
        return bool(self._waits.any())

    def waits(self, size: int) -> bool:
        """Whether anybody of the size is left."""
        return bool(self._waits[size])

    def leave(self, size: int) -> str:
        """The first of the size leaves the line."""
        job = self._jobs[size].popleft()
        self._waits[size] = bool(self._jobs[size])
        return job

    def fill(self, cpu: np.int64, memory: np.int64, per_cpu: np.float64, per_memory: np.float64) -> list[str]:
        """The jobs that fill a host of which so much is free, one after another; they leave the line."""
        gone: list[str] = []
        sizes = self._waits.nonzero()[0]
        asked_cpu, asked_memory = self.cpu[sizes], self.memory[sizes]
        shares_cpu, shares_memory = asked_cpu * per_cpu, asked_memory * per_memory
        squares = SNUGNESS * (shares_cpu**2 + shares_memory**2)
        while True:
            fitting = (asked_cpu <= cpu) & (asked_memory <= memory)
            if not fitting.any():
                return gone
            alignment = shares_cpu * (cpu * per_cpu) + shares_memory * (memory * per_memory) - squares
            # Among equals the one whose first job came first.
            best = int(np.where(fitting, alignment, -np.inf).argmax())
            size = int(sizes[best])
            gone.append(self.leave(size))
            cpu, memory = cpu - asked_cpu[best], memory - asked_memory[best]
            if not self.waits(size):
                # Asks for more than there can be, so that it fits no more.
                asked_cpu[best] = np.iinfo(np.int64).max


def _fill_in_use(
    line: _Line, hosts: Slots, cpu: Ints, memory: Ints, per_cpu: Floats, per_memory: Floats
) -> list[tuple[str, int]]:
    """Give what is left of these hosts to the largest jobs first; ``cpu`` and ``memory`` are brought up to date."""
    placed: list[tuple[str, int]] = []
    if not len(hosts) or not line.any():
        return placed
    size_of_all = line.cpu * per_cpu[hosts].mean() + line.memory * per_memory[hosts].mean()
    for size in np.argsort(-size_of_all, kind="stable").tolist():
        asked_cpu, asked_memory = line.cpu[size], line.memory[size]
        while line.waits(size):
            fitting = hosts[(cpu[hosts] >= asked_cpu) & (memory[hosts] >= asked_memory)]
            if not len(fitting):
                break
            left_cpu = (cpu[fitting] - asked_cpu) * per_cpu[fitting]
            left_memory = (memory[fitting] - asked_memory) * per_memory[fitting]
            at = int(fitting[(left_cpu + left_memory + LEANING * np.abs(left_cpu - left_memory)).argmin()])
            cpu[at] -= asked_cpu
            memory[at] -= asked_memory
            placed.append((line.leave(size), at))
    return placed


def _in_turn(line: _Line, idle: Mask, cpu: Ints, memory: Ints) -> list[int]:
    """The hosts to begin that have room for anybody at all, the largest first."""
    if not line.any():
        return []
    some = (idle & (cpu >= line.cpu.min()) & (memory >= line.memory.min())).nonzero()[0]
    ordered: list[int] = some[np.lexsort((-memory[some], -cpu[some]))].tolist()
    return ordered


def _best_host(job: Queued, cpu: Ints, memory: Ints, per_cpu: Floats, per_memory: Floats) -> int | None:
    """The host that fits the job and has the least left."""
    fitting = ((cpu >= job.cpu) & (memory >= job.memory)).nonzero()[0]
    if not len(fitting):
        return None
    free = cpu[fitting] * per_cpu[fitting] + memory[fitting] * per_memory[fitting]
    return int(fitting[free.argmin()])


def _fits_nowhere_ever(job: Queued, per_cpu: Floats, per_memory: Floats) -> bool:
    """Whether even empty hosts are too small, so that nobody need wait for the job."""
    return not bool(((job.cpu * per_cpu <= 1) & (job.memory * per_memory <= 1)).any())
