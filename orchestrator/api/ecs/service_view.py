"""Services on the wire, with their deployments, counts and events: a few queries for any number of services."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.call import Call
from state.counts import count_deployments
from state.services import Deployment, Service, ServiceEvent, list_deployments_of, list_events


def render_services(call: Call, services: Sequence[Service], *, tags: bool) -> list[dict[str, Any]]:
    """Services of one cluster, in the order given."""
    if not services:
        return []
    names = [service.name for service in services]
    deployments = list_deployments_of(call.session, services[0].cluster, names)
    counts = count_deployments(call.session, [row.id for rows in deployments.values() for row in rows])
    return [
        render_service(
            call,
            service,
            deployments.get(service.name, ()),
            counts,
            list_events(call.session, service.cluster, service.name),
            tags=tags,
        )
        for service in services
    ]


def render_service(
    call: Call,
    service: Service,
    deployments: Sequence[Deployment],
    counts: Mapping[str, Counter[str]],
    events: Sequence[ServiceEvent],
    *,
    tags: bool,
) -> dict[str, Any]:
    """One service; ``counts`` are its deployments' PENDING and RUNNING tasks."""
    total = sum((counts[deployment.id] for deployment in deployments), Counter[str]())
    rendered: dict[str, Any] = {
        "serviceArn": call.arns.service(service.cluster, service.name),
        "serviceName": service.name,
        "clusterArn": call.arns.cluster(service.cluster),
        "loadBalancers": [],
        "serviceRegistries": [],
        "status": service.status,
        "desiredCount": service.desired_count,
        "runningCount": total["RUNNING"],
        "pendingCount": total["PENDING"],
        "taskDefinition": call.arns.task_definition(service.family, service.revision),
        "deploymentConfiguration": service.deployment_configuration,
        "deployments": [_render_deployment(call, row, counts[row.id]) for row in deployments],
        "events": [{"id": row.id, "createdAt": row.at, "message": row.message} for row in events],
        "createdAt": service.created_at,
        "createdBy": service.created_by,
        "placementConstraints": service.placement_constraints,
        "placementStrategy": service.placement_strategy,
        "schedulingStrategy": service.scheduling_strategy,
        "deploymentController": {"type": "ECS"},
        "enableECSManagedTags": service.enable_ecs_managed_tags,
        "propagateTags": service.propagate_tags,
        "enableExecuteCommand": service.enable_execute_command,
        "availabilityZoneRebalancing": service.availability_zone_rebalancing,
        **_where(service, service.capacity_provider_strategy),
    }
    if service.health_check_grace_seconds is not None:
        rendered["healthCheckGracePeriodSeconds"] = service.health_check_grace_seconds
    if tags:
        rendered["tags"] = service.tags
    return rendered


def _render_deployment(call: Call, row: Deployment, counts: Counter[str]) -> dict[str, Any]:
    running, pending = counts["RUNNING"], counts["PENDING"]
    return {
        "id": row.id,
        "status": row.status,
        "taskDefinition": call.arns.task_definition(row.family, row.revision),
        "desiredCount": row.desired_count,
        "runningCount": running,
        "pendingCount": pending,
        "failedTasks": row.failed_tasks,
        "createdAt": row.created_at,
        "updatedAt": row.updated_at,
        "rolloutState": row.rollout_state,
        "rolloutStateReason": row.rollout_state_reason,
        **_where(row, row.capacity_provider_strategy),
    }


def _where(row: Service | Deployment, strategy: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Where its tasks run: ECS shows a launch type or a capacity provider strategy, never both."""
    rendered: dict[str, Any] = {"capacityProviderStrategy": strategy} if strategy else {"launchType": row.launch_type}
    if row.platform_version is not None:
        rendered |= {"platformVersion": row.platform_version, "platformFamily": "Linux"}
    if row.network_configuration is not None:
        rendered["networkConfiguration"] = row.network_configuration
    return rendered
