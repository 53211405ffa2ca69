"""From a container's spec to the engine's create request. Pure: the same spec gives the same request."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from agent.tasks.injected import NOTHING, Injected
from agent.tasks.pausing import PAUSE_NAME
from agent.tasks.spec import ContainerSpec, Interface, MountPoint, PortMapping, TaskSpec, Volume

LABEL = "com.amazonaws.ecs."
TASK_LABEL = f"{LABEL}task-arn"
CONTAINER_LABEL = f"{LABEL}container-name"
CLUSTER_LABEL = f"{LABEL}cluster"
AGENT_LABEL = "berth.agent"

# What NVIDIA's container runtime reads, and so do images made for it.
VISIBLE_GPUS = "NVIDIA_VISIBLE_DEVICES"
CPU_PERIOD_US = 100_000
MIB = 1024 * 1024
LEAST_MEMORY = 6 * MIB
LEAST_SHARES = 2

# What belongs to the owner of a network namespace, and which the engine refuses on a container that joins one.
NAMESPACE_CONFIG = ("Hostname", "Domainname", "MacAddress")
NAMESPACE_HOST_CONFIG = ("Dns", "DnsOptions", "DnsSearch", "ExtraHosts", "Links", "DNS", "DNSOptions", "DNSSearch")


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What the create request needs to know of this agent."""

    agent_id: str
    cgroup_parent: str = ""
    network: str = "berth-awsvpc"


def container_name(task: TaskSpec, container: str) -> str:
    """The engine's name of a container: the same each time, so that creating it twice is noticed."""
    return f"ecs-{task.id}-{container.replace('~', '')}"


def labels_of(task: TaskSpec, container: str, agent_id: str) -> dict[str, str]:
    return {
        TASK_LABEL: task.arn,
        CONTAINER_LABEL: container,
        CLUSTER_LABEL: task.cluster,
        f"{LABEL}task-definition-family": task.family,
        f"{LABEL}task-definition-version": task.version,
        AGENT_LABEL: agent_id,
    }


def render_container(
    task: TaskSpec,
    container: ContainerSpec,
    image: str,
    host: Host,
    picked: Mapping[PortMapping, int] = MappingProxyType({}),
    injected: Injected = NOTHING,
) -> dict[str, Any]:
    """The body of the engine's create request, for an image already resolved to a pullable name.

    ``picked`` are the first host ports of the ranges that the task publishes.
    """
    if container.internal:
        return _pause(task, image, host)
    config = dict(container.config)
    config["Image"] = image
    config["Labels"] = {
        **(config.get("Labels") or {}),
        **labels_of(task, container.name, host.agent_id),
    }
    config["Env"] = _environment(task, container, injected)
    if container.command:
        config["Cmd"] = list(container.command)
    if container.entry_point:
        config["Entrypoint"] = list(container.entry_point)
    if injected.volumes:
        config["Volumes"] = {**(config.get("Volumes") or {}), **{path: {} for path in injected.volumes}}
    host_config = _host_config(task, container, host, injected)
    if task.network_mode == "awsvpc":
        for name in NAMESPACE_CONFIG:
            config.pop(name, None)
        for name in NAMESPACE_HOST_CONFIG:
            host_config.pop(name, None)
    elif task.network_mode == "bridge" and container.port_mappings:
        config["ExposedPorts"] = {
            **(config.get("ExposedPorts") or {}),
            **{f"{port}/{p.protocol}": {} for p in container.port_mappings for port in p.ports},
        }
        host_config["PortBindings"] = _bindings(container, picked)
    config["HostConfig"] = host_config
    return config


def _pause(task: TaskSpec, image: str, host: Host) -> dict[str, Any]:
    body: dict[str, Any] = {
        "Image": image,
        "Labels": labels_of(task, PAUSE_NAME, host.agent_id),
        "HostConfig": {"NetworkMode": "none", "LogConfig": {"Type": "none", "Config": {}}},
    }
    if task.ipc_mode == "task":
        body["HostConfig"]["IpcMode"] = "shareable"
        sizes = [container.host_config.get("ShmSize") or 0 for container in task.containers]
        if largest := max(sizes):
            body["HostConfig"]["ShmSize"] = largest
    if task.interface:
        _join_network(body, task, task.interface, host)
    if host.cgroup_parent:
        body["HostConfig"]["CgroupParent"] = host.cgroup_parent
    return body


def _join_network(body: dict[str, Any], task: TaskSpec, interface: Interface, host: Host) -> None:
    body["HostConfig"]["NetworkMode"] = host.network
    body["NetworkingConfig"] = {"EndpointsConfig": {host.network: {"IPAMConfig": {"IPv4Address": interface.address}}}}
    if interface.mac:
        body["MacAddress"] = interface.mac
    for container in task.containers:
        names = {**container.config, **container.host_config}
        for name in ("Hostname", "Domainname"):
            if names.get(name):
                body.setdefault(name, names[name])
        for name in NAMESPACE_HOST_CONFIG[:4]:
            if container.host_config.get(name):
                body["HostConfig"].setdefault(name, container.host_config[name])
    # As ECS has it: a task of its own address calls itself what that address is called.
    if interface.private_dns:
        body.setdefault("Hostname", interface.private_dns)


def _environment(task: TaskSpec, container: ContainerSpec, injected: Injected) -> list[str]:
    merged: dict[str, str] = {"AWS_EXECUTION_ENV": f"AWS_ECS_{task.launch_type or 'EC2'}"}
    for entry in container.config.get("Env") or ():
        name, _, value = str(entry).partition("=")
        merged[name] = value
    merged |= {**injected.defaults, **container.environment, **injected.environment}
    if container.gpus:
        merged[VISIBLE_GPUS] = ",".join(container.gpus)
    return [f"{name}={value}" for name, value in merged.items()]


def _host_config(task: TaskSpec, container: ContainerSpec, host: Host, injected: Injected) -> dict[str, Any]:
    config = dict(container.host_config)
    config["NetworkMode"] = _network_mode(task)
    config |= _namespaces(task)
    if container.privileged:
        config["Privileged"] = True
    config.setdefault("CpuShares", max(LEAST_SHARES, container.cpu))
    memory = container.memory or (0 if host.cgroup_parent else task.memory)
    if memory and not config.get("Memory"):
        config["Memory"] = max(LEAST_MEMORY, memory * MIB)
    if task.cpu and not host.cgroup_parent and not config.get("CpuQuota") and not config.get("NanoCpus"):
        config["CpuPeriod"] = CPU_PERIOD_US
        config["CpuQuota"] = math.ceil(task.cpu * CPU_PERIOD_US)
    if host.cgroup_parent:
        config["CgroupParent"] = host.cgroup_parent
    if log_group(container):
        # The engine keeps a bounded buffer; the agent ships it to the Logs API itself.
        config["LogConfig"] = {"Type": "json-file", "Config": {"max-size": "16m", "max-file": "2"}}
    elif injected.log_options or injected.log_driver:
        config["LogConfig"] = _log_config(config.get("LogConfig") or {}, injected)
    if container.gpus:
        config["DeviceRequests"] = [
            *(config.get("DeviceRequests") or ()),
            {"Driver": "nvidia", "DeviceIDs": list(container.gpus), "Capabilities": [["gpu"]]},
        ]
    binds = [*(_bind(task, mount) for mount in container.mount_points), *injected.binds]
    if binds:
        config["Binds"] = [*(config.get("Binds") or ()), *binds]
    if container.volumes_from:
        config["VolumesFrom"] = [
            f"{container_name(task, name)}:{'ro' if read_only else 'rw'}" for name, read_only in container.volumes_from
        ]
    if container.links and task.network_mode == "bridge":
        config["Links"] = [_link(task, link) for link in container.links]
    return config


def _log_config(said: Mapping[str, Any], injected: Injected) -> dict[str, Any]:
    if injected.log_driver:
        return {"Type": injected.log_driver, "Config": dict(injected.log_options)}
    return {**said, "Config": {**(said.get("Config") or {}), **injected.log_options}}


def _network_mode(task: TaskSpec) -> str:
    if task.network_mode == "awsvpc":
        return f"container:{container_name(task, PAUSE_NAME)}"
    return task.network_mode


def _namespaces(task: TaskSpec) -> dict[str, str]:
    shared = f"container:{container_name(task, PAUSE_NAME)}"
    modes = {"PidMode": task.pid_mode, "IpcMode": task.ipc_mode}
    return {member: shared if mode == "task" else mode for member, mode in modes.items() if mode}


def ranges_to_pick(task: TaskSpec, container: ContainerSpec) -> tuple[PortMapping, ...]:
    """The ranges of the container for which the agent picks ports of the host."""
    return tuple(port for port in container.port_mappings if port.count > 1) if task.network_mode == "bridge" else ()


def _bindings(container: ContainerSpec, picked: Mapping[PortMapping, int]) -> dict[str, list[dict[str, str]]]:
    bindings: dict[str, list[dict[str, str]]] = {}
    for mapping in container.port_mappings:
        first = picked.get(mapping, mapping.host_port)
        for offset, port in enumerate(mapping.ports):
            host_port = str(first + offset) if first else ""
            bindings.setdefault(f"{port}/{mapping.protocol}", []).append({"HostPort": host_port})
    return bindings


def _bind(task: TaskSpec, mount: MountPoint) -> str:
    volume = next(v for v in task.volumes if v.name == mount.source_volume)
    source = volume.source_path or volume_name(task, volume)
    return f"{source}:{mount.container_path}{':ro' if mount.read_only else ''}"


def volume_name(task: TaskSpec, volume: Volume) -> str:
    """The engine's name of a volume: a shared one keeps its own, a task's own one carries the task's id."""
    if volume.type == "docker" and volume.scope == "shared":
        return volume.name
    return f"ecs-{task.id}-{volume.name}"


def own_volumes(task: TaskSpec) -> tuple[Volume, ...]:
    """The volumes that live and go with the task."""
    return tuple(v for v in task.volumes if not v.source_path and not (v.type == "docker" and v.scope == "shared"))


def _link(task: TaskSpec, link: str) -> str:
    name, _, alias = link.partition(":")
    return f"{container_name(task, name)}:{alias or name}"


def log_options(container: ContainerSpec) -> Mapping[str, str]:
    """The awslogs options of a container; empty when it logs elsewhere."""
    log = container.host_config.get("LogConfig") or {}
    if not isinstance(log, Mapping) or log.get("Type") != "awslogs":
        return {}
    options = log.get("Config")
    return options if isinstance(options, Mapping) else {}


def log_group(container: ContainerSpec) -> str:
    return str(log_options(container).get("awslogs-group", ""))
