"""Demand: what a task definition reserves on a host, with a run's overrides applied.

Task-level cpu and memory win; otherwise ECS adds up the containers' cpu, and of each container's memory the soft
limit (``memoryReservation``) where given, else the hard one (``memory``).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from scheduler.placement.world import Port

_CPU = re.compile(r"(\d+|\d*\.\d+|\d+\.)\s*(vcpus?)?", re.IGNORECASE | re.ASCII)
_PORT_RANGE = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")
_MEMORY = re.compile(r"(\d+|\d*\.\d+|\d+\.)\s*(gb|mb)?", re.IGNORECASE | re.ASCII)


class BadSize(ValueError):
    """A cpu, memory or port range that cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What to reserve: CPU units, MiB, static host ports, and whether the task needs an address (``awsvpc``)."""

    cpu: int
    memory: int
    ports: tuple[Port, ...] = ()
    address: bool = False
    gpus: int = 0
    resources: tuple[tuple[str, int], ...] = ()


def demand_of(task_definition: Mapping[str, Any], overrides: Mapping[str, Any] | None = None) -> Demand:
    """The demand of one task, from ECS dicts in camelCase (``taskDefinition`` and RunTask's ``overrides``).

    Raises BadSize. Source: ECS API, RegisterTaskDefinition (cpu, memory), ContainerDefinition, PortMapping.
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
    )


def cpu_units(text: str | int) -> int:
    """CPU units of a task-level cpu: ``"256"``, ``".25 vCPU"``, ``"1 vcpu"``."""
    found = _CPU.fullmatch(str(text).strip())
    if found is None or ("." in found[1] and not found[2]):
        raise BadSize(f"Invalid cpu {text!r}: CPU units like 256, or vCPU like .25 vCPU.")
    return round(float(found[1]) * 1024) if found[2] else int(found[1])


def memory_mib(text: str | int) -> int:
    """MiB of a task-level memory: ``"512"``, ``"0.5 GB"``, ``"2GB"``."""
    found = _MEMORY.fullmatch(str(text).strip())
    in_gb = found is not None and (found[2] or "").lower() == "gb"
    if found is None or ("." in found[1] and not in_gb):
        raise BadSize(f"Invalid memory {text!r}: MiB like 512, or GB like 0.5 GB.")
    return round(float(found[1]) * 1024) if in_gb else int(found[1])


def _sizes(override: Mapping[str, Any]) -> dict[str, Any]:
    return {key: override[key] for key in ("cpu", "memory", "memoryReservation") if override.get(key) is not None}


def _ports(container: Mapping[str, Any], mode: str) -> Iterator[Port]:
    """Static host ports. In ``host`` mode the container's port is the host's; in ``bridge`` mode 0 is dynamic."""
    if mode not in ("bridge", "host"):
        return
    for mapping in container.get("portMappings") or ():
        protocol = (mapping.get("protocol") or "tcp").lower()
        span = mapping.get("containerPortRange")
        if span and mode == "host":
            found = _PORT_RANGE.fullmatch(str(span))
            if found is None:
                raise BadSize(f"Invalid containerPortRange {span!r}: write it as 8000-8010.")
            for number in range(int(found[1]), int(found[2] or found[1]) + 1):
                yield number, protocol
            continue
        number = mapping.get("hostPort") or (mapping.get("containerPort") if mode == "host" else 0)
        if number:
            yield int(number), protocol
