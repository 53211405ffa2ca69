"""Ties: what a strategy leaves equal goes to hosts that have the image, then where the least capacity is stranded,
then to the host with the fewest tasks, then by chance.

Capacity is stranded when another dimension runs out first: a host with half of its CPU and a tenth of its memory
free strands two fifths of its CPU. What counts is how much more the placement would strand.
"""

import numpy as np

from scheduler.placement.arrays import Floats, Ints, Slots
from scheduler.placement.chance import Chance
from scheduler.placement.fleet import Fleet
from scheduler.placement.world import Ask


def settle(fleet: Fleet, ask: Ask, slots: Slots, chance: Chance) -> int:
    """The best of the hosts, at least one, for one task."""
    here = fleet.images.on(ask.image)
    if here is not None and len(slots) > 1:
        having = here.take(slots)
        if having.any():
            slots = slots.compress(having)
    if len(slots) > 1:
        more = stranding(fleet, ask, slots, None)
        slots = slots.compress(more == more.min())
    if len(slots) > 1:
        tasks = fleet.columns.tasks.take(slots)
        slots = slots.compress(tasks == tasks.min())
    if len(slots) > 1:
        return int(slots[chance.dealt(fleet.columns.marks).take(slots).argmin()])
    return int(slots[0])


def stranding(fleet: Fleet, ask: Ask, slots: Slots, given: Ints | None) -> Floats:
    """How much more of each host one more task like the ask would strand, ``given`` such tasks being there already."""
    columns = fleet.columns
    per_cpu, per_memory = columns.per_cpu.take(slots), columns.per_memory.take(slots)
    if fleet.with_gpus:
        return _stranding_with_gpus(fleet, ask, slots, given)
    tilt = per_cpu * ask.cpu - per_memory * ask.memory
    lean = columns.lean.take(slots)
    if given is not None:
        lean = lean - given * tilt
    return np.abs(lean - tilt) - np.abs(lean)


def _stranding_with_gpus(fleet: Fleet, ask: Ask, slots: Slots, given: Ints | None) -> Floats:
    """The same over three dimensions where a host has GPUs, so that tasks without one leave such hosts alone."""
    there = np.zeros(len(slots), dtype=np.int64) if given is None else given
    return _stranded(fleet, ask, slots, there + 1) - _stranded(fleet, ask, slots, there)


def _stranded(fleet: Fleet, ask: Ask, slots: Slots, given: Ints) -> Floats:
    columns = fleet.columns
    cpu = (columns.cpu[slots] - given * ask.cpu) * columns.per_cpu.take(slots)
    memory = (columns.memory[slots] - given * ask.memory) * columns.per_memory.take(slots)
    per_gpu = columns.per_gpu[slots]
    gpus = (columns.gpus[slots] - given * ask.gpus) * per_gpu
    least = np.minimum(cpu, memory)
    of_three = cpu + memory + gpus - 3 * np.minimum(least, gpus)
    stranded: Floats = np.where(per_gpu > 0, of_three, cpu + memory - 2 * least)
    return stranded
