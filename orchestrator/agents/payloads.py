"""Payloads: a task as the agent protocol's ``Task``, made of its definition, its overrides and its assignment.

Source: the ECS agent's ACS model. ``dockerConfig`` holds JSON strings in the Docker Engine API's own vocabulary.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from kit.fargate import storage_of
from kit.file_systems import mount_options, read_file_systems
from kit.ids import Arns
from kit.settings import Settings
from orchestrator.agents.roles import RoleCredentials, render_role_credentials
from scheduler.task_secrets import provider_of, region_of
from scheduler.wiring import interface_of
from state.role_sessions import APPLICATION, EXECUTION
from state.task_definitions import TaskDefinition
from state.tasks import Task
from state.told_tasks import ToldTask

NANOSECONDS = 1_000_000_000
MIB = 1024 * 1024
ROLES = {APPLICATION: "roleCredentials", EXECUTION: "executionRoleCredentials"}
ECR_IMAGE = re.compile(r"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com/")


def render_payload_task(
    task: Task | ToldTask,
    definition: TaskDefinition,
    *,
    arns: Arns,
    settings: Settings,
    roles: Sequence[RoleCredentials] = (),
) -> dict[str, Any]:
    """One entry of a PayloadMessage's ``tasks``."""
    body = definition.body
    execution = any(credentials.role_type == EXECUTION for credentials in roles)
    payload: dict[str, Any] = {
        "arn": arns.task(task.cluster, task.id),
        "taskClusterArn": arns.cluster(task.cluster),
        "family": task.family,
        "version": str(task.revision),
        "desiredStatus": task.desired_status,
        "networkMode": body.get("networkMode") or "bridge",
        "launchType": task.launch_type,
        "serviceName": task.service_name,
        "group": task.group,
        "pidMode": body.get("pidMode"),
        "ipcMode": body.get("ipcMode"),
        "overrides": "{}",
        "volumes": [_volume(volume, settings) for volume in body.get("volumes", ())],
        "containers": [
            _container(task, body, container, arns=arns, settings=settings, execution=execution)
            for container in body["containerDefinitions"]
        ],
    }
    overrides = task.overrides or {}
    if overrides.get("cpu") or body.get("cpu"):
        payload["cpu"] = task.cpu / 1024
    if overrides.get("memory") or body.get("memory"):
        payload["memory"] = task.memory
    for credentials in roles:
        payload[ROLES[credentials.role_type]] = render_role_credentials(credentials)
    if task.launch_type == "FARGATE":
        payload["ephemeralStorage"] = {"sizeInGiB": storage_of(body, overrides)}
    interface = interface_of(task)
    if interface is not None:
        payload["elasticNetworkInterfaces"] = [_network_interface(interface, arns)]
    associations = render_associations(task.containers)
    if associations:
        payload["associations"] = associations
    return {member: value for member, value in payload.items() if value is not None}


def render_associations(containers: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The task's GPUs, each with the one container that it is for."""
    return [
        {"type": "gpu", "name": gpu, "containers": [container["name"]]}
        for container in containers
        for gpu in container.get("gpuIds") or ()
    ]


def _container(
    task: Task | ToldTask,
    body: Mapping[str, Any],
    definition: Mapping[str, Any],
    *,
    arns: Arns,
    settings: Settings,
    execution: bool,
) -> dict[str, Any]:
    override = _override_of(task, definition["name"])
    known = next(c for c in task.containers if c["name"] == definition["name"])
    environment = {pair["name"]: pair.get("value", "") for pair in definition.get("environment", ())}
    environment |= task.extra_environment
    environment |= {pair["name"]: pair.get("value", "") for pair in override.get("environment", ())}
    container: dict[str, Any] = {
        "name": definition["name"],
        "containerArn": arns.container(task.cluster, task.id, known["id"]),
        "image": definition["image"],
        "essential": definition.get("essential", True),
        "command": definition.get("command"),
        "entryPoint": definition.get("entryPoint"),
        "environment": environment,
        "cpu": override.get("cpu", definition.get("cpu", 0)),
        "memory": override.get("memory", definition.get("memory")),
        "links": definition.get("links"),
        "portMappings": definition.get("portMappings"),
        "mountPoints": definition.get("mountPoints"),
        "volumesFrom": definition.get("volumesFrom"),
        "dependsOn": definition.get("dependsOn"),
        "privileged": definition.get("privileged"),
        "startTimeout": definition.get("startTimeout"),
        "stopTimeout": definition.get("stopTimeout"),
        "secrets": render_secrets(definition, settings.region),
        "environmentFiles": override.get("environmentFiles") or definition.get("environmentFiles"),
        "restartPolicy": definition.get("restartPolicy"),
        "firelensConfiguration": definition.get("firelensConfiguration"),
        "healthCheckType": "docker" if definition.get("healthCheck") else None,
        "overrides": json.dumps({"command": override["command"]}) if override.get("command") else "{}",
        "dockerConfig": {
            "version": "1.18",
            "config": json.dumps(_config(definition)),
            "hostConfig": json.dumps(_host_config(body, definition, override)),
        },
    }
    login = definition.get("repositoryCredentials")
    if login:
        secret = login["credentialsParameter"]
        container["registryAuthentication"] = {
            "type": "asm",
            "asmAuthData": {"credentialsParameter": secret, "region": region_of(secret, settings.region)},
        }
    elif is_ours(definition["image"], settings):
        container["registryAuthentication"] = {
            "type": "ecr",
            "ecrAuthData": {
                "registryId": settings.account,
                "region": settings.region,
                "useExecutionRole": execution,
            },
        }
    return {member: value for member, value in container.items() if value not in (None, [])}


def render_secrets(definition: Mapping[str, Any], region: str) -> list[dict[str, str]]:
    """The container's secrets and its log driver's, each with where it is kept and what it is for."""
    options = (definition.get("logConfiguration") or {}).get("secretOptions") or ()
    targets = (("CONTAINER", definition.get("secrets") or ()), ("LOG_DRIVER", options))
    return [
        {
            "name": secret["name"],
            "valueFrom": secret["valueFrom"],
            "provider": provider_of(secret["valueFrom"]),
            "type": "ENVIRONMENT_VARIABLE",
            "region": region_of(secret["valueFrom"], region),
            "target": target,
        }
        for target, secrets in targets
        for secret in secrets
    ]


def is_ours(image: str, settings: Settings) -> bool:
    """Whether the image's name means this Berth's registry."""
    return image.startswith(f"{settings.registry}/") or ECR_IMAGE.match(image) is not None


def _override_of(task: Task | ToldTask, name: str) -> Mapping[str, Any]:
    overrides: Sequence[Mapping[str, Any]] = (task.overrides or {}).get("containerOverrides", ())
    return next((override for override in overrides if override.get("name") == name), {})


def _config(definition: Mapping[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = {
        "User": definition.get("user"),
        "WorkingDir": definition.get("workingDirectory"),
        "Hostname": definition.get("hostname"),
        "Labels": definition.get("dockerLabels"),
        "Tty": definition.get("pseudoTerminal"),
        "OpenStdin": definition.get("interactive"),
        "NetworkDisabled": definition.get("disableNetworking"),
        "Healthcheck": _health_check(definition.get("healthCheck")),
    }
    return _present(config)


def _health_check(check: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if not check:
        return None
    return {
        "Test": check["command"],
        "Interval": check.get("interval", 30) * NANOSECONDS,
        "Timeout": check.get("timeout", 5) * NANOSECONDS,
        "Retries": check.get("retries", 3),
        "StartPeriod": check.get("startPeriod", 0) * NANOSECONDS,
    }


def _host_config(body: Mapping[str, Any], definition: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    linux = definition.get("linuxParameters") or {}
    capabilities = linux.get("capabilities") or {}
    soft = override.get("memoryReservation", definition.get("memoryReservation"))
    swap = linux.get("maxSwap")
    hard = override.get("memory", definition.get("memory"))
    config: dict[str, Any] = {
        "MemoryReservation": soft * MIB if soft else None,
        "MemorySwap": (hard + swap) * MIB if swap is not None and hard else None,
        # ECS ignores how swap is used where its amount is left to the host.
        "MemorySwappiness": linux.get("swappiness") if swap is not None else None,
        "CapAdd": capabilities.get("add"),
        "CapDrop": capabilities.get("drop"),
        "Init": linux.get("initProcessEnabled"),
        "ShmSize": linux["sharedMemorySize"] * MIB if linux.get("sharedMemorySize") else None,
        "Tmpfs": {mount["containerPath"]: _tmpfs(mount) for mount in linux.get("tmpfs", ())},
        "Devices": [_device(device) for device in linux.get("devices", ())],
        "Ulimits": [
            {"Name": limit["name"], "Soft": limit["softLimit"], "Hard": limit["hardLimit"]}
            for limit in definition.get("ulimits", ())
        ],
        "Sysctls": {control["namespace"]: control["value"] for control in definition.get("systemControls", ())},
        "Dns": definition.get("dnsServers"),
        "DnsSearch": definition.get("dnsSearchDomains"),
        "ExtraHosts": [f"{host['hostname']}:{host['ipAddress']}" for host in definition.get("extraHosts", ())],
        "Privileged": definition.get("privileged"),
        "ReadonlyRootfs": definition.get("readonlyRootFilesystem"),
        "SecurityOpt": definition.get("dockerSecurityOptions"),
        "PidMode": "host" if body.get("pidMode") == "host" else None,
        "IpcMode": body.get("ipcMode") if body.get("ipcMode") in ("host", "none") else None,
    }
    log = definition.get("logConfiguration")
    if log:
        config["LogConfig"] = {"Type": log["logDriver"], "Config": dict(log.get("options") or {})}
    return _present(config)


def _tmpfs(mount: Mapping[str, Any]) -> str:
    return ",".join([*mount.get("mountOptions", ()), f"size={mount['size']}m"])


def _device(device: Mapping[str, Any]) -> dict[str, str]:
    rights = {"read": "r", "write": "w", "mknod": "m"}
    return {
        "PathOnHost": device["hostPath"],
        "PathInContainer": device.get("containerPath") or device["hostPath"],
        "CgroupPermissions": "".join(rights[p.lower()] for p in device.get("permissions") or rights),
    }


def _volume(volume: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    efs = volume.get("efsVolumeConfiguration")
    if efs:
        # The engine's own driver mounts NFS, so every agent can, and keeps it while a container of the task runs.
        system = read_file_systems(settings.file_systems)[efs["fileSystemId"]]
        return {
            "name": volume["name"],
            "type": "docker",
            "dockerVolumeConfiguration": {
                "scope": "task",
                "driver": "local",
                "driverOpts": mount_options(system, efs.get("rootDirectory") or "/"),
            },
        }
    if volume.get("dockerVolumeConfiguration"):
        return {
            "name": volume["name"],
            "type": "docker",
            "dockerVolumeConfiguration": volume["dockerVolumeConfiguration"],
        }
    return {"name": volume["name"], "type": "host", "host": volume.get("host") or {}}


def _network_interface(interface: Mapping[str, Any], arns: Arns) -> dict[str, Any]:
    return {
        "ec2Id": interface["networkInterfaceId"],
        "macAddress": interface["macAddress"],
        "ipv4Addresses": [{"primary": True, "privateAddress": interface["privateIPv4Address"]}],
        "subnetGatewayIpv4Address": interface["berth.gateway"],
        "privateDnsName": interface["privateDnsName"],
        "attachmentArn": arns.of("ecs", f"attachment/{interface['attachmentId']}"),
    }


def _present(config: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if value not in (None, [], {}, "")}
