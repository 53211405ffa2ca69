"""Hosts as expressions of the cluster query language see them: what names a host, without what is free on it."""

from collections.abc import Mapping
from typing import Any

from scheduler.placement import Host
from state.container_instances import ContainerInstance

COLUMNS = (
    ContainerInstance.id,
    ContainerInstance.cluster,
    ContainerInstance.ec2_instance_id,
    ContainerInstance.status,
    ContainerInstance.agent_connected,
    ContainerInstance.version_info,
    ContainerInstance.attributes,
    ContainerInstance.registered_at,
)


def host_as_named(row: Any, *, tasks: int, groups: Mapping[str, int]) -> Host:
    """The host of a row of COLUMNS, with the tasks on it, in all and by group."""
    return Host(
        id=row.id,
        registered_cpu=0,
        registered_memory=0,
        free_cpu=0,
        free_memory=0,
        attributes={attribute["name"]: attribute.get("value") for attribute in row.attributes},
        status=row.status,
        connected=row.agent_connected,
        tasks=tasks,
        groups=groups,
        instance_id=row.ec2_instance_id,
        agent_version=str(row.version_info.get("agentVersion") or ""),
        registered_at=row.registered_at,
    )
