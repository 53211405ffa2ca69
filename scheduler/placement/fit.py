"""Best fit over both CPU and memory: Berth's ``binpack`` over ``cpu+memory``.

ECS packs by one dimension and looks at the other only to see whether a task fits at all.
"""

from scheduler.placement.arrays import Floats, Ints
from scheduler.placement.world import Ask


def misfit(ask: Ask, cpu: Ints, memory: Ints, per_cpu: Floats, per_memory: Floats) -> Floats:
    """How badly one task like the ask fits each host; the least is the best. ``cpu`` and ``memory`` are free before
    the task is there, ``per_*`` are one over what the host registered."""
    return (cpu - ask.cpu) * per_cpu + (memory - ask.memory) * per_memory
