"""Packing: hosts used over the fewest there could be, by Berth and by what others do, on the same tasks.

The fewest are a lower bound, not what can be reached: of CPU and memory, the greater sum over what a host has. Every
figure is the mean over seeds of hosts used over that bound, less one, in percent.

- queued: all tasks wait, and are packed together. Rules that see one task at a time take them as they come.
- online: tasks come one by one, and stay.
- replayed: a thousand run; again and again one of them, any, leaves and the next comes. The hosts that hold a task and
  the bound of what runs are both summed over time, from when the first thousand are there.
- in batches: the same, but a hundred leave and a hundred come, which wait together.

Berth's own figures come from the engine itself: ``place`` with ``binpack`` over ``cpu+memory``, and ``pack_queue``.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bench.baselines import ONE_BY_ONE
from bench.packers import Berth, OneByOne, Ordered, Packer, Queueing, Spread
from bench.table import print_table
from bench.workloads import WORKLOADS, Sizes, Workload

TASKS = 2000
RUNNING = 1000
TURNS = 3
BATCH = 100
SEEDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Tasks that leave, and then tasks that come."""

    leave: Sequence[int]
    come: Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """One way for tasks to come: how many there are, in which steps, and from which step on is measured."""

    name: str
    tasks: int
    steps: Callable[[np.random.Generator], list[Step]]
    since: int


def run(*, seeds: int = SEEDS) -> None:
    """Print one table a workload."""
    for workload in WORKLOADS:
        rows = []
        for name, make in contestants(workload).items():
            figures = [measure(workload, contest, make, seeds) for contest in CONTESTS]
            rows.append((name, *(f"{figure:.1f} %" for figure in figures)))
        title = f"{workload.name}: hosts used over the lower bound, {TASKS:,} tasks, mean of {seeds} seeds"
        print_table(title, ("", *(contest.name for contest in CONTESTS)), rows)


def contestants(workload: Workload) -> dict[str, Callable[[Sizes], Packer]]:
    """Everyone, by name; each is made anew for a contest."""
    others: dict[str, Callable[[Sizes], Packer]] = {
        name: lambda tasks, score=score: OneByOne(workload, tasks, score)  # type: ignore[misc]
        for name, score in ONE_BY_ONE.items()
    }
    return others | {
        "spread": lambda tasks: Spread(workload, tasks),
        "first fit, largest first": lambda tasks: Ordered(workload, tasks, ONE_BY_ONE["first fit"]),
        "Berth, one by one": lambda tasks: Berth(workload, tasks),
        "Berth, queue": lambda tasks: Queueing(workload, tasks),
    }


def measure(workload: Workload, contest: Contest, make: Callable[[Sizes], Packer], seeds: int) -> float:
    """Percent over the bound, the mean over seeds."""
    return float(np.mean([_measure(workload, contest, make, seed) for seed in range(seeds)]))


def _measure(workload: Workload, contest: Contest, make: Callable[[Sizes], Packer], seed: int) -> float:
    chance = np.random.default_rng(seed)
    tasks = workload.draw(chance, contest.tasks)
    packer = make(tasks)
    runs = np.zeros(len(tasks), dtype=np.bool_)
    used = fewest = 0
    for number, step in enumerate(contest.steps(chance)):
        for task in step.leave:
            packer.leave(task)
        packer.come(step.come)
        runs[list(step.leave)] = False
        runs[list(step.come)] = True
        if number >= contest.since:
            used += packer.hosts()
            fewest += workload.bound(tasks[runs])
    return 100 * (used / fewest - 1)


def _all_at_once(chance: np.random.Generator) -> list[Step]:
    return [Step(leave=(), come=range(TASKS))]


def _one_by_one(chance: np.random.Generator) -> list[Step]:
    return [Step(leave=(), come=(task,)) for task in range(TASKS)]


def _replay(batch: int) -> Callable[[np.random.Generator], list[Step]]:
    return lambda chance: list(_turnover(chance, batch))


def _turnover(chance: np.random.Generator, batch: int) -> Iterator[Step]:
    running = list(range(RUNNING))
    for first in range(0, RUNNING, batch):
        yield Step(leave=(), come=running[first : first + batch])
    for first in range(RUNNING, RUNNING * (1 + TURNS), batch):
        places = chance.choice(RUNNING, batch, replace=False).tolist()
        come = range(first, first + batch)
        yield Step(leave=[running[place] for place in places], come=come)
        for place, task in zip(places, come, strict=True):
            running[place] = task


CONTESTS = (
    Contest(name="queued", tasks=TASKS, steps=_all_at_once, since=0),
    Contest(name="online", tasks=TASKS, steps=_one_by_one, since=TASKS - 1),
    Contest(name="replayed", tasks=RUNNING * (1 + TURNS), steps=_replay(1), since=RUNNING),
    Contest(name="in batches", tasks=RUNNING * (1 + TURNS), steps=_replay(BATCH), since=RUNNING // BATCH),
)


if __name__ == "__main__":
    run()
