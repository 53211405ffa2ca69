"""Port mappings: what each network mode allows, and that no port is asked for twice.

A range of ports in ``bridge`` mode is bound to a range of the host that the agent picks. In ``awsvpc`` mode it is the
task's own; in ``host`` mode, where ECS has no ranges, Berth takes it as so many static ports of the host.
Source: ECS API, PortMapping.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from orchestrator.api.ecs.errors import ClientException
from scheduler.placement import BadSize, port_range

LAST_PORT = 65_535
# Ports that ECS reserves on one container instance at a time; ports that the agent picks do not count.
MOST_STATIC = 100
MOST_RANGES = 100
# Each published port is a process and several packet filter rules of the container engine.
MOST_PICKED = 1000


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Ports of one protocol, from ``first`` to ``last``; both belong to it."""

    protocol: str
    first: int
    last: int

    def __str__(self) -> str:
        ports = f"{self.first}" if self.first == self.last else f"{self.first}-{self.last}"
        return f"{ports}/{self.protocol}"


def check_ports(containers: Sequence[Mapping[str, Any]], network_mode: str) -> None:
    """Raise ClientException for mappings that the network mode or the host cannot give."""
    static: list[Span] = []
    names: set[str] = set()
    picked = 0
    for container in containers:
        name, mappings = container["name"], container["portMappings"]
        if mappings and network_mode == "none":
            raise ClientException("Port mappings are not supported when networkMode=none.")
        for own in (mapping["name"] for mapping in mappings if mapping.get("name")):
            if own in names:
                raise ClientException(f"The port mapping name '{own}' is already used.")
            names.add(own)
        ranges = [_range(name, mapping) for mapping in mappings if mapping.get("containerPortRange")]
        single = [_single(name, mapping, network_mode) for mapping in mappings if not mapping.get("containerPortRange")]
        if len(ranges) > MOST_RANGES:
            raise ClientException(f"Container '{name}' can have at most {MOST_RANGES} port ranges.")
        for (port, _), times in Counter(single).items():
            if times > 1:
                raise ClientException(f"Container '{name}': port {port} is mapped twice.")
        _check_overlap(ranges, {port for port, _ in single}, name)
        static += [Span(port.protocol, host, host) for port, host in single if host]
        if network_mode == "bridge":
            picked += _ports(ranges)
        else:
            static += ranges
    if clash := _clash(static):
        raise ClientException(f"Host port {clash} is used by more than one port mapping of the task.")
    if network_mode != "awsvpc" and _ports(static) > MOST_STATIC:
        raise ClientException(
            f"The task asks for {_ports(static)} host ports, but at most {MOST_STATIC} ports of a container instance "
            "can be reserved."
        )
    if picked > MOST_PICKED:
        raise ClientException(
            f"The task's port ranges hold {picked} ports; Berth publishes at most {MOST_PICKED} for a task in bridge "
            "mode."
        )


def _range(name: str, mapping: Mapping[str, Any]) -> Span:
    if mapping.get("containerPort"):
        raise ClientException(f"Container '{name}': a port mapping has a containerPort or a containerPortRange.")
    if mapping.get("hostPort"):
        raise ClientException(f"Container '{name}': a port mapping with a containerPortRange must have no hostPort.")
    try:
        ports = port_range(mapping["containerPortRange"][:40])
    except BadSize as error:
        raise ClientException(f"Container '{name}': {error}") from error
    return Span(mapping["protocol"], ports[0], ports[-1])


def _single(name: str, mapping: Mapping[str, Any], network_mode: str) -> tuple[Span, int]:
    """The container's port, and the host's: 0 where the agent picks it."""
    port, host, protocol = mapping.get("containerPort"), mapping["hostPort"], mapping["protocol"]
    if port is None or not 1 <= port <= LAST_PORT:
        raise ClientException(f"Container '{name}': containerPort must be between 1 and {LAST_PORT}, not {port}.")
    if not 0 <= host <= LAST_PORT:
        raise ClientException(f"Container '{name}': hostPort must be between 0 and {LAST_PORT}, not {host}.")
    if network_mode in ("host", "awsvpc") and host != port:
        raise ClientException(
            f"When networkMode={network_mode}, the host ports and container ports in port mappings must match."
        )
    return Span(protocol, port, port), host


def _check_overlap(ranges: Sequence[Span], single: Iterable[Span], name: str) -> None:
    """A port of a range stands in no other mapping of its container."""
    if ranges and (clash := _clash([*ranges, *single])):
        raise ClientException(f"Container '{name}': port {clash} is in more than one port mapping.")


def _clash(spans: Sequence[Span]) -> Span | None:
    """The first ports that two of the spans share."""
    reach: Span | None = None
    for before, span in pairwise(sorted(spans)):
        reach = before if reach is None or reach.protocol != before.protocol or reach.last < before.last else reach
        if span.protocol == reach.protocol and span.first <= reach.last:
            return Span(span.protocol, span.first, min(span.last, reach.last))
    return None


def _ports(spans: Iterable[Span]) -> int:
    return sum(span.last - span.first + 1 for span in spans)
