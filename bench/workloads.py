"""Tasks to pack, as CPU units and MiB on hosts of one size, from a seed."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scheduler.queueing import FARGATE_MEMORY

Sizes = npt.NDArray[np.int64]
"""A row a task: CPU units, MiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What is asked, and the hosts it is asked of. ``draw`` makes so many tasks."""

    name: str
    cpu: int
    memory: int
    draw: Callable[[np.random.Generator, int], Sizes]

    def bound(self, tasks: Sizes) -> int:
        """Hosts that no packing can do without: of each dimension, the sum over what a host has."""
        return max(bound(int(tasks[:, 0].sum()), self.cpu), bound(int(tasks[:, 1].sum()), self.memory))


def bound(asked: int, of_a_host: int) -> int:
    """Whole hosts for so much of one dimension."""
    return -(-asked // of_a_host)


# Fine units, so that shares are as good as real numbers.
UNIT = 100_000


def uniform(chance: np.random.Generator, count: int) -> Sizes:
    """5 to 60 % of a host in each dimension."""
    return chance.integers(UNIT * 5 // 100, UNIT * 60 // 100, (count, 2), endpoint=True)


def halves(chance: np.random.Generator, count: int) -> Sizes:
    """Half of the tasks ask for 30 to 80 % of a host's CPU and 5 to 20 % of its memory, the others the reverse."""
    much = chance.integers(UNIT * 30 // 100, UNIT * 80 // 100, count, endpoint=True)
    little = chance.integers(UNIT * 5 // 100, UNIT * 20 // 100, count, endpoint=True)
    on_cpu = chance.random(count) < 0.5
    return np.stack((np.where(on_cpu, much, little), np.where(on_cpu, little, much)), axis=1)


def menu(chance: np.random.Generator, count: int) -> Sizes:
    """Fargate's sizes from 0.25 to 16 vCPU, each as likely, each with any of the memory it is offered with."""
    sizes = [(cpu, list(memories)) for cpu, memories in FARGATE_MEMORY.items() if cpu <= 16384]
    chosen = [sizes[number] for number in chance.integers(0, len(sizes), count)]
    return np.array([(cpu, memories[int(chance.integers(0, len(memories)))]) for cpu, memories in chosen])


WORKLOADS = (
    Workload(name="uniform 5-60 %", cpu=UNIT, memory=UNIT, draw=uniform),
    Workload(name="halves, 30-80 % and 5-20 %", cpu=UNIT, memory=UNIT, draw=halves),
    Workload(name="Fargate's menu on 24 vCPU, 128 GiB", cpu=24 * 1024, memory=128 * 1024, draw=menu),
)
