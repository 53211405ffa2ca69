"""Asking: the ask of one task, from its task definition and what its launch adds, in ECS's own dicts."""

from collections.abc import Mapping, Sequence
from typing import Any

from scheduler.placement.constraints import check_constraints
from scheduler.placement.demand import Demand
from scheduler.placement.strategies import check_strategies
from scheduler.placement.world import Ask, RequiredAttribute


def ask_of(
    task_definition: Mapping[str, Any],
    demand: Demand,
    *,
    id: str,
    group: str,
    constraints: Sequence[Mapping[str, Any]] = (),
    strategy: Sequence[Mapping[str, Any]] = (),
    queued: bool = False,
    image: str = "",
) -> Ask:
    """What is asked for a task that demands so much; ``constraints`` are all of them, those of the task definition
    included. Raises BadConstraint and BadStrategy."""
    return Ask(
        id=id,
        cpu=demand.cpu,
        memory=demand.memory,
        ports=demand.ports,
        address=demand.address,
        attributes=tuple(
            RequiredAttribute(name=wanted["name"], value=wanted.get("value"))
            for wanted in task_definition.get("requiresAttributes") or ()
        ),
        constraints=check_constraints(constraints),
        strategy=check_strategies(strategy),
        group=group,
        gpus=demand.gpus,
        resources=demand.resources,
        queued=queued,
        image=image,
    )
