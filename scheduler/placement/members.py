"""Members: how many tasks of each group are on each host.

Kept twice as dictionaries, by host and by group, so that the column of a group costs what the group has hosts;
columns are made when a group is first asked for and then kept up to date, the ones longest unused let go.
"""

from collections.abc import Mapping

import numpy as np

from scheduler.placement.arrays import Ints, Slots

MOST_COLUMNS = 256


class Members:
    """Task counts by slot and group."""

    __slots__ = ("_by_group", "_by_slot", "_columns", "_size")

    def __init__(self, size: int) -> None:
        self._size = size
        self._by_slot: list[dict[str, int]] = [{} for _ in range(size)]
        self._by_group: dict[str, dict[int, int]] = {}
        self._columns: dict[str, Ints] = {}

    def grow(self, size: int) -> None:
        """Make room for more slots."""
        self._by_slot.extend({} for _ in range(size - self._size))
        self._size = size
        self._columns.clear()

    def on(self, slot: int) -> Mapping[str, int]:
        """The groups on one host; not to be changed."""
        return self._by_slot[slot]

    def groups(self) -> list[str]:
        """The groups that have a task anywhere."""
        return list(self._by_group)

    def slots(self, group: str) -> list[int]:
        """The hosts with a task of the group."""
        return list(self._by_group.get(group, ()))

    def put(self, slot: int, groups: Mapping[str, int]) -> set[str]:
        """Take these as the host's groups; answers the ones whose count is another now."""
        before = self._by_slot[slot]
        if before == groups:
            return set()
        changed = {group for group in before.keys() | groups.keys() if before.get(group, 0) != groups.get(group, 0)}
        self._by_slot[slot] = dict(groups)
        for group in changed:
            self._set(slot, group, groups.get(group, 0))
        return changed

    def add(self, slot: int, group: str, count: int) -> None:
        """The host has ``count`` more tasks of the group."""
        groups = self._by_slot[slot]
        groups[group] = total = groups.get(group, 0) + count
        self._set(slot, group, total)

    def add_all(self, slots: Slots, group: str, counts: Ints) -> None:
        """``add`` for many hosts, each once."""
        of_group = self._by_group.setdefault(group, {})
        for slot, count in zip(slots.tolist(), counts.tolist(), strict=True):
            groups = self._by_slot[slot]
            groups[group] = of_group[slot] = groups.get(group, 0) + count
        column = self._columns.get(group)
        if column is not None:
            column[slots] += counts

    def column(self, group: str) -> Ints:
        """The group's tasks on each host; not to be changed, and good until the next change of the fleet."""
        found = self._columns.pop(group, None)
        if found is None:
            found = np.zeros(self._size, dtype=np.int64)
            for slot, count in self._by_group.get(group, {}).items():
                found[slot] = count
            if len(self._columns) >= MOST_COLUMNS:
                del self._columns[next(iter(self._columns))]
        self._columns[group] = found
        return found

    def _set(self, slot: int, group: str, count: int) -> None:
        slots = self._by_group.setdefault(group, {})
        if count:
            slots[slot] = count
        else:
            slots.pop(slot, None)
            if not slots:
                del self._by_group[group]
        column = self._columns.get(group)
        if column is not None:
            column[slot] = count
