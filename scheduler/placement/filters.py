"""Filters: functions that object to a host for an ask, or stay silent.

``STANDING`` filters read what a plan does not change and run once per shape of ask; ``PASSING`` filters read
what earlier placements of the same plan use up.
"""

from collections.abc import Callable
from dataclasses import replace

from scheduler.placement.constraints import eligible
from scheduler.placement.plan import Objection, Why
from scheduler.placement.room import Room
from scheduler.placement.world import Ask

Filter = Callable[[Room, Ask], Objection | None]


def accepting(room: Room, ask: Ask) -> Objection | None:
    """Only ACTIVE container instances take new tasks."""
    if room.host.status == "ACTIVE":
        return None
    return _object(room, Why.DRAINING if room.host.status == "DRAINING" else Why.INACTIVE)


def connected(room: Room, ask: Ask) -> Objection | None:
    """The agent must be there to start the task."""
    return None if room.host.connected else _object(room, Why.DISCONNECTED)


def attributes_match(room: Room, ask: Ask) -> Objection | None:
    """Every attribute that the task definition requires is on the host."""
    have = room.host.attributes
    for wanted in ask.attributes:
        if wanted.name not in have or (wanted.value is not None and have[wanted.name] != wanted.value):
            return _object(room, Why.ATTRIBUTE, what=wanted.name)
    return None


def constraints_hold(room: Room, ask: Ask) -> Objection | None:
    """``distinctInstance``: no two tasks of a group on one host; ``memberOf``: the expression names the host."""
    if not eligible(replace(room.host, tasks=room.tasks, groups=room.groups), ask.constraints):
        return _object(room, Why.MEMBER_OF)
    if room.groups.get(ask.group, 0) and any(rule.type == "distinctInstance" for rule in ask.constraints):
        return _object(room, Why.DISTINCT)
    return None


def fits(room: Room, ask: Ask) -> Objection | None:
    """Enough memory, CPU, static host ports and addresses are left."""
    if room.memory < ask.memory:
        return _object(room, Why.MEMORY, ask.memory - room.memory)
    if room.cpu < ask.cpu:
        return _object(room, Why.CPU, ask.cpu - room.cpu)
    if ask.ports and not room.ports.isdisjoint(ask.ports):
        return _object(room, Why.PORTS, len(room.ports.intersection(ask.ports)))
    if ask.address and room.addresses is not None and room.addresses < 1:
        return _object(room, Why.ADDRESSES, 1)
    return None


STANDING: tuple[Filter, ...] = (accepting, connected, attributes_match)
PASSING: tuple[Filter, ...] = (constraints_hold, fits)


def objection(room: Room, ask: Ask, filters: tuple[Filter, ...]) -> Objection | None:
    """The first filter's objection, or None when all are silent."""
    for check in filters:
        found = check(room, ask)
        if found is not None:
            return found
    return None


def _object(room: Room, why: Why, short: int | None = None, what: str = "") -> Objection:
    return Objection(host=room.host.id, why=why, short=short, what=what)
