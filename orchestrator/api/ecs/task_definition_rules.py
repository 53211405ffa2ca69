"""What a whole task definition must satisfy before it is given a revision.

``read_task_definition`` answers the body to keep: what was registered plus ECS's own defaults, nothing else.
Source: ECS API, RegisterTaskDefinition; developer guide, "Task definition parameters".
"""

import json
from collections.abc import Mapping
from typing import Any

from orchestrator.api.ecs.container_links import check_links
from orchestrator.api.ecs.container_rules import check_container
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
from scheduler.placement import BadConstraint, BadSize, check_constraints, cpu_units, memory_mib

MOST_CONTAINERS = 10
LARGEST = 65_536
LEAST_CPU, MOST_CPU = 128, 196_608
LEAST_MEMORY = 6


def read_task_definition(request: Mapping[str, Any]) -> dict[str, Any]:
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
    _volumes(body)
    _containers(body)
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
    for member in ("pidMode", "ipcMode"):
        # The agents give each container namespaces of its own, or the host's.
        if body.get(member) == "task":
            raise ClientException(f"{member} task is not supported by Berth yet.")
    system = (body.get("runtimePlatform") or {}).get("operatingSystemFamily") or "LINUX"
    if system != "LINUX":
        raise ClientException(f"runtimePlatform.operatingSystemFamily {system} is not supported by Berth: LINUX.")


def _constraints(body: Mapping[str, Any]) -> None:
    try:
        check_constraints(body["placementConstraints"])
    except BadConstraint as error:
        raise ClientException(str(error)) from error


def _volumes(body: Mapping[str, Any]) -> None:
    names = set()
    for volume in body["volumes"]:
        name = check_member_name(volume.get("name"), "Volume.name")
        if name in names:
            raise ClientException(f"Duplicate volume name '{name}'.")
        names.add(name)
        source = (volume.get("host") or {}).get("sourcePath")
        docker = volume.get("dockerVolumeConfiguration")
        if source and docker:
            raise ClientException(f"Volume '{name}' can have a host or a dockerVolumeConfiguration, not both.")
        if source and not source.startswith("/"):
            raise ClientException(f"Volume '{name}': host.sourcePath must be an absolute path, not '{source}'.")
        if docker and docker.get("autoprovision") is not None and (docker.get("scope") or "task") != "shared":
            raise ClientException(f"Volume '{name}': autoprovision can only be used when the scope is shared.")


def _containers(body: Mapping[str, Any]) -> None:
    containers = body["containerDefinitions"]
    if not containers:
        raise ClientException("Container list cannot be empty.")
    if len(containers) > MOST_CONTAINERS:
        raise ClientException(f"A task definition can have at most {MOST_CONTAINERS} containers.")
    volumes = {volume["name"] for volume in body["volumes"]}
    names = set()
    for container in containers:
        check_container(container, volumes, bridged_mode(body))
        if container["name"] in names:
            raise ClientException(f"Container names must be unique, but '{container['name']}' is used twice.")
        names.add(container["name"])
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
