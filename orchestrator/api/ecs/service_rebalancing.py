"""Availability zone rebalancing: which services can be kept even over zones, and what is so when nothing is said.

Source: ECS developer guide, "Balancing an Amazon ECS service across Availability Zones".
"""

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.api.ecs.errors import InvalidParameterException
from scheduler.placement.strategies import AVAILABILITY_ZONE
from state.task_definitions import TaskDefinition

ENABLED, DISABLED = "ENABLED", "DISABLED"


def choose_rebalancing(
    asked: str | None, service: Mapping[str, Any], definition: TaskDefinition, *, otherwise: str
) -> str:
    """ENABLED or DISABLED for a service of these columns; ``otherwise`` is what it is when nothing is ``asked``.

    Raises InvalidParameterException where ENABLED is asked for and cannot be. Unasked, such a service is DISABLED.
    """
    hindrances = list(_hindrances(service, definition))
    if asked == ENABLED and hindrances:
        raise InvalidParameterException(f"availabilityZoneRebalancing cannot be ENABLED for {hindrances[0]}.")
    chosen = asked or otherwise
    return DISABLED if hindrances else chosen


def _hindrances(service: Mapping[str, Any], definition: TaskDefinition) -> Iterator[str]:
    if service["scheduling_strategy"] == "DAEMON":
        yield "services with the DAEMON scheduling strategy"
    if service["launch_type"] == "EXTERNAL":
        yield "services with the EXTERNAL launch type"
    if service["deployment_configuration"]["maximumPercent"] <= 100:
        yield "services with a maximumPercent of 100 or less: a task starts before another is stopped"
    strategy = service["placement_strategy"]
    if strategy and (strategy[0].get("type"), strategy[0].get("field")) != ("spread", AVAILABILITY_ZONE):
        yield f"services whose first placement strategy is not spread over {AVAILABILITY_ZONE}"
    constraints = (*service["placement_constraints"], *definition.body.get("placementConstraints", ()))
    if any(AVAILABILITY_ZONE in (rule.get("expression") or "") for rule in constraints):
        yield f"services with a placement constraint on {AVAILABILITY_ZONE}"
