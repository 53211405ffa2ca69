"""Ports: which host ports are taken on which host, tcp and udp apart.

The column of a port is made when an ask first wants the port, and then kept up to date.
"""

from collections.abc import Iterable, Sequence, Set

import numpy as np

from scheduler.placement.arrays import Mask
from scheduler.placement.world import Port

MOST_COLUMNS = 1024


class Ports:
    """Taken host ports by slot and by port."""

    __slots__ = ("_by_port", "_by_slot", "_columns", "_size")

    def __init__(self, size: int) -> None:
        self._size = size
        self._by_slot: list[frozenset[Port]] = [frozenset()] * size
        self._by_port: dict[Port, set[int]] = {}
        self._columns: dict[Port, Mask] = {}

    def grow(self, size: int) -> None:
        """Make room for more slots."""
        self._by_slot.extend([frozenset()] * (size - self._size))
        self._size = size
        self._columns.clear()

    def on(self, slot: int) -> frozenset[Port]:
        """The ports that are taken on one host."""
        return self._by_slot[slot]

    def put(self, slot: int, ports: Set[Port]) -> None:
        """Take these as the ports that are taken on the host."""
        before = self._by_slot[slot]
        if before == ports:
            return
        self._by_slot[slot] = frozenset(ports)
        for port in before - ports:
            self._by_port[port].discard(slot)
            if port in self._columns:
                self._columns[port][slot] = False
        self._mark(slot, ports - before)

    def take(self, slot: int, ports: Sequence[Port]) -> None:
        """The host gives away these ports."""
        self._by_slot[slot] = self._by_slot[slot].union(ports)
        self._mark(slot, ports)

    def taken(self, port: Port) -> Mask:
        """The hosts on which the port is taken; not to be changed."""
        column = self._columns.get(port)
        if column is None:
            if len(self._columns) >= MOST_COLUMNS:
                self._columns.clear()
            column = self._columns[port] = np.zeros(self._size, dtype=np.bool_)
            column[list(self._by_port.get(port, ()))] = True
        return column

    def _mark(self, slot: int, ports: Iterable[Port]) -> None:
        for port in ports:
            self._by_port.setdefault(port, set()).add(slot)
            if port in self._columns:
                self._columns[port][slot] = True
