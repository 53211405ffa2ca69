"""Floors: the least that NumPy needs for the arithmetic of one decision, with nothing around it.

No constraint, no tie-breaking, no reasons, no result but the arrays: what an engine adds to this is its own.
"""

from collections.abc import Sequence

import numpy as np

from scheduler.placement import Ask, Host


def place_groups_bare(hosts: Sequence[Host], asks: Sequence[Ask], count: int) -> int:
    """Fill hosts in the order of their free memory with ``count`` tasks for each ask; answers how many were placed."""
    cpu, memory = _columns(hosts)
    placed = 0
    for ask in asks:
        room = np.minimum(cpu // ask.cpu, memory // ask.memory)
        order = np.argsort(memory, kind="stable")
        filled = np.minimum(np.cumsum(room[order]), count)
        taken = np.empty_like(room)
        taken[order] = np.diff(filled, prepend=0)
        cpu -= taken * ask.cpu
        memory -= taken * ask.memory
        placed += int(filled[-1])
    return placed


def place_each_bare(hosts: Sequence[Host], asks: Sequence[Ask]) -> int:
    """Put each ask on the fitting host with the least free memory; answers how many were placed."""
    cpu, memory = _columns(hosts)
    most = np.iinfo(np.int64).max
    placed = 0
    for ask in asks:
        best = int(np.where((cpu >= ask.cpu) & (memory >= ask.memory), memory, most).argmin())
        if memory[best] < ask.memory or cpu[best] < ask.cpu:
            continue
        cpu[best] -= ask.cpu
        memory[best] -= ask.memory
        placed += 1
    return placed


def _columns(hosts: Sequence[Host]) -> tuple["np.ndarray[tuple[int], np.dtype[np.int64]]", ...]:
    return (
        np.array([host.free_cpu for host in hosts], dtype=np.int64),
        np.array([host.free_memory for host in hosts], dtype=np.int64),
    )
