"""Placement itself: from hosts and asks to a plan, and from a group of asks alike to its hosts.

Placements see each other, no host is ever over-committed, and the same seed and input give the same plan. Asks alike
that follow one another are decided together, in one step; others share the fleet's columns, updated in place.
"""

from collections.abc import Iterable, Sequence
from itertools import chain, repeat

from scheduler.placement.chance import Chance
from scheduler.placement.choice import choose
from scheduler.placement.draft import Draft
from scheduler.placement.filters import Rules, check, fits, room_for, rules_of
from scheduler.placement.fleet import Fleet
from scheduler.placement.groups import share
from scheduler.placement.plan import GroupPlan, On, Placed, Plan
from scheduler.placement.refusal import Refused
from scheduler.placement.refusing import refuse
from scheduler.placement.strategies import DEFAULT, check_chain
from scheduler.placement.world import Ask, Host, Shape, shape_of


def place(hosts: Iterable[Host] | Fleet, asks: Sequence[Ask], *, seed: int) -> Plan:
    """Find a host for each ask, in the order of the asks; a Fleet is updated in place.

    Raises BadConstraint or BadStrategy when an ask carries a rule that cannot be honoured, and ValueError when an
    ask is negative: all are faults of the caller, which checks at the API.
    """
    fleet = hosts if isinstance(hosts, Fleet) else Fleet(hosts)
    chance = Chance(seed)
    refusals: dict[Shape, tuple[int, Refused]] = {}
    results: list[Placed | Refused] = []
    begin, count = 0, len(asks)
    while begin < count:
        ask = asks[begin]
        end = begin + 1
        while end < count and alike(ask, asks[end]):
            end += 1
        if end - begin > 1:
            results += _results(_place_group(fleet, ask, end - begin, chance), asks[begin:end])
        else:
            results.append(_place_one(fleet, ask, chance, refusals))
        begin = end
    return Plan(results=tuple(results))


def place_group(fleet: Fleet, ask: Ask, count: int, *, seed: int) -> GroupPlan:
    """Find hosts for ``count`` tasks like the ask; the fleet is updated in place. Raises as ``place`` does."""
    return _place_group(fleet, ask, count, Chance(seed))


def alike(one: Ask, other: Ask) -> bool:
    """Whether any host treats the two alike; most pairs that are not differ in what is compared first."""
    return one.memory == other.memory and one.cpu == other.cpu and shape_of(one) == shape_of(other)


def _place_one(fleet: Fleet, ask: Ask, chance: Chance, refusals: dict[Shape, tuple[int, Refused]]) -> Placed | Refused:
    rules = _read(ask)
    slot = choose(fleet, ask, fits(fleet, ask, rules), chance)
    if slot is not None:
        return Placed(ask=ask.id, host=fleet.id_at(slot), gpus=fleet.take(slot, ask))
    shape = shape_of(ask)
    version, known = refusals.get(shape, (-1, None))
    if known is None or version != fleet.version:
        known = refuse(fleet, ask, rules)
        refusals[shape] = (fleet.version, known)
    return Refused(ask=ask.id, reasons=known.reasons, objections=known.objections)


def _place_group(fleet: Fleet, ask: Ask, count: int, chance: Chance) -> GroupPlan:
    rules = _read(ask)
    if rules.moody:
        return _place_moody(fleet, ask, count, chance, rules)
    slots, room = room_for(fleet, ask, rules, count)
    draft = Draft(fleet, ask, chance, alone=count == 1 and not ask.queued)
    placed = min(count, int(room.sum()))
    share(draft, slots, room, placed, ask.strategy or DEFAULT)
    taken, counts = draft.shares()
    gpus = fleet.take_all(taken, ask, counts)
    on = tuple(
        On(host=host, count=got, gpus=pinned)
        for host, got, pinned in zip(fleet.ids_at(taken), counts.tolist(), gpus or repeat(()), strict=False)
    )
    missing = count - placed
    return GroupPlan(on=on, refused=refuse(fleet, ask, rules) if missing > 0 else None, missing=missing)


def _place_moody(fleet: Fleet, ask: Ask, count: int, chance: Chance, rules: Rules) -> GroupPlan:
    """One by one, because each task placed may turn what the ask's expressions say of its host."""
    shares: dict[str, tuple[int, tuple[tuple[str, ...], ...]]] = {}
    missing = count
    while missing:
        slot = choose(fleet, ask, fits(fleet, ask, rules), chance)
        if slot is None:
            break
        got, gpus = shares.get(fleet.id_at(slot), (0, ()))
        pinned = fleet.take(slot, ask)
        shares[fleet.id_at(slot)] = (got + 1, (*gpus, pinned) if pinned else gpus)
        missing -= 1
    on = tuple(On(host=host, count=got, gpus=gpus) for host, (got, gpus) in shares.items())
    return GroupPlan(on=on, refused=refuse(fleet, ask, rules) if missing else None, missing=missing)


def _results(plan: GroupPlan, asks: Sequence[Ask]) -> Iterable[Placed | Refused]:
    """A result for each ask of a group, in the order of the hosts."""
    seats = chain.from_iterable(zip(repeat(on.host, on.count), on.gpus or repeat(()), strict=False) for on in plan.on)
    for ask, (host, gpus) in zip(asks, seats, strict=False):
        yield Placed(ask=ask.id, host=host, gpus=gpus)
    if plan.refused is not None:
        for ask in asks[len(asks) - plan.missing :]:
            yield Refused(ask=ask.id, reasons=plan.refused.reasons, objections=plan.refused.objections)


def _read(ask: Ask) -> Rules:
    check(ask)
    check_chain(ask.strategy)
    return rules_of(ask.constraints)
