"""What others do, as small functions: each names, of the hosts that fit a task, the one it would choose.

Shares of a host throughout: ``free`` has a row a host (CPU, memory), ``asked`` is one task's. The least score wins, the
first host among equals. All but spread begin another host only when no host in use fits.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Shares = npt.NDArray[np.float64]
Score = Callable[[Shares, Shares], Shares]


def ecs_cpu(free: Shares, asked: Shares) -> Shares:
    """ECS's ``binpack`` over cpu: the least CPU left."""
    return free[:, 0]


def ecs_memory(free: Shares, asked: Shares) -> Shares:
    """ECS's ``binpack`` over memory: the least memory left."""
    return free[:, 1]


def first_fit(free: Shares, asked: Shares) -> Shares:
    """The first that fits."""
    return np.arange(len(free), dtype=np.float64)


def nomad(free: Shares, asked: Shares) -> Shares:
    """Nomad's score of a node with the task on it, from Google's work on BestFit v3: 20 less ten to the power of each
    share that is free, between 0 and 18. Source: Nomad, ``structs.ScoreFitBinPack``."""
    left = free - asked
    scores: Shares = -np.clip(20.0 - 10.0 ** left[:, 0] - 10.0 ** left[:, 1], 0.0, 18.0)
    return scores


ONE_BY_ONE: dict[str, Score] = {
    "ECS binpack cpu": ecs_cpu,
    "ECS binpack memory": ecs_memory,
    "first fit": first_fit,
    "Nomad's score": nomad,
}
