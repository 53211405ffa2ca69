"""Published ports as they are reported: one by one, and a range that was asked for as a range again."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from agent.runtime import PortBinding
from agent.tasks.spec import PortMapping


def fold(bindings: Sequence[PortBinding], mappings: Sequence[PortMapping]) -> tuple[PortBinding, ...]:
    """The bindings, with those of each mapped range put together as far as they follow each other on both sides."""
    ranges = [mapping for mapping in mappings if mapping.count > 1]
    if not ranges:
        return tuple(bindings)
    folded: list[PortBinding] = []
    for port in sorted(bindings, key=lambda port: (port.protocol, port.bind_ip, port.container_port, port.host_port)):
        last = folded[-1] if folded else None
        if last is not None and _follows(last, port) and any(_holds(r, last) and _holds(r, port) for r in ranges):
            folded[-1] = replace(last, count=last.count + 1)
        else:
            folded.append(port)
    return tuple(sorted(folded, key=lambda port: (port.container_port, port.protocol, port.host_port)))


def render_binding(binding: PortBinding) -> dict[str, Any]:
    """A ``NetworkBinding`` of the ECS API."""
    if binding.count == 1:
        ports: dict[str, Any] = {"containerPort": binding.container_port, "hostPort": binding.host_port}
    else:
        ports = {
            "containerPortRange": f"{binding.container_port}-{binding.container_port + binding.count - 1}",
            "hostPortRange": f"{binding.host_port}-{binding.host_port + binding.count - 1}",
        }
    return {"bindIP": binding.bind_ip, **ports, "protocol": binding.protocol}


def _follows(before: PortBinding, port: PortBinding) -> bool:
    return (
        (port.protocol, port.bind_ip) == (before.protocol, before.bind_ip)
        and port.container_port == before.container_port + before.count
        and port.host_port == before.host_port + before.count
    )


def _holds(mapping: PortMapping, port: PortBinding) -> bool:
    return (
        mapping.protocol == port.protocol
        and mapping.container_port <= port.container_port < mapping.container_port + mapping.count
    )
