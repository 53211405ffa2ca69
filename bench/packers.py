"""Packers: what takes tasks as they come and gives their room back as they leave, on as many hosts as it needs."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from bench.baselines import Score, Shares
from bench.workloads import Sizes, Workload
from scheduler.placement import Ask, Fleet, Host, Placed, Strategy, place
from scheduler.placement.packing import Queued, pack_queue

BEST_FIT = (Strategy(type="binpack", field="cpu+memory"),)
# Room for more hosts than anybody begins.
SPARE = 1.9


class Packer(Protocol):
    """Tasks are named by their row."""

    def come(self, tasks: Sequence[int]) -> None:
        """These have come, together, in this order."""

    def leave(self, task: int) -> None:
        """This one has left."""

    def hosts(self) -> int:
        """Hosts that hold a task."""


class OneByOne:
    """Takes every task as it comes, by a score of the hosts in use; begins another host when none of them fits."""

    def __init__(self, workload: Workload, tasks: Sizes, score: Score) -> None:
        self._asked: Shares = tasks / np.array([workload.cpu, workload.memory])
        self._score = score
        self._free: Shares = np.ones((len(tasks), 2))
        self._tasks = np.zeros(len(tasks), dtype=np.int64)
        self._where: dict[int, int] = {}

    def come(self, tasks: Sequence[int]) -> None:
        for task in tasks:
            asked = self._asked[task]
            fitting = np.flatnonzero((self._free >= asked - 1e-9).all(axis=1) & (self._tasks > 0))
            host = int(fitting[self._score(self._free[fitting], asked).argmin()]) if len(fitting) else self._begin()
            self._free[host] -= asked
            self._tasks[host] += 1
            self._where[task] = host

    def leave(self, task: int) -> None:
        host = self._where.pop(task)
        self._tasks[host] -= 1
        self._free[host] = self._free[host] + self._asked[task] if self._tasks[host] else 1.0

    def hosts(self) -> int:
        return int((self._tasks > 0).sum())

    def _begin(self) -> int:
        return int((self._tasks == 0).argmax())


class Ordered(OneByOne):
    """The same, but tasks that come together are taken by size, the greatest sum of shares first."""

    def come(self, tasks: Sequence[int]) -> None:
        super().come(sorted(tasks, key=lambda task: -float(self._asked[task].sum())))


class Spread(OneByOne):
    """The host with the fewest tasks, of a fleet that has the lower bound's hosts and grows when none fits."""

    def __init__(self, workload: Workload, tasks: Sizes) -> None:
        super().__init__(workload, tasks, lambda free, asked: np.zeros(len(free)))
        self._there = np.zeros(len(tasks), dtype=np.bool_)
        self._workload, self._sizes = workload, tasks

    def come(self, tasks: Sequence[int]) -> None:
        running = [*self._where, *tasks]
        self._there[: self._workload.bound(self._sizes[running])] = True
        for task in tasks:
            asked = self._asked[task]
            fitting = np.flatnonzero((self._free >= asked - 1e-9).all(axis=1) & self._there)
            host = int(fitting[self._tasks[fitting].argmin()]) if len(fitting) else int((~self._there).argmax())
            self._there[host] = True
            self._free[host] -= asked
            self._tasks[host] += 1
            self._where[task] = host


class Berth:
    """Berth's engine, one task at a time: ``place`` with ``binpack`` over ``cpu+memory``."""

    def __init__(self, workload: Workload, tasks: Sizes) -> None:
        self._tasks = tasks.tolist()
        self._host = Host(
            id="",
            registered_cpu=workload.cpu,
            registered_memory=workload.memory,
            free_cpu=workload.cpu,
            free_memory=workload.memory,
        )
        count = int(workload.bound(tasks) * SPARE)
        self._on: list[set[int]] = [set() for _ in range(count)]
        self._where: dict[int, int] = {}
        self.fleet = Fleet(self._host_of(number) for number in range(count))

    def come(self, tasks: Sequence[int]) -> None:
        for task in tasks:
            self.put(task)

    def put(self, task: int, *, queued: bool = False) -> None:
        """Place one task."""
        cpu, memory = self._tasks[task]
        result = place(
            self.fleet, [Ask(id="", cpu=cpu, memory=memory, strategy=BEST_FIT, queued=queued)], seed=0
        ).results[0]
        assert isinstance(result, Placed), "there are hosts enough"
        self._on[int(result.host)].add(task)
        self._where[task] = int(result.host)

    def leave(self, task: int) -> None:
        number = self._where.pop(task)
        self._on[number].remove(task)
        self.fleet.put(self._host_of(number))

    def hosts(self) -> int:
        return sum(1 for on in self._on if on)

    def _host_of(self, number: int) -> Host:
        on = self._on[number]
        return Host(
            id=f"{number:06}",
            registered_cpu=self._host.registered_cpu,
            registered_memory=self._host.registered_memory,
            free_cpu=self._host.free_cpu - sum(self._tasks[task][0] for task in on),
            free_memory=self._host.free_memory - sum(self._tasks[task][1] for task in on),
            tasks=len(on),
        )


class Queueing(Berth):
    """Berth's queue as the jobs loop works it: tasks that wait together are chosen and put into order by
    ``pack_queue``, and each is then placed by the engine."""

    def come(self, tasks: Sequence[int]) -> None:
        columns = self.fleet.columns
        jobs = [Queued(id=str(task), cpu=self._tasks[task][0], memory=self._tasks[task][1]) for task in tasks]
        packed = pack_queue(jobs, columns.cpu, columns.memory, columns.per_cpu, columns.per_memory)
        for task, _ in packed.placed:
            self.put(int(task), queued=True)
