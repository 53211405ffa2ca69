"""Task metadata, versions 3 and 4: what is known of a task, in the members that the ECS agent answers with. Pure.

What is not known is left out. Source: the ECS developer guide, "Task metadata endpoint", and the agent's own models.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import IPv4Interface
from typing import Any

from agent.endpoints.clock_drift import Drift
from agent.logs.places import place_of
from agent.runtime import Details
from agent.tasks.model import Container, Phase, Task
from agent.tasks.pausing import PAUSE_IMAGE
from agent.tasks.render import AGENT_LABEL, container_name, labels_of, log_group
from agent.tasks.spec import Desired
from kit.ids import last_part

NOTHING = Details()


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What a task is told of the machine that it runs on. ``storage`` is how many MiB tasks have
    written, by ARN."""

    zone: str = ""
    drift: Drift | None = None
    storage: Mapping[str, int] = field(default_factory=dict)


def render_task(
    task: Task,
    details: Mapping[str, Details],
    machine: Machine,
    *,
    version: int,
    tags: Sequence[Mapping[str, str]] | None = None,
) -> dict[str, Any]:
    """``/task``; ``details`` are by the engine's ids. With ``tags``, ``/taskWithTags``."""
    spec = task.spec
    made = [container for container in task.containers.values() if container.runtime_id]
    document: dict[str, Any] = {
        "Cluster": spec.cluster if spec.launch_type == "FARGATE" else last_part(spec.cluster),
        "TaskARN": task.arn,
        "Family": spec.family,
        "Revision": spec.version,
        "DesiredStatus": task.desired.value,
        "KnownStatus": _known_status(task, bool(made)),
        "Limits": _present({"CPU": spec.cpu or None, "Memory": spec.memory or None}) or None,
        "PullStartedAt": instant_text(task.pull_started_at),
        "PullStoppedAt": instant_text(task.pull_stopped_at),
        "ExecutionStoppedAt": instant_text(task.stopped_at),
        "AvailabilityZone": machine.zone or None,
        "LaunchType": spec.launch_type or None,
        "Containers": [
            render_container(task, container, details.get(container.runtime_id, NOTHING), version=version)
            for container in made
        ],
    }
    if tags is not None:
        document["TaskTags"] = {tag["key"]: tag["value"] for tag in tags}
    if version == 4:
        document |= {
            "ServiceName": spec.service or None,
            "Group": spec.group or None,
            "ClockDrift": _drift(machine.drift),
            "EphemeralStorageMetrics": _storage(task, machine.storage),
            "FaultInjectionEnabled": False,
        }
    return _present(document)


def render_container(task: Task, container: Container, seen: Details, *, version: int) -> dict[str, Any]:
    """The container itself, as it stands alone and in its task."""
    spec = container.spec
    document: dict[str, Any] = {
        "DockerId": container.runtime_id,
        "Name": container.name,
        "DockerName": container_name(task.spec, container.name),
        "Image": PAUSE_IMAGE if spec.internal else spec.image,
        "ImageID": seen.image_id or container.digest,
        "Ports": [
            {
                "ContainerPort": port.container_port,
                "Protocol": port.protocol,
                "HostPort": port.host_port,
                "HostIp": port.bind_ip,
            }
            for port in container.bindings
        ]
        or None,
        "Labels": {
            **{str(name): str(value) for name, value in (spec.config.get("Labels") or {}).items()},
            **{name: v for name, v in labels_of(task.spec, container.name, "").items() if name != AGENT_LABEL},
        },
        "DesiredStatus": (Desired.STOPPED if container.phase is Phase.STOPPED else task.desired).value,
        "KnownStatus": "CREATED" if container.phase is Phase.PENDING else container.phase.value,
        "ExitCode": container.exit_code,
        "Limits": {"CPU": spec.cpu, "Memory": spec.memory},
        "CreatedAt": instant_text(seen.created_at or container.started_at),
        "StartedAt": instant_text(container.started_at),
        "FinishedAt": instant_text(container.finished_at),
        "Type": "CNI_PAUSE" if spec.internal else "NORMAL",
        "Health": _health(container),
        "Volumes": [
            _present({"DockerName": mount.name or None, "Source": mount.source, "Destination": mount.destination})
            for mount in seen.mounts
        ]
        or None,
        "Networks": _networks(task, seen, version),
    }
    if version == 4:
        log = spec.host_config.get("LogConfig") or {}
        document |= {
            "LogDriver": log.get("Type"),
            "LogOptions": _log_options(task, container),
            "ContainerARN": spec.arn or None,
            "RestartCount": container.restart_count if spec.restart is not None else None,
        }
    return _present(document)


def instant_text(at: datetime | None) -> str | None:
    """An instant as Go writes it."""
    return None if at is None else at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _known_status(task: Task, made: bool) -> str:
    if task.status is Phase.PENDING:
        return "CREATED" if made else "NONE"
    return task.status.value


def _health(container: Container) -> dict[str, Any] | None:
    if container.health is None:
        return None
    return _present({"status": container.health.value, "statusSince": instant_text(container.health_since)})


def _log_options(task: Task, container: Container) -> dict[str, str] | None:
    log = container.spec.host_config.get("LogConfig") or {}
    options = {str(name): str(value) for name, value in (log.get("Config") or {}).items()}
    if log_group(container.spec):
        options["awslogs-stream"] = place_of(task.spec, container.spec, container.runtime_id).stream
    return options or None


def _networks(task: Task, seen: Details, version: int) -> list[dict[str, Any]]:
    mode, interface = task.spec.network_mode, task.spec.interface
    if interface is None:
        addresses = [address for address in seen.addresses.values() if address]
        return [_present({"NetworkMode": mode, "IPv4Addresses": addresses or None})]
    network: dict[str, Any] = {"NetworkMode": mode, "IPv4Addresses": [interface.address]}
    if version == 4:
        network |= {
            "AttachmentIndex": 0,
            "MACAddress": interface.mac or None,
            "IPv4SubnetCIDRBlock": str(IPv4Interface(interface.gateway).network) if interface.gateway else None,
            "DomainNameServers": list(seen.name_servers) or None,
            "PrivateDNSName": interface.private_dns or None,
            "SubnetGatewayIpv4Address": interface.gateway or None,
        }
    return [_present(network)]


def _drift(drift: Drift | None) -> dict[str, Any] | None:
    if drift is None:
        return None
    return {
        "ClockErrorBound": drift.bound_ms,
        "ReferenceTimestamp": instant_text(drift.at),
        "ClockSynchronizationStatus": "SYNCHRONIZED" if drift.synchronized else "NOT_SYNCHRONIZED",
    }


def _storage(task: Task, written: Mapping[str, int]) -> dict[str, int] | None:
    if not task.spec.storage_gib:
        return None
    return {"Utilized": written.get(task.arn, 0), "Reserved": task.spec.storage_gib * 1024}


def _present(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if value is not None}
