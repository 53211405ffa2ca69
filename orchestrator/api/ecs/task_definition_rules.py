"""What a whole task definition must satisfy before it is given a revision.

``read_task_definition`` answers the body to keep: what was registered plus ECS's own defaults, nothing else.
Source: ECS API, RegisterTaskDefinition; developer guide, "Task definition parameters".
"""

import json
from collections.abc import Mapping
from typing import Any

from kit.settings import Settings
from orchestrator.api.ecs.container_links import check_links
from orchestrator.api.ecs.container_logging import check_routers
from orchestrator.api.ecs.container_rules import OVERRIDABLE, check_container
from orchestrator.api.ecs.container_secrets import check_secrets
from orchestrator.api.ecs.device_rules import check_devices
from orchestrator.api.ecs.errors import ClientException
from orchestrator.api.ecs.fargate_rules import check_fargate
from orchestrator.api.ecs.names import check_member_name
from orchestrator.api.ecs.port_rules import check_ports
from orchestrator.api.ecs.task_definition_body import (
    bridged_mode,
    compatibilities_of,
    fill_defaults,
    required_attributes,
)
from orchestrator.api.ecs.task_definition_members import refuse_unbuilt
from orchestrator.api.ecs.volume_rules import check_volumes
from scheduler.placement import BadConstraint, BadSize, check_constraints, cpu_units, memory_mib

MOST_CONTAINERS = 10
LARGEST = 65_536
LEAST_CPU, MOST_CPU = 128, 196_608
LEAST_MEMORY = 6
STORAGE_SIZES = (21, 200)


def read_task_definition(request: Mapping[str, Any], *, settings: Settings) -> dict[str, Any]:
    """The task definition's body; raises ClientException for the first thing that is wrong with the request."""
    check_member_name(request["family"], "Family")
    length = len(json.dumps(request, default=str, separators=(",", ":")))
    if length > LARGEST:
        raise ClientException(f"Actual length: '{length}'. Max allowed length is '{LARGEST}' bytes.")
    refuse_unbuilt(request)
    body = fill_defaults(request)
    body |= _sizes(request)
    _platform(body)
    _constraints(body)
    check_volumes(body, settings=settings)
    _containers(body, settings)
    _storage(body)
    check_devices(body)
    check_ports(body["containerDefinitions"], bridged_mode(body))
    check_links(body["containerDefinitions"], bridged_mode(body))
    _sums(body)
    asked = body.get("requiresCompatibilities") or ()
    if "MANAGED_INSTANCES" in asked:
        raise ClientException("requiresCompatibilities MANAGED_INSTANCES is not supported by Berth yet.")
    if "FARGATE" in asked:
        check_fargate(body)
    if "EXTERNAL" in asked and body.get("networkMode") == "awsvpc":
        raise ClientException("EXTERNAL does not support network mode 'awsvpc'.")
    body["compatibilities"] = compatibilities_of(body)
    body["requiresAttributes"] = required_attributes(body)
    return body


def check_sizes(body: Mapping[str, Any], overrides: Mapping[str, Any]) -> None:
    """Raise ClientException when the sizes of a run are none, or its containers do not fit into its task."""
    given = {override["name"]: override for override in overrides.get("containerOverrides") or ()}
    containers = []
    for container in body["containerDefinitions"]:
        override = given.get(container["name"], {})
        sizes = {member: override[member] for member in OVERRIDABLE if override.get(member) is not None}
        containers.append({**container, **sizes})
    _sums({**body, **_sizes(overrides), "containerDefinitions": containers})


def _sizes(request: Mapping[str, Any]) -> dict[str, str]:
    """Task-level cpu and memory in plain units: ``"1 vCPU"`` is ``"1024"``, ``"2 GB"`` is ``"2048"``."""
    sizes = {}
    for member, read, least, most in (
        ("cpu", cpu_units, LEAST_CPU, MOST_CPU),
        ("memory", memory_mib, LEAST_MEMORY, 2**31 - 1),
    ):
        text = request.get(member)
        if not text:
            continue
        try:
            # Longer texts name no number that any host has.
            size = read(text[:40])
        except BadSize as error:
            raise ClientException(f"Invalid '{member}' setting for task. {error}") from error
        if not least <= size <= most:
            raise ClientException(f"Invalid '{member}' setting for task. It must be at least {least}, not {text}.")
        sizes[member] = str(size)
    return sizes


def _platform(body: Mapping[str, Any]) -> None:
    system = (body.get("runtimePlatform") or {}).get("operatingSystemFamily") or "LINUX"
    if system != "LINUX":
        raise ClientException(f"runtimePlatform.operatingSystemFamily {system} is not supported by Berth: LINUX.")


def _constraints(body: Mapping[str, Any]) -> None:
    try:
        check_constraints(body["placementConstraints"])
    except BadConstraint as error:
        raise ClientException(str(error)) from error


def _storage(body: Mapping[str, Any]) -> None:
    storage = body.get("ephemeralStorage")
    if storage:
        check_storage(storage)
        if "FARGATE" not in (body.get("requiresCompatibilities") or ("FARGATE",)):
            raise ClientException("Tasks using the EC2 launch type do not support EphemeralStorage.")


def check_storage(storage: Mapping[str, Any]) -> None:
    """Raise ClientException for a size that Fargate does not offer."""
    size, (least, most) = storage["sizeInGiB"], STORAGE_SIZES
    if size < least:
        raise ClientException(f"EphemeralStorage size should be at least {least}.")
    if size > most:
        raise ClientException(f"EphemeralStorage size should be at most {most}.")


def _containers(body: Mapping[str, Any], settings: Settings) -> None:
    containers = body["containerDefinitions"]
    if not containers:
        raise ClientException("Container list cannot be empty.")
    if len(containers) > MOST_CONTAINERS:
        raise ClientException(f"A task definition can have at most {MOST_CONTAINERS} containers.")
    volumes = {volume["name"] for volume in body["volumes"]}
    role = bool(body.get("executionRoleArn"))
    names = set()
    for container in containers:
        check_container(container, volumes, bridged_mode(body))
        check_secrets(container, role=role, settings=settings)
        if container["name"] in names:
            raise ClientException(f"Container names must be unique, but '{container['name']}' is used twice.")
        names.add(container["name"])
    check_routers(containers, role=role, settings=settings)
    if not any(container["essential"] for container in containers):
        raise ClientException("Task definition must have at least one essential container.")


def _sums(body: Mapping[str, Any]) -> None:
    """The containers fit into the task where it has a size, and say their own memory where it has none."""
    containers = body["containerDefinitions"]
    memory = body.get("memory")
    for container in containers:
        hard = container.get("memory")
        if memory is None and hard is None and container.get("memoryReservation") is None:
            raise ClientException(
                f"Invalid setting for container '{container['name']}'. At least one of 'memory' or "
                "'memoryReservation' must be specified."
            )
        if memory is not None and hard is not None and hard > int(memory):
            raise ClientException(
                f"Invalid setting for container '{container['name']}'. 'memory' of {hard} MiB exceeds the task's "
                f"memory of {memory} MiB."
            )
    reserved = sum(container.get("memoryReservation") or container.get("memory") or 0 for container in containers)
    if memory is not None and reserved > int(memory):
        raise ClientException(
            f"The containers' memory of {reserved} MiB in total exceeds the task's memory of {memory} MiB."
        )
    units = sum(container["cpu"] for container in containers)
    if body.get("cpu") is not None and units > int(body["cpu"]):
        raise ClientException(f"The containers' cpu of {units} units in total exceeds the task's cpu of {body['cpu']}.")
