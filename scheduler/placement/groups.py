"""Groups: many tasks alike shared out over the hosts in a few steps on whole arrays.

Each link of a strategy shares the tasks out as it would have, had they come one by one, and leaves to the next link
what it likes equally: a spread fills its hosts or values like water and hands on the last, partial level; binpack
fills hosts in the order of what is left and hands on those with equally much; random throws.
"""

import heapq
from collections.abc import Iterator

import numpy as np

from scheduler.placement.arrays import Floats, Ints, Slots
from scheduler.placement.draft import Draft
from scheduler.placement.levels import fill, scatter
from scheduler.placement.strategies import attribute_of
from scheduler.placement.world import Strategy

Links = tuple[Strategy, ...]


def share(draft: Draft, slots: Slots, room: Ints, count: int, links: Links) -> None:
    """Share ``count`` tasks out over hosts that have room for each of them."""
    if count <= 0:
        return
    if count >= int(room.sum()):
        draft.give(slots, room)
        return
    if not links:
        _one_by_one(draft, slots, room, count, links)
        return
    link, rest = links[0], links[1:]
    match link.type, link.field:
        case "random", _:
            draft.give(slots, scatter(room, count, draft.chance.numbers))
        case "binpack", "cpu+memory":
            _best_fit(draft, slots, room, count, rest)
        case "binpack", str(field):
            _pack(draft, slots, room, count, field, rest)
        case _:
            name = attribute_of(link)
            if name is None:
                _spread_over_hosts(draft, slots, room, count, rest)
            else:
                _spread_over_values(draft, slots, room, count, name, rest)


def _one_by_one(draft: Draft, slots: Slots, room: Ints, count: int, links: Links) -> None:
    """Fill the hosts one after another in the order that the links and ties give."""
    while any(attribute_of(link) for link in links) and count and len(slots):
        # Each host filled changes what its attribute's value counts, and with it the order of the others.
        first = draft.arrange(slots, links)[0]
        got = min(count, int(room[first]))
        draft.give(slots[first : first + 1], np.array([got], dtype=np.int64))
        slots, room, count = np.delete(slots, first), np.delete(room, first), count - got
    if count and len(slots):
        order = draft.arrange(slots, links)
        upto = room[order].cumsum()
        draft.give(slots[order], np.clip(count - upto + room[order], 0, room[order]))


def _pack(draft: Draft, slots: Slots, room: Ints, count: int, field: str, rest: Links) -> None:
    left = draft.left(slots, field)
    order = np.argsort(left, kind="stable")
    left, slots, room = left[order], slots[order], room[order]
    upto = room.cumsum()
    last = left[int(np.searchsorted(upto, count))]
    begin, end = int(np.searchsorted(left, last)), int(np.searchsorted(left, last, side="right"))
    if begin:
        draft.give(slots[:begin], room[:begin])
        count -= int(upto[begin - 1])
    if draft.ask.cpu if field == "cpu" else draft.ask.memory:
        # The host that gets the first of them has the least left from then on, and so gets the next as well.
        _one_by_one(draft, slots[begin:end], room[begin:end], count, rest)
    else:
        share(draft, slots[begin:end], room[begin:end], count, rest)


def _best_fit(draft: Draft, slots: Slots, room: Ints, count: int, rest: Links) -> None:
    """Always the host with the least misfit, whichever way a host's misfit changes as it fills: hosts not begun wait
    in order, begun ones in a heap, and one host is given as many as it takes to be no longer the best."""
    scores = draft.misfits(slots)
    waiting = _in_order(draft, slots, scores, rest)
    begun: list[tuple[float, int, int]] = []
    following = next(waiting, None)
    turn = 0
    while count:
        if begun and (following is None or begun[0][0] <= scores[following]):
            _, _, at = heapq.heappop(begun)
        else:
            assert following is not None, "there is more room than tasks"
            at, following = following, next(waiting, None)
        rivals = [score for score, _, _ in begun[:1]]
        if following is not None:
            rivals.append(float(scores[following]))
        most = min(count, int(room[at]))
        ahead = draft.misfits(slots[at : at + 1], np.arange(1, most + 1))
        worse = ahead > min(rivals, default=np.inf)
        got = int(worse.argmax()) + 1 if worse.any() else most
        draft.give(slots[at : at + 1], np.array([got], dtype=np.int64))
        room[at] -= got
        count -= got
        if room[at]:
            heapq.heappush(begun, (float(ahead[got - 1]), turn, at))
            turn += 1


def _in_order(draft: Draft, slots: Slots, scores: Floats, rest: Links) -> Iterator[int]:
    """Positions by score; those with equal scores in the order of the other links, found when they are reached."""
    order = np.argsort(scores, kind="stable")
    ranked = scores[order]
    at = 0
    while at < len(order):
        end = int(np.searchsorted(ranked, ranked[at], side="right"))
        tied = order[at:end]
        yield from tied[draft.arrange(slots[tied], rest)].tolist()
        at = end


def _spread_over_hosts(draft: Draft, slots: Slots, room: Ints, count: int, rest: Links) -> None:
    counts = draft.members(slots)
    whole, level = fill(counts, room, count)
    draft.give(slots, whole)
    last = ((counts + whole == level) & (whole < room)).nonzero()[0]
    share(draft, slots[last], np.ones(len(last), dtype=np.int64), count - int(whole.sum()), rest)


def _spread_over_values(draft: Draft, slots: Slots, room: Ints, count: int, name: str, rest: Links) -> None:
    """Water over the values, then each value's part over its hosts, then the last level to the values whose best
    host the rest of the chain likes best."""
    codes = draft.fleet.fields.attribute(name).codes[slots]
    order = np.argsort(codes, kind="stable")
    slots, room, codes = slots[order], room[order], codes[order]
    begins = np.concatenate(([0], np.flatnonzero(np.diff(codes)) + 1))
    counts, rooms = draft.tally(name)[codes[begins]], np.add.reduceat(room, begins)
    whole, level = fill(counts, rooms, count)
    before = draft.given[slots]
    ends = np.append(begins[1:], len(slots))
    for number in whole.nonzero()[0].tolist():
        part = slice(int(begins[number]), int(ends[number]))
        share(draft, slots[part], room[part], int(whole[number]), rest)
    more = count - int(whole.sum())
    if more:
        last = np.repeat((counts + whole == level) & (whole < rooms), ends - begins)
        open_ones = (last & (draft.given[slots] - before < room)).nonzero()[0]
        liked = open_ones[draft.arrange(slots[open_ones], rest)]
        _, firsts = np.unique(codes[liked], return_index=True)
        best = liked[np.sort(firsts)[:more]]
        draft.give(slots[best], np.ones(len(best), dtype=np.int64))
