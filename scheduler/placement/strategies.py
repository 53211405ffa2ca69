"""Strategies: what ECS lets one write, read and checked; up to five in a chain, each narrowing what the last left.

``spread`` counts the tasks of the ask's own group, as ECS does. ``binpack`` prefers the host with the least left.
``random`` picks one. ``choice`` applies a chain to one ask, ``groups`` to many alike.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from scheduler.placement.world import Strategy

MOST_STRATEGIES = 5
AVAILABILITY_ZONE = "attribute:ecs.availability-zone"
DEFAULT = (Strategy(type="spread", field=AVAILABILITY_ZONE), Strategy(type="spread", field="instanceId"))
"""For services without a strategy: over availability zones, then over hosts."""
BINPACK_FIELDS = ("cpu", "memory", "cpu+memory")
"""The last is Berth's own: best fit over both."""


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


@lru_cache(maxsize=1024)
def check_chain(strategy: tuple[Strategy, ...]) -> None:
    """Raise BadStrategy unless placement knows every link."""
    for link in strategy:
        match link.type, link.field:
            case ("random", _) | ("spread", "instanceId" | "host"):
                pass
            case "binpack", field if field in BINPACK_FIELDS:
                pass
            case "spread", str(field) if field.startswith("attribute:"):
                pass
            case kind, field:
                raise BadStrategy(f"Unknown placement strategy {kind!r} over {field!r}.")


def attribute_of(link: Strategy) -> str | None:
    """The attribute that a link spreads over; None when it does something else."""
    if link.type == "spread" and link.field is not None and link.field.startswith("attribute:"):
        return link.field[len("attribute:") :]
    return None


def _read(kind: str, field: str | None) -> Strategy:
    match kind:
        case "random":
            return Strategy(type="random")
        case "binpack":
            if field is None or field.lower() not in BINPACK_FIELDS:
                raise BadStrategy(f"The binpack strategy takes the field cpu, memory or cpu+memory, {_not(field)}.")
            return Strategy(type="binpack", field=field.lower())
        case "spread":
            name = field or ""
            if name in ("instanceId", "host"):
                return Strategy(type="spread", field="instanceId")
            if name.startswith("attribute:") and len(name) > len("attribute:"):
                return Strategy(type="spread", field=name)
            raise BadStrategy(f"The spread strategy takes the field instanceId, host or attribute:NAME, {_not(field)}.")
        case _:
            raise BadStrategy(f"Unknown placement strategy type {kind!r}: random, spread or binpack.")


def _not(field: str | None) -> str:
    return "and none was given" if field is None else f"not {field!r}"
