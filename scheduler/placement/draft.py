"""Drafts: a group's tasks while they are shared out, before the fleet is told.

A draft knows what each host was given so far and answers what the host would look like with it.
"""

import numpy as np

from scheduler.placement.arrays import Floats, Ints, Slots
from scheduler.placement.chance import Chance
from scheduler.placement.fleet import Fleet
from scheduler.placement.leftovers import best_fit_scores
from scheduler.placement.strategies import BadStrategy, attribute_of
from scheduler.placement.ties import stranding
from scheduler.placement.world import Ask, Strategy


class Draft:
    """Tasks like one ask by slot, and the order in which hosts got them."""

    def __init__(self, fleet: Fleet, ask: Ask, chance: Chance, *, alone: bool = False) -> None:
        self.fleet = fleet
        self.ask = ask
        self.chance = chance
        self.alone = alone
        """Whether the task comes alone: neither a group nor a queue."""
        self.given: Ints = np.zeros(fleet.columns.size, dtype=np.int64)
        self._order: list[Slots] = []

    def give(self, slots: Slots, counts: Ints) -> None:
        """Each of these hosts, no host twice, gets so many tasks more."""
        self.given[slots] += counts
        self._order.append(slots[counts > 0])

    def shares(self) -> tuple[Slots, Ints]:
        """The hosts in the order in which they first got a task, and the tasks of each."""
        if not self._order:
            return np.zeros(0, dtype=np.intp), np.zeros(0, dtype=np.int64)
        if len(self._order) == 1:
            slots = self._order[0]
        else:
            slots = np.array(list(dict.fromkeys(np.concatenate(self._order).tolist())), dtype=np.intp)
        return slots, self.given[slots]

    def members(self, slots: Slots) -> Ints:
        """The tasks of the ask's group on each host."""
        return self.fleet.members.column(self.ask.group)[slots] + self.given[slots]

    def tally(self, name: str) -> Ints:
        """The tasks of the ask's group by number of the attribute's value."""
        tally = self.fleet.tallies.tally(self.ask.group, name)
        if not self._order:
            return tally
        codes = self.fleet.fields.attribute(name).codes
        return tally + np.bincount(codes, weights=self.given, minlength=len(tally)).astype(np.int64)

    def left(self, slots: Slots, field: str) -> Ints:
        """What is left of ``cpu`` or ``memory``."""
        columns = self.fleet.columns
        if field == "cpu":
            return columns.cpu[slots] - self.given[slots] * self.ask.cpu
        return columns.memory[slots] - self.given[slots] * self.ask.memory

    def misfits(self, slots: Slots, steps: int | Ints = 0) -> Floats:
        """How badly the next task but ``steps`` fits each host."""
        columns, ask = self.fleet.columns, self.ask
        cpu = self.left(slots, "cpu") - steps * ask.cpu
        memory = self.left(slots, "memory") - steps * ask.memory
        used = columns.tasks[slots] + self.given[slots] + steps > 0
        per_cpu, per_memory = columns.per_cpu[slots], columns.per_memory[slots]
        return best_fit_scores(
            self.fleet.leftovers(),
            ask.cpu,
            ask.memory,
            cpu,
            memory,
            per_cpu,
            per_memory,
            used,
            alone=self.alone,
            one=self.alone,
        )

    def arrange(self, slots: Slots, links: tuple[Strategy, ...]) -> Slots:
        """The order, as positions in ``slots``, in which the links and then the ties would take the hosts."""
        if len(slots) == 1:
            return np.zeros(1, dtype=np.intp)
        keys: list[np.ndarray[tuple[int], np.dtype[np.generic]]] = []
        for link in links:
            keys.append(self._key(slots, link))
            if link.type == "random":
                break
        here = self.fleet.images.on(self.ask.image)
        if here is not None:
            keys.append(~here[slots])
        keys.append(stranding(self.fleet, self.ask, slots, self.given[slots]))
        keys.append(self.fleet.columns.tasks[slots] + self.given[slots])
        keys.append(self.chance.ranks(self.fleet.columns.marks[slots]))
        return np.lexsort(keys[::-1])

    def _key(self, slots: Slots, link: Strategy) -> np.ndarray[tuple[int], np.dtype[np.generic]]:
        match link.type, link.field:
            case "random", _:
                return self.chance.numbers.random(len(slots))
            case "binpack", "cpu+memory":
                return self.misfits(slots)
            case "binpack", str(field):
                return self.left(slots, field)
            case "spread", ("instanceId" | "host"):
                return self.members(slots)
            case "spread", _ if (name := attribute_of(link)) is not None:
                return self.tally(name)[self.fleet.fields.attribute(name).codes[slots]]
            case kind, field:
                raise BadStrategy(f"Unknown placement strategy {kind!r} over {field!r}.")
