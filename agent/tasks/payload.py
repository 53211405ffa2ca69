"""Reads a PayloadMessage's tasks. A payload that this agent cannot run raises BadPayload.

The members are those of the ECS agent protocol's ``Task`` and ``Container``. Nothing asked for is left out in
silence: what is not supported is refused by name.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from agent.tasks.associations import read_gpus
from agent.tasks.pausing import PAUSE_NAME, with_pause
from agent.tasks.reading import (
    BadPayload,
    embedded,
    member,
    number,
    objects,
    text,
    text_map,
    texts,
    whole,
    yes_or_no,
)
from agent.tasks.restarting import read_restart_policy
from agent.tasks.roles import read_role
from agent.tasks.routers import behind_router, read_router
from agent.tasks.secret_refs import read_secrets
from agent.tasks.spec import (
    DEFAULT_STOP,
    Condition,
    ContainerSpec,
    Dependency,
    Desired,
    Interface,
    MountPoint,
    PortMapping,
    RegistryAuth,
    TaskSpec,
    Volume,
    edges,
)

CONTAINER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}")
NETWORK_MODES = ("bridge", "host", "none", "awsvpc")
NAMESPACE_MODES = {"pidMode": ("host", "task"), "ipcMode": ("host", "task", "none")}
VOLUME_TYPES = ("host", "docker")
PORTS = 65535
LARGEST = 2**31 - 1
# ECS bounds how long a container may take to start or to stop on Fargate alone; calls of the engine take up to 24 days.
LONGEST_S = 2_000_000


def read_task(raw: Any, *, seq: int, cluster: str) -> TaskSpec:
    """Read one task of a PayloadMessage."""
    if not isinstance(raw, Mapping):
        raise BadPayload("task: expected an object")
    arn = text(raw, "arn", "task")
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,200}", arn.rsplit("/", 1)[-1]):
        raise BadPayload("task.arn: expected an ARN that ends in a task id")
    desired = text(raw, "desiredStatus", "task", "RUNNING")
    if desired not in tuple(Desired):
        raise BadPayload(f"task.desiredStatus: {desired} is neither RUNNING nor STOPPED")
    spec = TaskSpec(
        arn=arn,
        cluster=text(raw, "taskClusterArn", "task", cluster),
        family=text(raw, "family", "task", ""),
        version=text(raw, "version", "task", ""),
        desired=Desired(desired),
        seq=seq,
    )
    return spec if spec.desired is Desired.STOPPED and not raw.get("containers") else _body(spec, raw)


def names_of(raw: Any) -> tuple[str, ...]:
    """The container names of a payload that may be bad in other places: for saying that it did not run."""
    containers = raw.get("containers") if isinstance(raw, Mapping) else None
    names = [c.get("name") for c in containers if isinstance(c, Mapping)] if isinstance(containers, list) else []
    return tuple(name for name in names if isinstance(name, str))


def _body(spec: TaskSpec, raw: Mapping[str, Any]) -> TaskSpec:
    mode = text(raw, "networkMode", "task", "bridge")
    if mode == "default":
        mode = "bridge"
    if mode not in NETWORK_MODES:
        raise BadPayload(f"task.networkMode: {mode} is not one of {', '.join(NETWORK_MODES)}")
    pid_mode, ipc_mode = (_namespace(raw, name, modes) for name, modes in NAMESPACE_MODES.items())
    if raw.get("proxyConfiguration"):
        raise BadPayload("task.proxyConfiguration: this agent runs no proxies")
    overrides = {
        text(o, "name", where): o
        for o, where in objects(embedded(raw, "overrides", "task"), "containerOverrides", "task.overrides")
    }
    named = member(raw, "executionRoleCredentials", "task")
    gpus = read_gpus(raw)
    containers = tuple(
        _container(c, where, overrides.get(str(c.get("name"))), gpus) for c, where in objects(raw, "containers", "task")
    )
    for name in gpus.keys() - {container.name for container in containers}:
        raise BadPayload(f"task.associations: no container is named {name}")
    interface = _interface(raw) if mode == "awsvpc" else None
    spec = replace(
        spec,
        cpu=number(raw, "cpu", "task") or 0,
        memory=whole(raw, "memory", "task") or 0,
        storage_gib=whole(member(raw, "ephemeralStorage", "task"), "sizeInGiB", "task.ephemeralStorage") or 0,
        network_mode=mode,
        launch_type=text(raw, "launchType", "task", ""),
        pid_mode=pid_mode,
        ipc_mode=ipc_mode,
        interface=interface,
        volumes=tuple(_volume(v, where) for v, where in objects(raw, "volumes", "task")),
        containers=behind_router(containers),
        service=text(raw, "serviceName", "task", ""),
        group=text(raw, "group", "task", ""),
        role=read_role(member(raw, "roleCredentials", "task"), "task.roleCredentials"),
        has_execution_role=bool(named),
        # A payload that was kept on the disk only names it.
        execution_role=read_role(named, "task.executionRoleCredentials") if named.get("accessKeyId") else None,
    )
    _check(spec)
    if interface or "task" in (pid_mode, ipc_mode):
        return replace(spec, containers=with_pause(spec.containers))
    return spec


def _namespace(raw: Mapping[str, Any], name: str, modes: tuple[str, ...]) -> str:
    mode = text(raw, name, "task", "")
    if mode and mode not in modes:
        raise BadPayload(f"task.{name}: {mode} is not one of {', '.join(modes)}")
    return mode


def _container(
    raw: Mapping[str, Any],
    where: str,
    override: Mapping[str, Any] | None,
    gpus: Mapping[str, tuple[str, ...]],
) -> ContainerSpec:
    name = text(raw, "name", where)
    if not CONTAINER_NAME.fullmatch(name) and name != PAUSE_NAME:
        raise BadPayload(f"{where}.name: {name!r} is not a container name")
    docker = member(raw, "dockerConfig", where)
    start = whole(raw, "startTimeout", where, most=LARGEST)
    stop = whole(raw, "stopTimeout", where, most=LARGEST)
    spec = ContainerSpec(
        name=name,
        image=text(raw, "image", where),
        arn=text(raw, "containerArn", where, ""),
        essential=yes_or_no(raw, "essential", where, True),
        internal=name == PAUSE_NAME,
        command=texts(raw, "command", where),
        entry_point=texts(raw, "entryPoint", where),
        environment=text_map(raw, "environment", where),
        environment_files=_environment_files(raw, where),
        secrets=read_secrets(raw, where),
        cpu=whole(raw, "cpu", where) or 0,
        memory=whole(raw, "memory", where) or 0,
        links=texts(raw, "links", where),
        port_mappings=tuple(_port(m, place) for m, place in objects(raw, "portMappings", where)),
        gpus=gpus.get(name, ()),
        mount_points=tuple(
            MountPoint(
                source_volume=text(m, "sourceVolume", place),
                container_path=text(m, "containerPath", place),
                read_only=yes_or_no(m, "readOnly", place, False),
            )
            for m, place in objects(raw, "mountPoints", where)
        ),
        volumes_from=tuple(
            (text(v, "sourceContainer", place), yes_or_no(v, "readOnly", place, False))
            for v, place in objects(raw, "volumesFrom", where)
        ),
        depends_on=tuple(_dependency(d, place) for d, place in objects(raw, "dependsOn", where)),
        config=embedded(docker, "config", where),
        host_config=embedded(docker, "hostConfig", where),
        privileged=yes_or_no(raw, "privileged", where, False),
        registry_auth=_registry_auth(raw, where),
        start_timeout=timedelta(seconds=min(start, LONGEST_S)) if start else None,
        stop_timeout=timedelta(seconds=min(stop, LONGEST_S)) if stop is not None else DEFAULT_STOP,
        restart=read_restart_policy(raw, where),
        router=read_router(raw, where),
    )
    for override_raw in (embedded(raw, "overrides", where), override):
        if override_raw:
            spec = _overridden(spec, override_raw, f"{where}.overrides")
    return spec


def _overridden(spec: ContainerSpec, raw: Mapping[str, Any], where: str) -> ContainerSpec:
    command = texts(raw, "command", where)
    return replace(
        spec,
        command=command or spec.command,
        environment={**spec.environment, **text_map(raw, "environment", where)},
        cpu=whole(raw, "cpu", where) or spec.cpu,
        memory=whole(raw, "memory", where) or spec.memory,
    )


def _port(raw: Mapping[str, Any], where: str) -> PortMapping:
    protocol = text(raw, "protocol", where, "tcp")
    if protocol not in ("tcp", "udp"):
        raise BadPayload(f"{where}.protocol: {protocol} is neither tcp nor udp")
    span = text(raw, "containerPortRange", where, "")
    if span:
        found = re.fullmatch(r"(\d{1,5})-(\d{1,5})", span)
        first, last = (int(found[1]), int(found[2])) if found else (0, 0)
        if not 1 <= first <= last <= PORTS:
            raise BadPayload(f"{where}.containerPortRange: {span} is not a range of ports")
        return PortMapping(container_port=first, host_port=0, protocol=protocol, count=last - first + 1)
    port = whole(raw, "containerPort", where, most=PORTS)
    if not port:
        raise BadPayload(f"{where}.containerPort: is missing")
    host_port = whole(raw, "hostPort", where, most=PORTS) or 0
    return PortMapping(container_port=port, host_port=host_port, protocol=protocol)


def _dependency(raw: Mapping[str, Any], where: str) -> Dependency:
    condition = text(raw, "condition", where, "START")
    if condition not in tuple(Condition):
        raise BadPayload(f"{where}.condition: {condition} is not a condition")
    return Dependency(container=text(raw, "containerName", where), condition=Condition(condition))


def _registry_auth(raw: Mapping[str, Any], where: str) -> RegistryAuth | None:
    auth = member(raw, "registryAuthentication", where)
    if not auth:
        return None
    kind = text(auth, "type", f"{where}.registryAuthentication", "")
    if kind == "asm":
        place = f"{where}.registryAuthentication.asmAuthData"
        secret = text(member(auth, "asmAuthData", where), "credentialsParameter", place)
        return RegistryAuth(secret=secret)
    if kind != "ecr":
        raise BadPayload(f"{where}.registryAuthentication.type: this agent knows ecr and asm, not {kind!r}")
    data = member(auth, "ecrAuthData", where)
    own = yes_or_no(data, "useExecutionRole", f"{where}.registryAuthentication.ecrAuthData", False)
    return RegistryAuth(registry_id=text(data, "registryId", where, ""), by_role=own)


def _environment_files(raw: Mapping[str, Any], where: str) -> tuple[str, ...]:
    found = []
    for file, place in objects(raw, "environmentFiles", where):
        kind = text(file, "type", place, "s3")
        if kind != "s3":
            raise BadPayload(f"{place}.type: this agent reads environment files from s3, not from {kind}")
        found.append(text(file, "value", place))
    return tuple(found)


def _volume(raw: Mapping[str, Any], where: str) -> Volume:
    name = text(raw, "name", where)
    kind = text(raw, "type", where, "host")
    if kind not in VOLUME_TYPES:
        raise BadPayload(f"{where}.type: this agent mounts {' and '.join(VOLUME_TYPES)} volumes, not {kind}")
    docker = member(raw, "dockerVolumeConfiguration", where)
    return Volume(
        name=name,
        type=kind,
        source_path=text(member(raw, "host", where), "sourcePath", where, ""),
        scope=text(docker, "scope", where, "task"),
        autoprovision=yes_or_no(docker, "autoprovision", where, False),
        driver=text(docker, "driver", where, "local"),
        driver_options=text_map(docker, "driverOpts", where),
        labels=text_map(docker, "labels", where),
    )


def _interface(raw: Mapping[str, Any]) -> Interface:
    where = "task.elasticNetworkInterfaces[0]"
    found = objects(raw, "elasticNetworkInterfaces", "task")
    if not found:
        raise BadPayload("task.elasticNetworkInterfaces: an awsvpc task needs an address")
    eni = found[0][0]
    addresses = [
        text(a, "privateAddress", place)
        for a, place in objects(eni, "ipv4Addresses", where)
        if yes_or_no(a, "primary", place, True)
    ]
    if not addresses:
        raise BadPayload(f"{where}.ipv4Addresses: no primary address")
    return Interface(
        address=addresses[0],
        mac=text(eni, "macAddress", where, ""),
        gateway=text(eni, "subnetGatewayIpv4Address", where, ""),
        private_dns=text(eni, "privateDnsName", where, ""),
    )


def _check(spec: TaskSpec) -> None:
    names = [container.name for container in spec.containers]
    if not names:
        raise BadPayload("task.containers: a task needs at least one")
    if len(set(names)) != len(names):
        raise BadPayload("task.containers: two containers have the same name")
    volumes = {volume.name for volume in spec.volumes}
    waits: dict[str, set[str]] = {}
    for container in spec.containers:
        waits[container.name] = {edge.container for edge in edges(container)}
        for other in waits[container.name]:
            if other not in names:
                raise BadPayload(f"container {container.name}: depends on {other}, which is not in the task")
        for mount in container.mount_points:
            if mount.source_volume not in volumes:
                raise BadPayload(f"container {container.name}: no volume is named {mount.source_volume}")
    while free := [name for name, on in waits.items() if not on & waits.keys()]:
        for name in free:
            del waits[name]
    if waits:
        raise BadPayload(f"task.containers: {', '.join(sorted(waits))} wait for each other")
