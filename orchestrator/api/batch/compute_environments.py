"""Compute environments: created with a cluster of their own, changed, described, deleted when nothing uses them.

CREATING, UPDATING and DELETING are left by the compute environments loop.
"""

from typing import Any

from kit.ids import new_uuid
from orchestrator.api.batch.compute_resources import check_compute_resources, update_compute_resources
from orchestrator.api.batch.errors import ClientException
from orchestrator.api.batch.lookup import (
    check_name,
    compute_environment_arn,
    find_compute_environment,
    own_name,
    refuse,
    tags_of,
)
from orchestrator.api.batch.pages import page
from orchestrator.api.batch.wire import batch
from orchestrator.call import Call
from state.clusters import Cluster
from state.compute_environments import (
    ComputeEnvironment,
    get_compute_environment,
    list_compute_environments,
)
from state.job_queues import queues_on

MOST_DESCRIBED = 100
SERVICE_ROLE = "role/aws-service-role/batch.amazonaws.com/AWSServiceRoleForBatch"


@batch.operation("CreateComputeEnvironment")
def create_compute_environment(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """The environment starts CREATING, with an empty cluster that hosts may join at once."""
    name = check_name(request.get("computeEnvironmentName"), "computeEnvironmentName")
    refuse(request, "eksConfiguration", "compute environments on Amazon EKS (eksConfiguration)")
    kind = request["type"]
    resources = check_compute_resources(kind, request.get("computeResources"))
    unmanaged_vcpus = request.get("unmanagedvCpus")
    if unmanaged_vcpus is not None and (kind != "UNMANAGED" or unmanaged_vcpus < 0):
        raise ClientException("unmanagedvCpus is for UNMANAGED compute environments, and not negative.")
    tags = tags_of(request)
    if get_compute_environment(call.session, name, lock=True) is not None:
        raise ClientException("Object already exists")
    identity = new_uuid()
    environment = ComputeEnvironment(
        name=name,
        uuid=identity,
        type=kind,
        state=request.get("state") or "ENABLED",
        status="CREATING",
        unmanaged_vcpus=unmanaged_vcpus,
        compute_resources=resources,
        desired_vcpus=resources.get("desiredvCpus") or resources.get("minvCpus") or 0,
        service_role=request.get("serviceRole") or f"arn:aws:iam::{call.settings.account}:{SERVICE_ROLE}",
        ecs_settings=request.get("ecsSettings") or None,
        context=request.get("context"),
        cluster=f"AWSBatch-{name}-{identity}",
        tags=tags,
        created_at=call.now,
    )
    call.session.add_all([environment, Cluster(name=environment.cluster, status="ACTIVE", created_at=call.now)])
    call.session.wake("compute_environments")
    return _named(call, environment)


@batch.operation("UpdateComputeEnvironment")
def update_compute_environment(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    environment = find_compute_environment(call, request["computeEnvironment"], lock=True)
    refuse(request, "eksConfiguration", "compute environments on Amazon EKS (eksConfiguration)")
    if environment.status not in ("VALID", "INVALID"):
        raise ClientException(f"Cannot update, resource is being modified: {environment.name} is {environment.status}.")
    if request.get("computeResources"):
        if environment.type != "MANAGED":
            raise ClientException("computeResources must not be specified for an UNMANAGED compute environment.")
        environment.compute_resources = update_compute_resources(
            environment.compute_resources, request["computeResources"]
        )
    if request.get("unmanagedvCpus") is not None:
        if environment.type != "UNMANAGED" or request["unmanagedvCpus"] < 0:
            raise ClientException("unmanagedvCpus is for UNMANAGED compute environments, and not negative.")
        environment.unmanaged_vcpus = request["unmanagedvCpus"]
    environment.state = request.get("state") or environment.state
    environment.service_role = request.get("serviceRole") or environment.service_role
    environment.update_policy = request.get("updatePolicy") or environment.update_policy
    environment.ecs_settings = request.get("ecsSettings") or environment.ecs_settings
    environment.advance("UPDATING", at=call.now, because="UpdateComputeEnvironment")
    call.session.wake("compute_environments", "jobs")
    return _named(call, environment)


@batch.operation("DeleteComputeEnvironment")
def delete_compute_environment(call: Call, request: dict[str, Any]) -> None:
    """Asks for the end of a DISABLED environment that no queue uses; asking again changes nothing."""
    environment = find_compute_environment(call, request["computeEnvironment"], lock=True)
    if environment.status == "DELETING":
        return
    if environment.state != "DISABLED":
        raise ClientException("Cannot delete, compute environment must be DISABLED first.")
    if environment.status in ("CREATING", "UPDATING"):
        raise ClientException("Cannot delete, resource is being modified.")
    queues = queues_on(call.session, environment.name)
    if queues:
        raise ClientException(f"Cannot delete, found existing JobQueue relationship: {', '.join(queues)}")
    environment.advance("DELETING", at=call.now, because="DeleteComputeEnvironment")
    call.session.wake("compute_environments")


@batch.operation("DescribeComputeEnvironments")
def describe_compute_environments(call: Call, request: dict[str, Any]) -> dict[str, Any]:
    """Those asked for that exist, in the order asked; without names, all of them in pages."""
    asked = request.get("computeEnvironments")
    if asked:
        if len(asked) > MOST_DESCRIBED:
            raise ClientException(f"At most {MOST_DESCRIBED} compute environments can be described at once.")
        names = list(dict.fromkeys(filter(None, (own_name(call, ref, "compute-environment") for ref in asked))))
        found = {one.name: one for one in list_compute_environments(call.session, names)}
        rows = [found[name] for name in names if name in found]
        return {"computeEnvironments": [render(call, row) for row in rows]}
    everything = list_compute_environments(call.session)
    rows_, more = page(
        request,
        lambda after, limit: [row for row in everything if after is None or row.name > after[0]][:limit],
        lambda row: [row.name],
        kinds=(str,),
        most=MOST_DESCRIBED,
        scope="compute-environments",
    )
    return {"computeEnvironments": [render(call, row) for row in rows_], **more}


def render(call: Call, environment: ComputeEnvironment) -> dict[str, Any]:
    """A ComputeEnvironmentDetail."""
    managed = environment.type == "MANAGED"
    resources = dict(environment.compute_resources)
    if resources.get("type") == "EC2":
        resources["desiredvCpus"] = environment.desired_vcpus
    members = {
        "computeEnvironmentName": environment.name,
        "computeEnvironmentArn": compute_environment_arn(call, environment.name),
        "unmanagedvCpus": environment.unmanaged_vcpus,
        "ecsClusterArn": call.arns.cluster(environment.cluster),
        "tags": environment.tags,
        "type": environment.type,
        "state": environment.state,
        "status": environment.status,
        "statusReason": environment.status_reason,
        "computeResources": resources if managed else None,
        "serviceRole": environment.service_role,
        "updatePolicy": environment.update_policy
        or ({"terminateJobsOnUpdate": False, "jobExecutionTimeoutMinutes": 30} if managed else None),
        "containerOrchestrationType": "ECS",
        "uuid": environment.uuid,
        "context": environment.context,
        "ecsSettings": environment.ecs_settings,
    }
    return {name: value for name, value in members.items() if value is not None}


def _named(call: Call, environment: ComputeEnvironment) -> dict[str, Any]:
    return {
        "computeEnvironmentName": environment.name,
        "computeEnvironmentArn": compute_environment_arn(call, environment.name),
    }
