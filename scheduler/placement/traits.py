"""Traits: what is true of each host, as a column of booleans a question, asked of a host once.

A question is a function of a Host: has it an attribute, is it a member of an expression. The columns remember how
far they have read the log of changed hosts and ask again of those alone.
"""

from collections.abc import Callable, Hashable

import numpy as np

from scheduler.placement.arrays import Mask
from scheduler.placement.world import Host

MOST_COLUMNS = 1024

Question = Callable[[Host], bool]


class Traits:
    """Answers by question; ``host_at`` tells a slot's host as it stands, or None where there is none."""

    __slots__ = ("_columns", "_host_at", "_log", "_read", "_size")

    def __init__(self, size: int, host_at: Callable[[int], Host | None]) -> None:
        self._size = size
        self._host_at = host_at
        self._log: list[int] = []
        self._columns: dict[Hashable, Mask] = {}
        self._read: dict[Hashable, int] = {}

    def grow(self, size: int) -> None:
        """Make room for more slots."""
        self._size = size
        self._forget()

    def changed(self, slot: int) -> None:
        """What was answered of this host may not be true any longer."""
        if self._columns:
            self._log.append(slot)
            if len(self._log) > 4 * self._size + 64:
                self._forget()

    def column(self, key: Hashable, question: Question) -> Mask:
        """The hosts of which the question is true; not to be changed."""
        column = self._columns.get(key)
        if column is None:
            if len(self._columns) >= MOST_COLUMNS:
                self._forget()
            column = self._columns[key] = np.zeros(self._size, dtype=np.bool_)
            stale = set(range(self._size))
        elif self._read[key] == len(self._log):
            return column
        else:
            stale = set(self._log[self._read[key] :])
        for slot in stale:
            host = self._host_at(slot)
            column[slot] = host is not None and question(host)
        self._read[key] = len(self._log)
        return column

    def _forget(self) -> None:
        self._columns.clear()
        self._read.clear()
        self._log.clear()
