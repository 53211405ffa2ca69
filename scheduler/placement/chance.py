"""Chance: all that is random in a plan, from its seed alone."""

from functools import cached_property
from random import Random

import numpy as np
import numpy.typing as npt

_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_SHIFTS = (np.uint64(30), np.uint64(27), np.uint64(31))


class Chance:
    """The same seed deals the same ranks and draws the same numbers."""

    def __init__(self, seed: int) -> None:
        self._rng = Random(seed)  # noqa: S311 (a reproducible plan is the point)
        self._salt = np.uint64(self._rng.getrandbits(64))
        self._dealt: npt.NDArray[np.uint64] | None = None

    def pick(self, count: int) -> int:
        """One of ``count``, all equally likely."""
        return self._rng.randrange(count)

    @cached_property
    def numbers(self) -> np.random.Generator:
        """For drawing many at once."""
        return np.random.default_rng(self._rng.getrandbits(64))

    def dealt(self, marks: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        """``ranks`` of a whole column, which does not change while the plan is made, worked out once."""
        if self._dealt is None:
            self._dealt = self.ranks(marks)
        return self._dealt

    def ranks(self, marks: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        """A rank for each mark that depends on the seed and that mark alone (the finalizer of splitmix64)."""
        mixed = marks ^ self._salt
        for shift, factor in zip(_SHIFTS[:2], _MIX, strict=True):
            mixed = (mixed ^ (mixed >> shift)) * factor
        return mixed ^ (mixed >> _SHIFTS[2])
