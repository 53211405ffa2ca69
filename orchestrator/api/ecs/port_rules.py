"""Port mappings: what each network mode allows, and that no port is asked for twice."""

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.api.ecs.errors import ClientException

LAST_PORT = 65_535


def check_ports(containers: Sequence[Mapping[str, Any]], network_mode: str) -> None:
    """Raise ClientException for mappings that the network mode or the host cannot give."""
    taken: set[tuple[int, str]] = set()
    for container in containers:
        inside: set[tuple[int, str, int]] = set()
        if container["portMappings"] and network_mode == "none":
            raise ClientException("Port mappings are not supported when networkMode=none.")
        for mapping in container["portMappings"]:
            port, host, protocol = mapping.get("containerPort"), mapping["hostPort"], mapping["protocol"]
            _check_range(container["name"], port, host)
            if network_mode in ("host", "awsvpc") and host != port:
                raise ClientException(
                    f"When networkMode={network_mode}, the host ports and container ports in port mappings must match."
                )
            if (port, protocol, host) in inside:
                raise ClientException(f"Container '{container['name']}': port {port}/{protocol} is mapped twice.")
            inside.add((port, protocol, host))
            if host and (host, protocol) in taken:
                raise ClientException(f"Host port {host}/{protocol} is used by more than one port mapping of the task.")
            taken.add((host, protocol))


def _check_range(name: str, port: int | None, host: int) -> None:
    if port is None or not 1 <= port <= LAST_PORT:
        raise ClientException(f"Container '{name}': containerPort must be between 1 and {LAST_PORT}, not {port}.")
    if not 0 <= host <= LAST_PORT:
        raise ClientException(f"Container '{name}': hostPort must be between 0 and {LAST_PORT}, not {host}.")
