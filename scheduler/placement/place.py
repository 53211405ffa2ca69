"""Placement itself: a pure function from hosts and asks to a plan.

Placements of one plan see each other, no host is ever over-committed, and the same seed and input give the same
plan. Asks of one shape share a shortlist of hosts, so a thousand replicas filter the cluster once.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from random import Random

from scheduler.placement.constraints import check_constraint
from scheduler.placement.filters import PASSING, STANDING, objection
from scheduler.placement.plan import Objection, Placed, Plan, Refused, count_reasons
from scheduler.placement.room import Room, open_rooms
from scheduler.placement.strategies import Tally, choose
from scheduler.placement.world import Ask, Host, Shape, shape_of


def place(hosts: Iterable[Host], asks: Sequence[Ask], *, seed: int) -> Plan:
    """Find a host for each ask, in the order of the asks.

    Raises BadConstraint or BadStrategy when an ask carries a rule that cannot be honoured,
    and ValueError when an ask is negative: both are faults of the caller, which checks at the API.
    """
    rng = Random(seed)  # noqa: S311 (a reproducible plan is the point)
    rooms = open_rooms(hosts, rng)
    tally = Tally(rooms)
    shortlists: dict[Shape, Shortlist] = {}
    results: list[Placed | Refused] = []
    placed = 0
    for ask in asks:
        shape = shape_of(ask)
        shortlist = shortlists.get(shape)
        if shortlist is None:
            shortlist = shortlists[shape] = Shortlist(rooms, ask)
        fitting = shortlist.fitting()
        if not fitting:
            results.append(shortlist.refuse(ask, placed=placed))
            continue
        room = choose(fitting, ask, tally, rng)
        room.take(ask)
        tally.took(room, ask.group)
        placed += 1
        results.append(Placed(ask=ask.id, host=room.host.id))
    return Plan(results=tuple(results))


class Shortlist:
    """The hosts that may still take asks of one shape, and those that may not."""

    def __init__(self, rooms: Sequence[Room], ask: Ask) -> None:
        if ask.cpu < 0 or ask.memory < 0:
            raise ValueError(f"the ask {ask.id} has negative cpu or memory")
        for rule in ask.constraints:
            check_constraint(rule)
        self._ask = ask
        self._barred: list[Objection] = []
        self._rooms: list[Room] = []
        self._full: list[Room] = []
        for room in rooms:
            found = objection(room, ask, STANDING)
            if found is None:
                self._rooms.append(room)
            else:
                self._barred.append(found)
        self._refusal: tuple[int, Refused] | None = None

    def fitting(self) -> list[Room]:
        """The rooms that fit now. Rooms only shrink, so one that does not fit is dropped for good."""
        kept = []
        for room in self._rooms:
            if objection(room, self._ask, PASSING) is None:
                kept.append(room)
            else:
                self._full.append(room)
        self._rooms = kept
        return kept

    def refuse(self, ask: Ask, *, placed: int) -> Refused:
        """The refusal of an ask of this shape once no room fits. Until the plan places another task
        (``placed`` counts them) the reasons are the same for every such ask."""
        if self._refusal is None or self._refusal[0] != placed:
            passing = (objection(room, self._ask, PASSING) for room in self._full)
            found = [*self._barred, *(objected for objected in passing if objected is not None)]
            objections = tuple(sorted(found, key=lambda objected: objected.host))
            refused = Refused(ask=ask.id, reasons=count_reasons(objections), objections=objections)
            self._refusal = (placed, refused)
        return replace(self._refusal[1], ask=ask.id)
