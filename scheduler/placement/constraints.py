"""Placement constraints: read and checked before placement, never passed over in silence.

``distinctInstance`` keeps the tasks of a group apart; ``memberOf`` chooses hosts by an expression of the cluster
query language, and one that does not parse is refused with the place of the mistake.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from scheduler.placement.query import BadQuery, parse
from scheduler.placement.world import Constraint, Host

MOST_CONSTRAINTS = 10


class BadConstraint(ValueError):
    """A placement constraint that ECS itself would refuse."""


def check_constraints(constraints: Sequence[Mapping[str, Any]] | None) -> tuple[Constraint, ...]:
    """Read ECS ``placementConstraints`` (``[{"type": …, "expression": …}]``); raise BadConstraint on a mistake.

    Source: ECS API, PlacementConstraint.
    """
    given = constraints or ()
    if len(given) > MOST_CONSTRAINTS:
        raise BadConstraint(f"A request has at most {MOST_CONSTRAINTS} placement constraints, not {len(given)}.")
    read = tuple(Constraint(type=rule.get("type") or "", expression=rule.get("expression")) for rule in given)
    for rule in read:
        check_constraint(rule)
    return read


def eligible(host: Host, constraints: Sequence[Constraint]) -> bool:
    """Whether the host is a member of what every ``memberOf`` constraint names; they must have been checked."""
    return all(parse(rule.expression or "").matches(host) for rule in constraints if rule.type == "memberOf")


def check_constraint(rule: Constraint) -> None:
    """Raise unless placement honours this constraint."""
    match rule.type:
        case "distinctInstance":
            if rule.expression:
                raise BadConstraint("The distinctInstance placement constraint takes no expression.")
        case "memberOf":
            if not rule.expression:
                raise BadConstraint("The memberOf placement constraint needs an expression.")
            try:
                parse(rule.expression)
            except BadQuery as error:
                raise BadConstraint(f"The memberOf placement constraint has an invalid expression: {error}.") from error
        case unknown:
            raise BadConstraint(f"Unknown placement constraint type {unknown!r}: distinctInstance or memberOf.")
