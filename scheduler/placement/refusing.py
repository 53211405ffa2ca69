"""Refusing: finds out of every host why it cannot take an ask, hurdle after hurdle, all hosts at once.

A host is counted at the first hurdle that it fails, so the hosts that fail the last hurdles came nearest.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from scheduler.placement.arrays import Ints, Mask, Slots
from scheduler.placement.filters import Rules, has
from scheduler.placement.fleet import HURDLES, Fleet
from scheduler.placement.membership import members_of
from scheduler.placement.refusal import MOST_OBJECTIONS, Objection, Reason, Refused, Why
from scheduler.placement.world import Ask


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The hosts that failed one hurdle, the nearest first; ``free`` goes with them where a quantity is short."""

    why: Why
    what: str
    slots: Slots
    asked: int | None = None
    free: Ints | None = None


def refuse(fleet: Fleet, ask: Ask, rules: Rules) -> Refused:
    """The refusal of an ask that fits no host now."""
    failed = list(_fail_all(fleet, ask, rules))
    reasons = sorted(
        (_reason(fleet, one) for one in failed), key=lambda reason: (-reason.hosts, HURDLES.index(reason.why))
    )
    return Refused(ask=ask.id, reasons=tuple(reasons), objections=tuple(_objections(fleet, failed)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hurdle:
    why: Why
    fails: Mask
    what: str = ""
    asked: int | None = None
    free: Ints | None = None


def _fail_all(fleet: Fleet, ask: Ask, rules: Rules) -> Iterator[Failed]:
    left = fleet.columns.used.copy()
    for hurdle in _hurdles(fleet, ask, rules):
        slots = (left & hurdle.fails).nonzero()[0]
        if not len(slots):
            continue
        left[slots] = False
        free = None
        if hurdle.free is not None:
            slots = slots[np.argsort(-hurdle.free[slots], kind="stable")]
            free = hurdle.free[slots]
        yield Failed(why=hurdle.why, what=hurdle.what, slots=slots, asked=hurdle.asked, free=free)


def _hurdles(fleet: Fleet, ask: Ask, rules: Rules) -> Iterator[_Hurdle]:
    columns = fleet.columns
    for why in (Why.INACTIVE, Why.DRAINING, Why.DISCONNECTED):
        yield _Hurdle(why=why, fails=~columns.open & (columns.hurdle == HURDLES.index(why)))
    for wanted in ask.attributes:
        yield _Hurdle(why=Why.ATTRIBUTE, what=wanted.name, fails=~has(fleet, wanted))
    for query in (*rules.steady, *rules.moody):
        yield _Hurdle(why=Why.MEMBER_OF, what=query.expression, fails=~members_of(fleet, query.tree))
    if rules.distinct:
        yield _Hurdle(why=Why.DISTINCT, fails=fleet.members.column(ask.group) > 0)
    yield _short(Why.MEMORY, ask.memory, columns.memory)
    yield _short(Why.CPU, ask.cpu, columns.cpu)
    if ask.gpus:
        yield _short(Why.GPUS, ask.gpus, columns.gpus)
    for name, amount in ask.resources:
        if amount:
            have = columns.resources.get(name)
            yield _short(Why.RESOURCE, amount, np.zeros(columns.size, np.int64) if have is None else have, name)
    for number, protocol in ask.ports:
        yield _Hurdle(why=Why.PORTS, what=f"{number}/{protocol}", fails=fleet.ports.taken((number, protocol)))
    if ask.address:
        yield _short(Why.ADDRESSES, 1, columns.addresses)


def _short(why: Why, asked: int, free: Ints, what: str = "") -> _Hurdle:
    return _Hurdle(why=why, what=what, fails=free < asked, asked=asked, free=free)


def _reason(fleet: Fleet, failed: Failed) -> Reason:
    return Reason(
        why=failed.why,
        hosts=len(failed.slots),
        closest=fleet.id_at(int(failed.slots[0])),
        asked=failed.asked,
        free=None if failed.free is None else int(failed.free[0]),
        what=failed.what,
    )


def _objections(fleet: Fleet, failed: Sequence[Failed]) -> Iterator[Objection]:
    left = MOST_OBJECTIONS
    for one in reversed(failed):
        free: Sequence[int | None] = [None] * left if one.free is None else one.free[:left].tolist()
        for slot, amount in zip(one.slots[:left].tolist(), free, strict=False):
            yield Objection(host=fleet.id_at(slot), why=one.why, asked=one.asked, free=amount, what=one.what)
        left -= min(left, len(one.slots))
