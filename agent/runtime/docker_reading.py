"""Reads what Docker says: inspections, ports, instants, statistics. Pure."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from agent.runtime import ContainerState, Details, Health, Mount, PortBinding, Status, Usage

STATUS = {
    "created": Status.CREATED,
    "running": Status.RUNNING,
    "paused": Status.RUNNING,
    "restarting": Status.RUNNING,
    "removing": Status.EXITED,
    "exited": Status.EXITED,
    "dead": Status.EXITED,
}
HEALTH = {"healthy": Health.HEALTHY, "unhealthy": Health.UNHEALTHY, "starting": Health.UNKNOWN}


def container_state(seen: Mapping[str, Any]) -> ContainerState:
    """An inspection as a ContainerState."""
    state = seen["State"]
    status = STATUS.get(state["Status"], Status.EXITED)
    failed = status is Status.CREATED and bool(state.get("Error"))
    return ContainerState(
        id=seen["Id"],
        name=seen.get("Name", "").lstrip("/"),
        labels=(seen.get("Config") or {}).get("Labels") or {},
        status=status,
        exit_code=state.get("ExitCode") if status is Status.EXITED or failed else None,
        oom_killed=bool(state.get("OOMKilled")),
        error=state.get("Error") or "",
        started_at=instant(state.get("StartedAt")),
        finished_at=instant(state.get("FinishedAt")) if status is Status.EXITED else None,
        health=HEALTH.get((state.get("Health") or {}).get("Status", "")),
        ports=port_bindings((seen.get("NetworkSettings") or {}).get("Ports") or {}),
        address=str((seen.get("NetworkSettings") or {}).get("IPAddress") or ""),
    )


def container_details(seen: Mapping[str, Any]) -> Details:
    """An inspection as Details."""
    networks = (seen.get("NetworkSettings") or {}).get("Networks") or {}
    return Details(
        name=str(seen.get("Name") or "").lstrip("/"),
        pid=int((seen.get("State") or {}).get("Pid") or 0),
        network_mode=str((seen.get("HostConfig") or {}).get("NetworkMode") or ""),
        image_id=str(seen.get("Image") or ""),
        created_at=instant(seen.get("Created")),
        addresses={name: str(network.get("IPAddress") or "") for name, network in networks.items()},
        mounts=tuple(
            Mount(
                source=str(mount.get("Source") or ""),
                destination=str(mount.get("Destination") or ""),
                name=str(mount.get("Name") or ""),
            )
            for mount in seen.get("Mounts") or ()
        ),
        name_servers=tuple((seen.get("HostConfig") or {}).get("Dns") or ()),
    )


def port_bindings(ports: Mapping[str, Any]) -> tuple[PortBinding, ...]:
    """Published ports in order. Docker lists a port once per address family; the IPv6 twin says nothing new."""
    found: dict[PortBinding, None] = {}
    for where, bindings in ports.items():
        number, _, protocol = where.partition("/")
        for binding in bindings or ():
            if ":" not in binding["HostIp"]:
                port = PortBinding(
                    container_port=int(number),
                    host_port=int(binding["HostPort"]),
                    protocol=protocol,
                    bind_ip=binding["HostIp"] or "0.0.0.0",  # noqa: S104
                )
                found[port] = None
    return tuple(sorted(found, key=lambda port: (port.container_port, port.protocol, port.host_port)))


def instant(text: str | None) -> datetime | None:
    """Docker's instant, cut to microseconds; its year 1 means never."""
    if not text or text.startswith("0001-"):
        return None
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))


def epoch_text(at: str) -> str:
    """Docker's own instant as the ``seconds.nanoseconds`` that its ``since`` parameters take."""
    whole, _, fraction = at.rstrip("Z").partition(".")
    seconds = int(datetime.fromisoformat(whole + "+00:00").timestamp())
    return f"{seconds}.{fraction.ljust(9, '0')[:9]}"


def usage(seen: Mapping[str, Any]) -> Usage:
    """One sample of statistics. Memory is without the page cache that can be given back."""
    memory = seen.get("memory_stats") or {}
    details = memory.get("stats") or {}
    cache = details.get("total_inactive_file", details.get("inactive_file", 0))
    networks = (seen.get("networks") or {}).values()
    io = (seen.get("blkio_stats") or {}).get("io_service_bytes_recursive") or ()
    return Usage(
        cpu_ns=int(((seen.get("cpu_stats") or {}).get("cpu_usage") or {}).get("total_usage", 0)),
        memory_bytes=max(0, int(memory.get("usage", 0)) - int(cache)),
        rx_bytes=sum(int(n.get("rx_bytes", 0)) for n in networks),
        tx_bytes=sum(int(n.get("tx_bytes", 0)) for n in networks),
        read_bytes=sum(int(e["value"]) for e in io if e.get("op", "").lower() == "read"),
        write_bytes=sum(int(e["value"]) for e in io if e.get("op", "").lower() == "write"),
    )
