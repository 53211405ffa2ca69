"""Spreads: a group's tasks by the value of an attribute, counted once over all hosts and then kept up to date.

Values are numbered per attribute; hosts without the attribute share a value of their own. Hosts that take no new
tasks do not count: what runs on a draining host is about to leave it.
"""

from collections.abc import Callable

import numpy as np

from scheduler.placement.arrays import Ints, Mask, Slots
from scheduler.placement.columns import Columns
from scheduler.placement.members import Members
from scheduler.placement.world import Host

MOST_TALLIES = 1024
FEW = 16
"""So many values of an attribute are looked through one by one, each a mask of its hosts."""


class Values:
    """One attribute: each slot's value by number, and, when values are few, each value's hosts."""

    __slots__ = ("codes", "masks", "numbers")

    def __init__(self, size: int) -> None:
        self.numbers: dict[str | None, int] = {None: 0}
        self.codes: Slots = np.zeros(size, dtype=np.intp)
        self.masks: list[Mask] | None = None

    def put(self, slot: int, value: str | None) -> None:
        """The host has this value."""
        self.codes[slot] = self.numbers.setdefault(value, len(self.numbers))
        self.masks = None

    def few(self) -> list[Mask] | None:
        """The hosts of each value, by number; None when values are many."""
        if self.masks is None and len(self.numbers) <= FEW:
            self.masks = [self.codes == number for number in range(len(self.numbers))]
        return self.masks


class Spreads:
    """Values by attribute, and tallies by group and attribute."""

    __slots__ = ("_columns", "_host_at", "_members", "_tallies", "_values")

    def __init__(self, columns: Columns, members: Members, host_at: Callable[[int], Host | None]) -> None:
        self._columns = columns
        self._members = members
        self._host_at = host_at
        self._values: dict[str, Values] = {}
        self._tallies: dict[str, dict[str, Ints]] = {}

    def values(self, name: str) -> Values:
        """The attribute's value on each host."""
        found = self._values.get(name)
        if found is None:
            found = self._values[name] = Values(self._columns.size)
            for slot in range(self._columns.size):
                host = self._host_at(slot)
                if host is not None:
                    found.put(slot, host.attributes.get(name))
        return found

    def tally(self, group: str, name: str) -> Ints:
        """The group's tasks by the attribute's value number; not to be changed."""
        by_name = self._tallies.get(group)
        if by_name is None:
            if len(self._tallies) >= MOST_TALLIES:
                self._tallies.clear()
            by_name = self._tallies[group] = {}
        found = by_name.get(name)
        if found is None:
            values = self.values(name)
            counted = np.where(self._columns.active, self._members.column(group), 0)
            totals = np.bincount(values.codes, weights=counted, minlength=len(values.numbers))
            found = by_name[name] = totals.astype(np.int64)
        return found

    def took(self, slot: int, group: str, count: int) -> None:
        """The host, which is active, was given so many more tasks of the group."""
        for name, tally in self._tallies.get(group, {}).items():
            tally[self._values[name].codes[slot]] += count

    def recount(self, groups: set[str]) -> None:
        """These groups are to be counted anew."""
        for group in groups:
            self._tallies.pop(group, None)

    def changed(self, slot: int, host: Host) -> None:
        """The host's attributes or whether it is active are not what they were."""
        for name, values in self._values.items():
            values.put(slot, host.attributes.get(name))
        self._tallies.clear()

    def grow(self) -> None:
        """There are more slots now."""
        self._values.clear()
        self._tallies.clear()
