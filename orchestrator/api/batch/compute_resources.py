"""Compute resources: what a managed compute environment is made of, checked as AWS checks it.

Members that only mean something on EC2 (imageId, ec2KeyPair, instanceRole…) are kept and echoed; a launch template
would change what its hosts do, so it is refused.
"""

from collections.abc import Mapping
from typing import Any

from orchestrator.api.batch.errors import ClientException, NotBuiltYet
from orchestrator.api.batch.lookup import refuse
from scheduler.jobs.instance_types import UnknownInstanceType, allowed_types

KINDS = ("EC2", "FARGATE")
# Source: Batch API, ComputeResource: "isn't applicable to jobs that are running on Fargate resources".
NOT_ON_FARGATE = (
    "allocationStrategy",
    "minvCpus",
    "desiredvCpus",
    "instanceTypes",
    "imageId",
    "ec2KeyPair",
    "instanceRole",
    "tags",
    "placementGroup",
    "bidPercentage",
    "spotIamFleetRole",
    "launchTemplate",
    "ec2Configuration",
    "scalingPolicy",
)
MOST_VCPUS = 2**31 - 1
_NOT_KEPT = ("updateToLatestImageVersion",)


def check_compute_resources(kind: str, given: Mapping[str, Any] | None) -> dict[str, Any]:
    """The computeResources to keep for a new environment of this type; raises ClientException."""
    if kind == "UNMANAGED":
        if given:
            raise ClientException("computeResources must not be specified for an UNMANAGED compute environment.")
        return {}
    if not given:
        raise ClientException("computeResources must be specified for a MANAGED compute environment.")
    if given["type"] not in KINDS:
        raise NotBuiltYet(f"compute resources of type {given['type']} (only {' and '.join(KINDS)})")
    return _checked(dict(given))


def update_compute_resources(kept: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The kept computeResources with what an update gives on top; raises ClientException."""
    if given.get("type") and given["type"] != kept["type"]:
        raise ClientException(f"The type of a compute environment cannot change from {kept['type']}.")
    changed = {name: value for name, value in given.items() if value is not None and name not in _NOT_KEPT}
    # What is desired is Batch's to say from here on, unless this update says it.
    kept = {name: value for name, value in kept.items() if name != "desiredvCpus"}
    return _checked({**kept, **changed})


def _checked(resources: dict[str, Any]) -> dict[str, Any]:
    refuse(resources, "launchTemplate", "launch templates (computeResources.launchTemplate)")
    refuse(resources, "managedInstancesProvider", "ECS Managed Instances (managedInstancesProvider)")
    refuse(resources, "capacityTags", "ECS Managed Instances (capacityTags)")
    if not resources.get("subnets"):
        raise ClientException("computeResources.subnets must be specified.")
    if not resources.get("securityGroupIds"):
        raise ClientException("computeResources.securityGroupIds must be specified.")
    maximum = resources.get("maxvCpus")
    if maximum is None or not 0 < maximum <= MOST_VCPUS:
        raise ClientException("computeResources.maxvCpus must be greater than 0.")
    return _fargate(resources) if resources["type"] == "FARGATE" else _ec2(resources, maximum)


def _fargate(resources: dict[str, Any]) -> dict[str, Any]:
    given = [name for name in NOT_ON_FARGATE if resources.get(name)]
    if given:
        raise ClientException(f"{', '.join(given)} must not be specified for FARGATE compute resources.")
    if len(resources["subnets"]) > 16:
        raise ClientException("FARGATE compute resources have at most 16 subnets.")
    if len(resources["securityGroupIds"]) > 5:
        raise ClientException("FARGATE compute resources have at most 5 security groups.")
    return {name: value for name, value in resources.items() if name not in NOT_ON_FARGATE}


def _ec2(resources: dict[str, Any], maximum: int) -> dict[str, Any]:
    minimum = resources.setdefault("minvCpus", 0)
    if not 0 <= minimum <= maximum:
        raise ClientException("computeResources.minvCpus must be between 0 and maxvCpus.")
    desired = resources.setdefault("desiredvCpus", minimum)
    if not minimum <= desired <= maximum:
        raise ClientException("computeResources.desiredvCpus must be between minvCpus and maxvCpus.")
    if not resources.get("instanceRole"):
        raise ClientException("computeResources.instanceRole must be specified for EC2 compute resources.")
    if not resources.get("instanceTypes"):
        resources["instanceTypes"] = ["optimal"]
    try:
        allowed_types(resources["instanceTypes"])
    except UnknownInstanceType as unknown:
        raise ClientException(str(unknown)) from unknown
    return resources
