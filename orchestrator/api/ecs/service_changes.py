"""Changing a service: what UpdateService says, merged with what stays, and the deployment that this begins."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from kit.ids import new_deployment_id
from orchestrator.api.ecs.deployment_configuration import read_deployment_configuration
from orchestrator.api.ecs.lookup import find_task_definition
from orchestrator.api.ecs.service_rebalancing import choose_rebalancing
from orchestrator.api.ecs.service_rules import check_count, check_grace, where_to_run
from orchestrator.call import Call
from scheduler.rollout import events
from state.clusters import Cluster
from state.services import Deployment, Service, forget_deployments, list_deployments
from state.task_definitions import TaskDefinition, get_task_definition

# A change in one of these means other tasks, so it begins a deployment. Source: ECS API, UpdateService.
RENEWING = (
    "family",
    "revision",
    "launch_type",
    "capacity_provider_strategy",
    "platform_version",
    "network_configuration",
)
# Of what is asked for in the same words by both operations.
_WHERE = {
    "platformVersion": "platform_version",
    "networkConfiguration": "network_configuration",
    "placementConstraints": "placement_constraints",
    "placementStrategy": "placement_strategy",
}
_PLAIN = {
    "propagateTags": "propagate_tags",
    "enableECSManagedTags": "enable_ecs_managed_tags",
    "enableExecuteCommand": "enable_execute_command",
}
# What decides whether its tasks can be kept even over availability zones.
_DECIDING = (
    "scheduling_strategy",
    "launch_type",
    "deployment_configuration",
    "placement_strategy",
    "placement_constraints",
)
KEEP_OLD = timedelta(days=1)


def read_changes(call: Call, request: Mapping[str, Any], cluster: Cluster, service: Service) -> dict[str, Any]:
    """The columns of the service that the request sets, checked together with those that stay."""
    changes: dict[str, Any] = {}
    definition = _definition(call, request, service)
    changes |= {"family": definition.family, "revision": definition.revision}
    changes |= where_to_run(_merged(request, service), cluster, definition)
    if request.get("desiredCount") is not None:
        changes["desired_count"] = check_count(request["desiredCount"], service.scheduling_strategy)
    if request.get("deploymentConfiguration"):
        changes["deployment_configuration"] = read_deployment_configuration(
            request["deploymentConfiguration"], service.scheduling_strategy, service.deployment_configuration
        )
    if request.get("healthCheckGracePeriodSeconds") is not None:
        changes["health_check_grace_seconds"] = check_grace(request["healthCheckGracePeriodSeconds"])
    merged = {column: changes.get(column, getattr(service, column)) for column in _DECIDING}
    changes["availability_zone_rebalancing"] = choose_rebalancing(
        request.get("availabilityZoneRebalancing"),
        merged,
        definition,
        otherwise=service.availability_zone_rebalancing,
    )
    for member, column in _PLAIN.items():
        if request.get(member) is not None:
            changes[column] = request[member]
    return changes


def begin_deployment(call: Call, service: Service) -> Deployment:
    """Make a new PRIMARY deployment of the service as it is now; the one before is being replaced from here on."""
    for before in list_deployments(call.session, service.cluster, service.name):
        if before.status == "PRIMARY":
            before.status = "ACTIVE"
            before.updated_at = call.now
    forget_deployments(call.session, service.cluster, service.name, before=call.now - KEEP_OLD)
    name = new_deployment_id()
    deployment = Deployment(
        id=name,
        cluster=service.cluster,
        service_name=service.name,
        status="PRIMARY",
        rollout_state="IN_PROGRESS",
        rollout_state_reason=events.rollout_reason(name, "IN_PROGRESS"),
        family=service.family,
        revision=service.revision,
        desired_count=service.desired_count,
        failed_tasks=0,
        launch_type=service.launch_type,
        capacity_provider_strategy=service.capacity_provider_strategy,
        platform_version=service.platform_version,
        network_configuration=service.network_configuration,
        created_at=call.now,
        updated_at=call.now,
    )
    call.session.add(deployment)
    return deployment


def rescale(call: Call, service: Service) -> None:
    """Tell the PRIMARY deployment the service's new desired count."""
    for deployment in list_deployments(call.session, service.cluster, service.name):
        if deployment.status == "PRIMARY" and deployment.desired_count != service.desired_count:
            deployment.desired_count = service.desired_count
            deployment.updated_at = call.now


def _definition(call: Call, request: Mapping[str, Any], service: Service) -> TaskDefinition:
    if request.get("taskDefinition"):
        return find_task_definition(call, request["taskDefinition"], active=True)
    # A revision that was deregistered after the service was created still serves it.
    definition = get_task_definition(call.session, service.family, service.revision)
    assert definition is not None, "a service's task definition is never dropped"
    return definition


def _merged(request: Mapping[str, Any], service: Service) -> dict[str, Any]:
    """The request with the service's own wishes where it says nothing, as CreateService would spell it."""
    merged: dict[str, Any] = {"schedulingStrategy": service.scheduling_strategy}
    if request.get("capacityProviderStrategy"):
        merged["capacityProviderStrategy"] = request["capacityProviderStrategy"]
    elif service.capacity_provider_strategy:
        merged["capacityProviderStrategy"] = service.capacity_provider_strategy
    else:
        merged["launchType"] = service.launch_type
    for member, column in _WHERE.items():
        given = request.get(member)
        merged[member] = getattr(service, column) if given is None else given
    return merged
