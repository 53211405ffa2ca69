"""Best fit over both CPU and memory, told by what is left over on the hosts: Berth's ``binpack`` over ``cpu+memory``.

ECS packs by one dimension and looks at the other only to see whether a task fits at all. Here a host is a point: the
shares of its CPU and of its memory that are free. Points near the origin are full hosts. A map counts how many hosts
in use are near each point; where they gather are leftovers that no task comes to take, so a placement is good that
moves its host to the origin or out of a crowd, and bad that moves it into one. When every host in use would go where
leftovers gather, beginning another host can be better, and is preferred for a task that comes alone.

With many small tasks a host, leftovers find takers anyhow; then the tightest fit decides. The constants are those
that did best, and none worse than ECS, on the workloads of ``bench.packing``.
"""

import numpy as np

from scheduler.placement.arrays import Floats, Ints, Mask, Slots

GRID = 12
"""Points of the map along each side."""
FEW_TASKS, MANY_TASKS = 3.2, 4.2
"""Mean tasks a host in use: up to the first the map decides alone, from the second it is not asked."""
EMPTYING = 0.6
"""What it is worth to move a host to the origin, crowds apart; and how near is near."""
NEARNESS = 0.1
BEGINNING = 0.6
"""What it is worth to begin another host, for the choice that later tasks get by it."""
USABLE = 1.5
"""How fast a crowd counts for less where much is left of both, since such hosts find takers."""
LEANING = 0.25
"""How much worse a tight fit is that leaves more of the one than of the other."""


CANDIDATES = 512
"""Hosts in use that are scored: of more, those with the tightest fit."""
_UNIT = 1 << 20


class Leftovers:
    """The map: hosts in use by what is left of them, each counted at the four points around it; and its say, 0 to 1,
    against the tightest fit. Counted in whole units, so that a map kept up to date is exactly one drawn anew."""

    def __init__(self) -> None:
        self.counts: Floats = np.zeros(GRID * GRID)
        self.say = 1.0
        self._units: Ints = np.zeros(GRID * GRID, dtype=np.int64)
        self._seen: tuple[Ints | Floats, ...] = ()

    def update(self, cpu: Ints, memory: Ints, per_cpu: Floats, per_memory: Floats, tasks: Ints) -> None:
        """Make it the map of these hosts, of which those without a task are passed over. ``cpu`` and ``memory`` are
        free, ``per_*`` are one over what the host registered. Costs by what has changed since the last time."""
        told = (cpu, memory, per_cpu, per_memory, tasks)
        if not self._seen or len(self._seen[0]) != len(cpu):
            self._units[:] = 0
            self._deposit(told, tasks.nonzero()[0], 1)
        else:
            changed = np.zeros(len(cpu), dtype=np.bool_)
            for before, after in zip(self._seen, told, strict=True):
                changed |= before != after
            slots = changed.nonzero()[0]
            self._deposit(self._seen, slots[self._seen[-1][slots] > 0], -1)
            self._deposit(told, slots[tasks[slots] > 0], 1)
        self._seen = tuple(column.copy() for column in told)
        self.counts = self._units / _UNIT
        mean = int(tasks.sum()) / max(1, int((tasks > 0).sum()))
        self.say = min(1.0, max(0.0, (MANY_TASKS - mean) / (MANY_TASKS - FEW_TASKS)))

    def _deposit(self, told: tuple[Ints | Floats, ...], slots: Slots, sign: int) -> None:
        if not len(slots):
            return
        cpu, memory, per_cpu, per_memory = (column[slots] for column in told[:4])
        at, right, up = _locate(_share(cpu, per_cpu), _share(memory, per_memory))
        corners = np.concatenate((at, at + GRID, at + 1, at + GRID + 1))
        weights = np.concatenate(((1 - right) * (1 - up), right * (1 - up), (1 - right) * up, right * up))
        np.add.at(self._units, corners, sign * np.rint(weights * _UNIT).astype(np.int64))


def survey(cpu: Ints, memory: Ints, per_cpu: Floats, per_memory: Floats, tasks: Ints) -> Leftovers:
    """The map of these hosts; see ``Leftovers.update``."""
    drawn = Leftovers()
    drawn.update(cpu, memory, per_cpu, per_memory, tasks)
    return drawn


def best_fit_scores(
    leftovers: Leftovers,
    asked_cpu: int,
    asked_memory: int,
    cpu: Ints,
    memory: Ints,
    per_cpu: Floats,
    per_memory: Floats,
    used: Mask,
    *,
    alone: bool = True,
    one: bool = True,
) -> Floats:
    """How good each host is for a task; the least is the best. All must have room for it.

    ``used`` says which hosts have a task; one without is begun before they are full only for a task that is
    ``alone``: of many alike each would begin another, and those of a queue have been put into order already.
    When ``one`` host is wanted, those that will hardly be it are not looked at closely, and score infinity.
    """
    per_cpu, per_memory = np.broadcast_to(per_cpu, cpu.shape), np.broadcast_to(per_memory, cpu.shape)
    share_cpu, share_memory = _share(cpu - asked_cpu, per_cpu), _share(memory - asked_memory, per_memory)
    tight = (share_cpu + share_memory) / 2 + LEANING * np.abs(share_cpu - share_memory)
    if leftovers.say == 0:
        return np.where(used, tight, 2 + tight)
    scores = np.full(len(tight), np.inf)
    begun = _tightest(tight, used, CANDIDATES if one else len(tight))
    before = _waste(leftovers, _share(cpu[begun], per_cpu[begun]), _share(memory[begun], per_memory[begun]))
    moved = _waste(leftovers, share_cpu[begun], share_memory[begun]) - before
    scores[begun] = leftovers.say * moved + (1 - leftovers.say) * tight[begun]
    others = _tightest(tight, ~used, 1 if one else len(tight))
    moved = _waste(leftovers, share_cpu[others], share_memory[others]) - BEGINNING
    scores[others] = leftovers.say * moved + (1 - leftovers.say) * tight[others] + (0.0 if alone else 1e6)
    return scores


def _tightest(tight: Floats, of: Mask, count: int) -> Slots:
    """The ``count`` of these hosts with the tightest fit, and all that fit as tightly as the last of them."""
    slots = of.nonzero()[0]
    if len(slots) <= count:
        return slots
    fits = tight[slots]
    tightest: Slots = slots[fits <= np.partition(fits, count - 1)[count - 1]]
    return tightest


def _waste(leftovers: Leftovers, share_cpu: Floats, share_memory: Floats) -> Floats:
    """What a host is likely to waste of which so much is left."""
    at, right, up = _locate(share_cpu, share_memory)
    counts = leftovers.counts
    crowd = (counts[at] * (1 - right) + counts[at + GRID] * right) * (1 - up)
    crowd += (counts[at + 1] * (1 - right) + counts[at + GRID + 1] * right) * up
    most, least = np.maximum(share_cpu, share_memory), np.minimum(share_cpu, share_memory)
    full = 1 - np.exp((share_cpu + share_memory) / (-2 * NEARNESS))
    wasted: Floats = np.log1p(crowd) * most * np.exp(-USABLE * least) + EMPTYING * full
    return wasted


def _locate(share_cpu: Floats, share_memory: Floats) -> tuple[Ints, Floats, Floats]:
    """The point of the map below and left of each host's, and how far past it the host is."""
    column, row = share_cpu * (GRID - 1), share_memory * (GRID - 1)
    left = np.minimum(column.astype(np.int64), GRID - 2)
    below = np.minimum(row.astype(np.int64), GRID - 2)
    return left * GRID + below, column - left, row - below


def _share(free: Ints | Floats, per: Ints | Floats) -> Floats:
    shares: Floats = np.clip(free * per, 0.0, 1.0)
    return shares
