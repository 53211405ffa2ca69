"""Choice: one host for one ask. Each link of the strategy narrows the hosts that fit to the ones it likes best."""

import numpy as np

from scheduler.placement.arrays import Ints, Mask, Slots
from scheduler.placement.chance import Chance
from scheduler.placement.fleet import Fleet
from scheduler.placement.leftovers import best_fit_scores
from scheduler.placement.strategies import DEFAULT, BadStrategy, attribute_of
from scheduler.placement.ties import settle
from scheduler.placement.world import Ask, Strategy


def choose(fleet: Fleet, ask: Ask, fitting: Mask, chance: Chance) -> int | None:
    """The slot of the best of the hosts that fit; None when none does."""
    slots: Slots | None = None
    for link in ask.strategy or DEFAULT:
        if slots is None:
            narrowed = _least_value(fleet, ask, link, fitting)
            if narrowed is not None:
                fitting = narrowed
                continue
            slots = fitting.nonzero()[0]
        if len(slots) < 2:
            break
        if link.type == "random":
            return int(slots[chance.pick(len(slots))])
        scores = _scores(fleet, ask, link, slots)
        slots = slots.compress(scores == scores.min())
    if slots is None:
        slots = fitting.nonzero()[0]
    return settle(fleet, ask, slots, chance) if len(slots) else None


def _least_value(fleet: Fleet, ask: Ask, link: Strategy, fitting: Mask) -> Mask | None:
    """For spread over an attribute of few values: the hosts of the values with the fewest tasks, found by masks
    alone, which is cheaper than looking up the value of every host. None for any other link."""
    name = attribute_of(link)
    masks = fleet.fields.attribute(name).few() if name is not None else None
    if name is None or masks is None:
        return None
    tally: Ints = fleet.tallies.tally(ask.group, name)
    found: Mask | None = None
    least = -1
    for number in tally.argsort(kind="stable").tolist():
        count = tally.item(number)
        if found is not None and count > least:
            break
        hosts = fitting & masks[number]
        if hosts.any():
            found, least = (hosts if found is None else found | hosts), count
    return fitting if found is None else found


def _scores(fleet: Fleet, ask: Ask, link: Strategy, slots: Slots) -> np.ndarray[tuple[int], np.dtype[np.generic]]:
    """What the link says of each host; it likes the least."""
    columns = fleet.columns
    match link.type, link.field:
        case "binpack", "cpu":
            return columns.cpu.take(slots)
        case "binpack", "memory":
            return columns.memory.take(slots)
        case "binpack", "cpu+memory":
            cpu, memory = columns.cpu.take(slots), columns.memory.take(slots)
            per_cpu, per_memory = columns.per_cpu.take(slots), columns.per_memory.take(slots)
            used = columns.tasks.take(slots) > 0
            return best_fit_scores(
                fleet.leftovers(),
                ask.cpu,
                ask.memory,
                cpu,
                memory,
                per_cpu,
                per_memory,
                used,
                alone=not ask.queued,
            )
        case "spread", ("instanceId" | "host"):
            return fleet.members.column(ask.group).take(slots)
        case "spread", _ if (name := attribute_of(link)) is not None:
            return fleet.tallies.tally(ask.group, name)[fleet.fields.attribute(name).codes[slots]]
        case kind, field:
            raise BadStrategy(f"Unknown placement strategy {kind!r} over {field!r}.")
