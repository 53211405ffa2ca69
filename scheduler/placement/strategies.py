"""Strategies: each narrows the hosts that fit to the ones it likes best; up to five in a chain.

``spread`` counts the tasks of the ask's own group, as ECS does. ``binpack`` prefers the host with the least
left. ``random`` picks one. What a chain leaves equal goes to the host with the fewest tasks, then by chance.
"""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from scheduler.placement.room import Room
from scheduler.placement.world import Ask, Strategy

MOST_STRATEGIES = 5
AVAILABILITY_ZONE = "attribute:ecs.availability-zone"
DEFAULT = (Strategy(type="spread", field=AVAILABILITY_ZONE), Strategy(type="spread", field="instanceId"))
"""For services without a strategy: over availability zones, then over hosts."""


class BadStrategy(ValueError):
    """A placement strategy that ECS would refuse."""


def check_strategies(strategies: Sequence[Mapping[str, Any]] | None) -> tuple[Strategy, ...]:
    """Read ECS ``placementStrategy`` (``[{"type": …, "field": …}]``); raise BadStrategy with a text for people.

    Source: ECS API, PlacementStrategy.
    """
    given = strategies or ()
    if len(given) > MOST_STRATEGIES:
        raise BadStrategy(f"A placement strategy has at most {MOST_STRATEGIES} rules, not {len(given)}.")
    return tuple(_read(link.get("type") or "", link.get("field") or None) for link in given)


class Tally:
    """Tasks of a group by the value of a spread field, counted once over all hosts and then kept up to date.

    Hosts that take no new tasks do not count: what runs on a draining host is about to leave it.
    """

    def __init__(self, rooms: Sequence[Room]) -> None:
        self._rooms = [room for room in rooms if room.host.status == "ACTIVE"]
        self._counts: dict[tuple[str, str], dict[str | None, int]] = {}

    def count(self, room: Room, group: str, field: str) -> int:
        """Tasks of ``group`` on all hosts that share this host's value of ``field``."""
        counts = self._counts.get((group, field))
        if counts is None:
            counts = self._counts[group, field] = {}
            for other in self._rooms:
                value = _value(other, field)
                counts[value] = counts.get(value, 0) + other.groups.get(group, 0)
        return counts.get(_value(room, field), 0)

    def took(self, room: Room, group: str) -> None:
        """The host was given one more task of the group."""
        for (counted, field), counts in self._counts.items():
            if counted == group:
                value = _value(room, field)
                counts[value] = counts.get(value, 0) + 1


def choose(rooms: list[Room], ask: Ask, tally: Tally, rng: Random) -> Room:
    """The best of the rooms (at least one) that fit the ask."""
    for link in ask.strategy or DEFAULT:
        if len(rooms) == 1:
            break
        rooms = _narrow(rooms, link, ask, tally, rng)
    return min(rooms, key=lambda room: (room.tasks, room.rank))


def _read(kind: str, field: str | None) -> Strategy:
    match kind:
        case "random":
            return Strategy(type="random")
        case "binpack":
            if field is None or field.lower() not in ("cpu", "memory"):
                raise BadStrategy(f"The binpack strategy takes the field cpu or memory, not {field!r}.")
            return Strategy(type="binpack", field=field.lower())
        case "spread":
            name = field or ""
            if name in ("instanceId", "host"):
                return Strategy(type="spread", field="instanceId")
            if name.startswith("attribute:") and len(name) > len("attribute:"):
                return Strategy(type="spread", field=name)
            raise BadStrategy(f"The spread strategy takes the field instanceId, host or attribute:NAME, not {field!r}.")
        case _:
            raise BadStrategy(f"Unknown placement strategy type {kind!r}: random, spread or binpack.")


def _narrow(rooms: list[Room], link: Strategy, ask: Ask, tally: Tally, rng: Random) -> list[Room]:
    match link.type, link.field:
        case "random", _:
            return [rng.choice(rooms)]
        case "binpack", "cpu":
            scores = [room.cpu for room in rooms]
        case "binpack", "memory":
            scores = [room.memory for room in rooms]
        case "spread", ("instanceId" | "host"):
            scores = [room.groups.get(ask.group, 0) for room in rooms]
        case "spread", str(field) if field.startswith("attribute:"):
            scores = [tally.count(room, ask.group, field) for room in rooms]
        case kind, field:
            raise BadStrategy(f"Unknown placement strategy {kind!r} over {field!r}.")
    best = min(scores)
    return [room for room, score in zip(rooms, scores, strict=True) if score == best]


def _value(room: Room, field: str) -> str | None:
    return room.host.attributes.get(field.removeprefix("attribute:"))
