"""The API of services: it writes the wishes and the deployments; the services loop carries them out."""

from typing import Any

from kit.aws.paging import scope_of
from orchestrator.api.ecs.deployment_configuration import read_deployment_configuration
from orchestrator.api.ecs.errors import (
    InvalidParameterException,
    ServiceNotActiveException,
    ServiceNotFoundException,
)
from orchestrator.api.ecs.lookup import find_cluster, find_service, find_task_definition, resource_name, tags_of
from orchestrator.api.ecs.names import check_name
from orchestrator.api.ecs.pages import page
from orchestrator.api.ecs.service_changes import RENEWING, begin_deployment, read_changes, rescale
from orchestrator.api.ecs.service_rebalancing import ENABLED, choose_rebalancing
from orchestrator.api.ecs.service_rules import check_count, check_grace, refuse_unbuilt, where_to_run
from orchestrator.api.ecs.service_view import render_services
from orchestrator.api.ecs.wire import ecs
from orchestrator.call import Call
from state.services import Service, forget_past, get_service, get_services, list_service_names, lock_service

MOST_DESCRIBED = 10
MOST_LISTED, USUALLY_LISTED = 100, 10
LOOP = "services"


@ecs.operation("CreateService")
def create_service(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    name = check_name(request["serviceName"], "Service")
    refuse_unbuilt(request)
    if not request.get("taskDefinition"):
        raise InvalidParameterException("TaskDefinition can not be blank.")
    tags = tags_of(request)
    scheduling = request.get("schedulingStrategy") or "REPLICA"
    cluster = find_cluster(call, request.get("cluster"), lock=True)
    definition = find_task_definition(call, request["taskDefinition"], active=True)
    wishes: dict[str, Any] = {
        "family": definition.family,
        "revision": definition.revision,
        "desired_count": check_count(request.get("desiredCount"), scheduling),
        **where_to_run(request, cluster, definition),
        "scheduling_strategy": scheduling,
        "deployment_configuration": read_deployment_configuration(request.get("deploymentConfiguration"), scheduling),
        "health_check_grace_seconds": check_grace(request.get("healthCheckGracePeriodSeconds")),
        "propagate_tags": request.get("propagateTags") or "NONE",
        "enable_ecs_managed_tags": bool(request.get("enableECSManagedTags")),
        "enable_execute_command": bool(request.get("enableExecuteCommand")),
        "tags": tags,
    }
    wishes["availability_zone_rebalancing"] = choose_rebalancing(
        request.get("availabilityZoneRebalancing"), wishes, definition, otherwise=ENABLED
    )
    service = _born_again(call, get_service(call.session, cluster.name, name)) or Service(
        cluster=cluster.name, name=name, status="ACTIVE"
    )
    for column, value in wishes.items():
        setattr(service, column, value)
    service.created_at = call.now
    service.created_by = call.caller.principal_arn
    service.steady_at = service.last_event = None
    call.session.add(service)
    begin_deployment(call, service)
    call.session.wake(LOOP)
    return {"service": _render(call, service)}


@ecs.operation("UpdateService")
def update_service(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """What is not named stays. A new deployment begins when the tasks would be others, or when one is forced."""
    refuse_unbuilt(request)
    cluster = find_cluster(call, request.get("cluster"))
    service = find_service(call, cluster, request["service"])
    lock_service(call.session, service)
    if service.status != "ACTIVE":
        raise ServiceNotActiveException
    changes = read_changes(call, request, cluster, service)
    renewed = any(getattr(service, column) != changes[column] for column in RENEWING)
    for column, value in changes.items():
        setattr(service, column, value)
    if renewed or request.get("forceNewDeployment"):
        begin_deployment(call, service)
    elif "desired_count" in changes:
        rescale(call, service)
    service.steady_at = None
    service.touch()
    call.session.wake(LOOP)
    return {"service": _render(call, service)}


@ecs.operation("DeleteService")
def delete_service(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """DRAINING until its last task has stopped, then INACTIVE. Asking again while it drains changes nothing."""
    cluster = find_cluster(call, request.get("cluster"))
    service = find_service(call, cluster, request["service"])
    lock_service(call.session, service)
    if service.status == "INACTIVE":
        raise ServiceNotFoundException
    if service.status == "ACTIVE":
        if service.desired_count > 0 and service.scheduling_strategy == "REPLICA" and not request.get("force"):
            raise InvalidParameterException("The service cannot be stopped while it is scaled above 0.")
        service.advance("DRAINING", at=call.now, because="DeleteService")
        service.desired_count = 0
        rescale(call, service)
        call.session.wake(LOOP)
    return {"service": _render(call, service)}


@ecs.operation("DescribeServices")
def describe_services(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    refs = list(dict.fromkeys(request["services"]))
    if not refs:
        raise InvalidParameterException("Services cannot be empty.")
    if len(refs) > MOST_DESCRIBED:
        raise InvalidParameterException(f"Services cannot have more than {MOST_DESCRIBED} elements.")
    cluster = find_cluster(call, request.get("cluster"))
    named = {ref: _name(call, cluster.name, ref) for ref in refs}
    found = get_services(call.session, cluster.name, {name for name in named.values() if name is not None})
    missing = [ref for ref, name in named.items() if name not in found]
    wanted = dict.fromkeys(name for name in named.values() if name in found)
    return {
        "services": render_services(
            call, [found[name] for name in wanted if name is not None], tags="TAGS" in (request.get("include") or ())
        ),
        "failures": [
            {"arn": ref if ref.startswith("arn:") else call.arns.service(cluster.name, ref), "reason": "MISSING"}
            for ref in missing
        ],
    }


@ecs.operation("ListServices")
def list_services(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    cluster = find_cluster(call, request.get("cluster"))
    filters = {
        "launch_type": request.get("launchType"),
        "scheduling_strategy": request.get("schedulingStrategy"),
    }
    if request.get("resourceManagementType") == "ECS":
        # Services that AWS manages for its customers; here everyone's services are their own.
        return {"serviceArns": []}
    names, more = page(
        request,
        lambda after, limit: list_service_names(call.session, cluster.name, **filters, after=after, limit=limit),
        str,
        scope=scope_of("ListServices", cluster=cluster.name, **filters),
        most=MOST_LISTED,
        usual=USUALLY_LISTED,
    )
    return {"serviceArns": [call.arns.service(cluster.name, name) for name in names], **more}


def _born_again(call: Call, service: Service | None) -> Service | None:
    """A deleted service whose name is free again; raises where it is not."""
    if service is None:
        return None
    if service.status == "ACTIVE":
        raise InvalidParameterException("Creation of service was not idempotent.")
    if service.status == "DRAINING":
        raise InvalidParameterException("Unable to Start a service that is still Draining.")
    forget_past(call.session, service.cluster, service.name)
    service.advance("ACTIVE", at=call.now, because="CreateService")
    return service


def _name(call: Call, cluster: str, ref: str) -> str | None:
    """The service's name in a name, a short or a long ARN; None for an ARN of another cluster or noun."""
    name = resource_name(call, ref, "service")
    if name is None or "/" not in name:
        return name
    owner, _, rest = name.partition("/")
    return rest if owner == cluster else None


def _render(call: Call, service: Service) -> dict[str, Any]:
    call.session.flush()
    return render_services(call, [service], tags=True)[0]
