"""Columns: what is left of each host, as one array a quantity; a host is a slot, the same in every column.

Unused slots are closed and hold nothing. ``lean`` says by how much a host leans to one side: the share of its CPU
that is free less the share of its memory, so that 0 is balance.
"""

import numpy as np

from scheduler.placement.arrays import UNLIMITED, Floats, Ints, Mask, Slots
from scheduler.placement.world import Ask, Host

_PLAIN = (
    *("open", "active", "used", "hurdle", "marks"),
    *("cpu", "memory", "tasks", "addresses", "gpus"),
    *("per_cpu", "per_memory", "per_gpu", "lean"),
)


class Columns:
    """The arrays; ``per_cpu`` and ``per_memory`` are one over what the host registered."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.open: Mask = np.zeros(size, dtype=np.bool_)
        """Takes new tasks: active and connected."""
        self.active: Mask = np.zeros(size, dtype=np.bool_)
        self.used: Mask = np.zeros(size, dtype=np.bool_)
        """Holds a host at all."""
        self.hurdle = np.zeros(size, dtype=np.int8)
        """Why a host that is not open is not, as a number of its ``Why``."""
        self.cpu: Ints = np.zeros(size, dtype=np.int64)
        self.memory: Ints = np.zeros(size, dtype=np.int64)
        self.tasks: Ints = np.zeros(size, dtype=np.int64)
        self.addresses: Ints = np.zeros(size, dtype=np.int64)
        self.gpus: Ints = np.zeros(size, dtype=np.int64)
        self.marks = np.zeros(size, dtype=np.uint64)
        """A number that belongs to the host's id, for ranks that do not depend on slots."""
        self.per_cpu: Floats = np.zeros(size)
        self.per_memory: Floats = np.zeros(size)
        self.per_gpu: Floats = np.zeros(size)
        """0 where there are none."""
        self.lean: Floats = np.zeros(size)
        self.resources: dict[str, Ints] = {}

    def grow(self, size: int) -> None:
        """Make room for more slots."""
        for name in _PLAIN:
            before = getattr(self, name)
            after = np.zeros(size, dtype=before.dtype)
            after[: self.size] = before
            setattr(self, name, after)
        for name, column in self.resources.items():
            self.resources[name] = np.concatenate((column, np.zeros(size - self.size, dtype=np.int64)))
        self.size = size

    def put(self, slot: int, host: Host) -> None:
        """Write what is free on the host."""
        self.cpu[slot] = host.free_cpu
        self.memory[slot] = host.free_memory
        self.tasks[slot] = host.tasks
        self.addresses[slot] = UNLIMITED if host.free_addresses is None else host.free_addresses
        self.gpus[slot] = len(host.gpus)
        self.per_cpu[slot] = 1 / max(host.registered_cpu, 1)
        self.per_memory[slot] = 1 / max(host.registered_memory, 1)
        self.per_gpu[slot] = 1 / host.registered_gpus if host.registered_gpus else 0
        self.weigh(slot)
        for name, column in self.resources.items():
            if name not in host.resources:
                column[slot] = 0
        for name, free in host.resources.items():
            if name not in self.resources:
                self.resources[name] = np.zeros(self.size, dtype=np.int64)
            self.resources[name][slot] = free

    def take(self, slots: int | Slots, ask: Ask, counts: int | Ints) -> None:
        """Give so many tasks like the ask their share of a host, or of each of many."""
        self.cpu[slots] -= ask.cpu * counts
        self.memory[slots] -= ask.memory * counts
        self.tasks[slots] += counts
        self.weigh(slots)
        if ask.gpus:
            self.gpus[slots] -= ask.gpus * counts
        if ask.address:
            have = self.addresses[slots]
            self.addresses[slots] = np.where(have == UNLIMITED, have, have - counts)
        for name, amount in ask.resources:
            if amount:
                self.resources[name][slots] -= amount * counts

    def weigh(self, slots: int | Slots) -> None:
        """Bring ``lean`` up to date with what is free."""
        self.lean[slots] = self.cpu[slots] * self.per_cpu[slots] - self.memory[slots] * self.per_memory[slots]
