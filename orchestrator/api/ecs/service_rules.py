"""What CreateService and UpdateService check: the wishes that a service may carry.

A member that Berth does not carry out is refused by name unless it asks for nothing.
"""

from collections.abc import Mapping
from typing import Any

from orchestrator.api.ecs.errors import InvalidParameterException
from orchestrator.api.ecs.task_rules import (
    check_network,
    check_placement,
    choose_launch_type,
    choose_strategy,
    platform_version,
)
from scheduler.placement import BadSize, demand_of
from state.clusters import Cluster
from state.task_definitions import TaskDefinition

# ECS begins with 5,000 and raises that when asked; hosts of one's own are the limit here.
MOST_TASKS = 10_000_000
LONGEST_GRACE = 2_147_483_647
NOT_BUILT = (
    "loadBalancers",
    "serviceRegistries",
    "volumeConfigurations",
    "vpcLatticeConfigurations",
    "gatewayConnectors",
    "monitoring",
    "role",
)


def refuse_unbuilt(request: Mapping[str, Any]) -> None:
    """Raise InvalidParameterException naming the first member that would have no effect."""
    for member in NOT_BUILT:
        if request.get(member):
            raise InvalidParameterException(f"{member} is not supported by Berth yet.")
    if (request.get("serviceConnectConfiguration") or {}).get("enabled"):
        raise InvalidParameterException("serviceConnectConfiguration is not supported by Berth yet.")
    controller = (request.get("deploymentController") or {}).get("type") or "ECS"
    if controller != "ECS":
        raise InvalidParameterException(f"Deployment controller {controller} is not supported by Berth: ECS.")


def check_count(count: int | None, strategy: str) -> int:
    """The desired count; a DAEMON has none of its own."""
    if strategy == "DAEMON":
        if count:
            raise InvalidParameterException("The daemon scheduling strategy does not support a desired count.")
        return 0
    if count is None:
        raise InvalidParameterException("DesiredCount can not be blank for the REPLICA scheduling strategy.")
    if not 0 <= count <= MOST_TASKS:
        raise InvalidParameterException(
            f"Invalid desiredCount {count}: a service has between 0 and {MOST_TASKS} tasks."
        )
    return count


def check_grace(seconds: int | None) -> int | None:
    if seconds is not None and not 0 <= seconds <= LONGEST_GRACE:
        raise InvalidParameterException(f"healthCheckGracePeriodSeconds must be between 0 and {LONGEST_GRACE}.")
    return seconds


def where_to_run(request: Mapping[str, Any], cluster: Cluster, definition: TaskDefinition) -> dict[str, Any]:
    """``launch_type``, ``capacity_provider_strategy``, ``platform_version`` and placement, as Service columns.

    ``request`` holds the wishes as CreateService spells them. Raises ECS's errors.
    """
    scheduling = request.get("schedulingStrategy") or "REPLICA"
    launch_type = choose_launch_type(request, cluster.default_strategy)
    strategy = choose_strategy(request, cluster.default_strategy)
    if launch_type == "MANAGED_INSTANCES":
        raise InvalidParameterException("Launch type MANAGED_INSTANCES is not supported by Berth.")
    if scheduling == "DAEMON" and launch_type == "FARGATE":
        raise InvalidParameterException("The daemon scheduling strategy is not supported for the FARGATE launch type.")
    network = request.get("networkConfiguration") or None
    constraints, spread = request.get("placementConstraints") or [], request.get("placementStrategy") or []
    if scheduling == "DAEMON" and spread:
        raise InvalidParameterException("The daemon scheduling strategy does not support placement strategies.")
    check_network(definition, launch_type, network)
    check_placement(launch_type, constraints, spread)
    if launch_type not in definition.body.get("compatibilities", (launch_type,)):
        raise InvalidParameterException(f"Task definition does not support launch_type {launch_type}.")
    try:
        demand_of(definition.body)
    except BadSize as error:
        raise InvalidParameterException(str(error)) from error
    return {
        "launch_type": launch_type,
        "capacity_provider_strategy": strategy,
        "platform_version": platform_version(request, launch_type),
        "placement_constraints": constraints,
        "placement_strategy": spread,
        "network_configuration": network,
    }
