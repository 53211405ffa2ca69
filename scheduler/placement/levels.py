"""Levels: sharing things out as water finds its level, and by chance, without a step for each thing."""

import numpy as np

from scheduler.placement.arrays import Ints


def fill(counts: Ints, room: Ints, things: int) -> tuple[Ints, int]:
    """Fill vessels that hold ``counts`` already, always the lowest that has room, as far as whole levels go.

    Answers how much each takes and the level reached. What is left of ``things`` is less than the number of
    vessels at that level with room. There must be fewer things than room.
    """
    low, high = int(counts.min()), int((counts + room).max())
    while high - low > 1:
        level = (low + high) // 2
        if int(_taken(counts, room, level).sum()) <= things:
            low = level
        else:
            high = level
    return _taken(counts, room, low), low


def scatter(room: Ints, things: int, numbers: np.random.Generator) -> Ints:
    """Throw things into vessels until each has landed in one with room, as if drawn one by one among those."""
    got = np.zeros(len(room), dtype=np.int64)
    while things:
        open_ones = (got < room).nonzero()[0]
        hits = np.bincount(numbers.integers(0, len(open_ones), things), minlength=len(open_ones))
        landed = np.minimum(hits, (room - got)[open_ones])
        got[open_ones] += landed
        things -= int(landed.sum())
    return got


def _taken(counts: Ints, room: Ints, level: int) -> Ints:
    taken: Ints = np.minimum(np.maximum(level - counts, 0), room)
    return taken
