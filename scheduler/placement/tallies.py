"""Tallies: a group's tasks by the value of an attribute, counted once over all hosts and then kept up to date.

Hosts that take no new tasks do not count: what runs on a draining host is about to leave it.
"""

import numpy as np

from scheduler.placement.arrays import Ints, Slots
from scheduler.placement.columns import Columns
from scheduler.placement.fields import Fields
from scheduler.placement.members import Members

MOST_TALLIES = 1024


class Tallies:
    """Tallies by group and attribute."""

    def __init__(self, columns: Columns, members: Members, fields: Fields) -> None:
        self._columns = columns
        self._members = members
        self._fields = fields
        self._tallies: dict[str, dict[str, Ints]] = {}

    def tally(self, group: str, name: str) -> Ints:
        """The group's tasks by the attribute's value number; not to be changed."""
        by_name = self._tallies.get(group)
        if by_name is None:
            if len(self._tallies) >= MOST_TALLIES:
                self._tallies.clear()
            by_name = self._tallies[group] = {}
        found = by_name.get(name)
        if found is None:
            field = self._fields.attribute(name)
            counted = np.where(self._columns.active, self._members.column(group), 0)
            totals = np.bincount(field.codes, weights=counted, minlength=len(field))
            found = by_name[name] = totals.astype(np.int64)
        return found

    def took(self, slot: int, group: str, count: int) -> None:
        """The host, which is active, was given so many more tasks of the group."""
        for name, tally in self._tallies.get(group, {}).items():
            tally[self._fields.attribute(name).codes[slot]] += count

    def took_all(self, slots: Slots, group: str, counts: Ints) -> None:
        """``took`` for many hosts."""
        for name, tally in self._tallies.get(group, {}).items():
            np.add.at(tally, self._fields.attribute(name).codes[slots], counts)

    def recount(self, groups: set[str]) -> None:
        """These groups are to be counted anew."""
        for group in groups:
            self._tallies.pop(group, None)

    def recount_all(self) -> None:
        """Hosts changed, or what they count towards."""
        self._tallies.clear()
