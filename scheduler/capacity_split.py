"""How tasks are split over the capacity providers of a strategy: its base first, then by weight. Pure.

Source: ECS API, CapacityProviderStrategyItem.
"""

from collections.abc import Mapping, Sequence
from heapq import heapify, heapreplace
from typing import Any


def split(count: int, strategy: Sequence[Mapping[str, Any]], running: Mapping[str, int]) -> dict[str, int]:
    """How many of ``count`` more tasks each provider gets, by name; providers that get none are left out.

    ``running`` are the tasks that each has already. A provider gets tasks until it has its ``base``; beyond bases,
    each next task goes to the provider that has least for its ``weight``, so that what is amiss (a base that was
    lowered, tasks that ended on one provider alone) evens out with new tasks and moves none. Of equals, the first
    named is taken. A strategy without any weight gives what is beyond the bases to its first provider.
    """
    shares: dict[str, int] = {}
    left = count
    for item in strategy:
        name = item["capacityProvider"]
        wanted = min(left, max(0, _base(item) - running.get(name, 0)))
        if wanted > 0:
            shares[name] = wanted
            left -= wanted
    weighty = [(order, item) for order, item in enumerate(strategy) if item.get("weight")]
    if left and strategy and not weighty:
        first = strategy[0]["capacityProvider"]
        shares[first] = shares.get(first, 0) + left
        left = 0
    # What each has beyond its base, and one more, for its weight: the least of these is next.
    queue = []
    for order, item in weighty:
        name = item["capacityProvider"]
        beyond = max(0, running.get(name, 0) + shares.get(name, 0) - _base(item))
        queue.append(((beyond + 1) / item["weight"], order, name, beyond, item["weight"]))
    heapify(queue)
    for _ in range(left):
        _, order, name, beyond, weight = queue[0]
        shares[name] = shares.get(name, 0) + 1
        heapreplace(queue, ((beyond + 2) / weight, order, name, beyond + 1, weight))
    return shares


def _base(item: Mapping[str, Any]) -> int:
    return item.get("base") or 0
