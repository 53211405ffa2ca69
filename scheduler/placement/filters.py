"""Filters: which hosts can take an ask now, each a mask over all hosts, and how many such tasks each could take.

What a plan does not change (who is open, attributes, expressions) is put together once per requirement and kept by
the fleet; the rest is compared afresh for every ask.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from scheduler.placement.arrays import Ints, Mask, Slots
from scheduler.placement.constraints import check_constraint
from scheduler.placement.fleet import Fleet
from scheduler.placement.membership import members_of
from scheduler.placement.query import Query, parse
from scheduler.placement.world import Ask, Constraint, RequiredAttribute

MOST_STANDING = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """An ask's constraints, read: queries that tasks do not change, and those that they do."""

    distinct: bool
    steady: tuple[Query, ...]
    moody: tuple[Query, ...]
    names: tuple[str, ...]
    """The expressions of the steady ones."""


@lru_cache(maxsize=4096)
def rules_of(constraints: tuple[Constraint, ...]) -> Rules:
    """Read the constraints; raises BadConstraint."""
    for rule in constraints:
        check_constraint(rule)
    queries = tuple(parse(rule.expression or "") for rule in constraints if rule.type == "memberOf")
    steady = tuple(query for query in queries if not query.volatile)
    return Rules(
        distinct=any(rule.type == "distinctInstance" for rule in constraints),
        steady=steady,
        moody=tuple(query for query in queries if query.volatile),
        names=tuple(query.expression for query in steady),
    )


def fits(fleet: Fleet, ask: Ask, rules: Rules) -> Mask:
    """The hosts that can take one task like the ask."""
    columns = fleet.columns
    mask: Mask = columns.memory >= ask.memory
    mask &= columns.cpu >= ask.cpu
    mask &= standing(fleet, ask, rules)
    if rules.moody:
        for query in rules.moody:
            mask &= members_of(fleet, query.tree)
    if rules.distinct:
        mask &= fleet.members.column(ask.group) == 0
    for free, need in further_needs(fleet, ask):
        mask &= free >= need
    for port in ask.ports:
        mask &= ~fleet.ports.taken(port)
    return mask


def room_for(fleet: Fleet, ask: Ask, rules: Rules, most: int) -> tuple[Slots, Ints]:
    """The hosts that fit, and how many tasks like the ask each of them can take, ``most`` at most."""
    slots = fits(fleet, ask, rules).nonzero()[0]
    if rules.distinct or ask.ports:
        return slots, np.ones(len(slots), dtype=np.int64)
    room = np.full(len(slots), most, dtype=np.int64)
    columns = fleet.columns
    for free, need in ((columns.memory, ask.memory), (columns.cpu, ask.cpu), *further_needs(fleet, ask)):
        # A need beyond the arrays' numbers fits no host, so there is no slot to divide for.
        if need and len(slots):
            np.minimum(room, free[slots] // need, out=room)
    return slots, room


def standing(fleet: Fleet, ask: Ask, rules: Rules) -> Mask:
    """The hosts that meet what a plan does not change; not to be changed."""
    if not ask.attributes and not rules.names:
        return fleet.columns.open
    key = (ask.attributes, rules.names)
    mask = fleet.standing.get(key)
    if mask is None:
        mask = fleet.columns.open.copy()
        for wanted in ask.attributes:
            mask &= has(fleet, wanted)
        for query in rules.steady:
            mask &= members_of(fleet, query.tree)
        if len(fleet.standing) >= MOST_STANDING:
            fleet.standing.clear()
        fleet.standing[key] = mask
    return mask


def has(fleet: Fleet, wanted: RequiredAttribute) -> Mask:
    """The hosts that have the attribute, with the value where one is wanted."""
    field = fleet.fields.attribute(wanted.name)
    return field.exists() if wanted.value is None else field.equals(wanted.value)


def further_needs(fleet: Fleet, ask: Ask) -> Iterator[tuple[Ints, int]]:
    """Each quantity besides CPU and memory that the ask needs, with what the hosts have of it."""
    columns = fleet.columns
    if ask.gpus:
        yield columns.gpus, ask.gpus
    if ask.address:
        yield columns.addresses, 1
    for name, amount in ask.resources:
        if amount:
            have = columns.resources.get(name)
            yield np.zeros(columns.size, dtype=np.int64) if have is None else have, amount


def check(ask: Ask) -> None:
    """Raise ValueError for an ask that no caller may make."""
    if ask.cpu < 0 or ask.memory < 0 or ask.gpus < 0 or any(amount < 0 for _, amount in ask.resources):
        raise ValueError(f"the ask {ask.id} has a negative demand")
    if len({name for name, _ in ask.resources}) != len(ask.resources):
        raise ValueError(f"the ask {ask.id} names a resource twice")
