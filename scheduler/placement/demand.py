"""Demand: what a task definition reserves on a host, with a run's overrides applied.

Task-level cpu and memory win; otherwise ECS adds up the containers' cpu, and of each container's memory the soft
limit (``memoryReservation``) where given, else the hard one (``memory``).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from scheduler.placement.devices import accelerators_of, gpus_by_container
from scheduler.placement.sizes import cpu_units, memory_mib, port_range
from scheduler.placement.world import Port


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What to reserve: CPU units, MiB, static host ports, whether the task needs an address (``awsvpc``), whole GPUs,
    and amounts of named resources."""

    cpu: int
    memory: int
    ports: tuple[Port, ...] = ()
    address: bool = False
    gpus: int = 0
    resources: tuple[tuple[str, int], ...] = ()


def demand_of(task_definition: Mapping[str, Any], overrides: Mapping[str, Any] | None = None) -> Demand:
    """The demand of one task, from ECS dicts in camelCase (``taskDefinition`` and RunTask's ``overrides``).

    Raises BadSize. Source: ECS API, RegisterTaskDefinition (cpu, memory), ContainerDefinition, PortMapping,
    ResourceRequirement.
    """
    given = overrides or {}
    by_name = {container.get("name"): container for container in given.get("containerOverrides") or ()}
    containers = [
        {**container, **_sizes(by_name.get(container.get("name"), {}))}
        for container in task_definition.get("containerDefinitions") or ()
    ]
    cpu = given.get("cpu") or task_definition.get("cpu")
    memory = given.get("memory") or task_definition.get("memory")
    mode = task_definition.get("networkMode") or "bridge"
    return Demand(
        cpu=cpu_units(cpu) if cpu else sum(container.get("cpu") or 0 for container in containers),
        memory=memory_mib(memory)
        if memory
        else sum(container.get("memoryReservation") or container.get("memory") or 0 for container in containers),
        ports=tuple(sorted({port for container in containers for port in _ports(container, mode)})),
        address=mode == "awsvpc",
        gpus=sum(gpus_by_container(task_definition, given).values()),
        resources=accelerators_of(task_definition, given),
    )


def _sizes(override: Mapping[str, Any]) -> dict[str, Any]:
    return {key: override[key] for key in ("cpu", "memory", "memoryReservation") if override.get(key) is not None}


def _ports(container: Mapping[str, Any], mode: str) -> Iterator[Port]:
    """Static host ports. In ``host`` mode the container's ports are the host's, ranges too; in ``bridge`` mode 0 and
    ranges are for the agent to pick."""
    if mode not in ("bridge", "host"):
        return
    for mapping in container.get("portMappings") or ():
        protocol = (mapping.get("protocol") or "tcp").lower()
        span = mapping.get("containerPortRange")
        if span and mode == "host":
            yield from ((number, protocol) for number in port_range(span))
            continue
        number = mapping.get("hostPort") or (mapping.get("containerPort") if mode == "host" else 0)
        if number:
            yield int(number), protocol
