"""Placement constraints: read and checked before placement, never passed over in silence.

``distinctInstance`` is built. ``memberOf`` needs the cluster query language, which is not built yet, so it is
refused by name.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from scheduler.placement.world import Constraint

MOST_CONSTRAINTS = 10


class BadConstraint(ValueError):
    """A placement constraint that ECS itself would refuse."""


class UnsupportedConstraint(ValueError):
    """A placement constraint that ECS knows and Berth has not built yet."""


def check_constraints(constraints: Sequence[Mapping[str, Any]] | None) -> tuple[Constraint, ...]:
    """Read ECS ``placementConstraints`` (``[{"type": …, "expression": …}]``); raise on what cannot be honoured.

    Source: ECS API, PlacementConstraint.
    """
    given = constraints or ()
    if len(given) > MOST_CONSTRAINTS:
        raise BadConstraint(f"A request has at most {MOST_CONSTRAINTS} placement constraints, not {len(given)}.")
    read = tuple(Constraint(type=rule.get("type") or "", expression=rule.get("expression")) for rule in given)
    for rule in read:
        check_constraint(rule)
    return read


def check_constraint(rule: Constraint) -> None:
    """Raise unless placement honours this constraint."""
    match rule.type:
        case "distinctInstance":
            if rule.expression:
                raise BadConstraint("The distinctInstance placement constraint takes no expression.")
        case "memberOf":
            if not rule.expression:
                raise BadConstraint("The memberOf placement constraint needs an expression.")
            raise UnsupportedConstraint(f"The memberOf placement constraint is not supported yet: {rule.expression!r}.")
        case unknown:
            raise BadConstraint(f"Unknown placement constraint type {unknown!r}: distinctInstance or memberOf.")
