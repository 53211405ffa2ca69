"""What one container definition must satisfy, whatever its task's launch type.

The containers come with ECS's defaults filled in. Source: ECS API, ContainerDefinition and the types it names;
the texts are ECS's where it is known for one.
"""

import re
from collections.abc import Collection, Mapping
from posixpath import normpath
from typing import Any

from orchestrator.api.ecs.container_devices import check_linux_parameters
from orchestrator.api.ecs.container_logging import check_logging
from orchestrator.api.ecs.container_secrets import check_names
from orchestrator.api.ecs.errors import ClientException
from orchestrator.api.ecs.names import check_member_name

_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/@#+-]{0,254}")
LEAST_MEMORY = 6  # MiB; Docker starts no container with less
LARGEST = 2**31 - 1
OVERRIDABLE = ("cpu", "memory", "memoryReservation")
LONGEST_TIMEOUT = LARGEST
HEALTH_RANGES = {"interval": (5, 300), "timeout": (2, 60), "retries": (1, 10), "startPeriod": (0, 300)}
MOST_IGNORED_CODES = 50
RESTART_PERIODS = (60, 1800)

# What a container cannot have of its own where the network is the task's or the host's; the words are ECS's.
UNFIT = {
    "hostname": (("awsvpc", "host"), "hostname is"),
    "extraHosts": (("awsvpc",), "Extra hosts are"),
    "dnsServers": (("awsvpc",), "DNS servers are"),
    "dnsSearchDomains": (("awsvpc",), "DNS search domains are"),
    "disableNetworking": (("awsvpc", "host"), "Disable Networking is"),
}


def check_container(container: Mapping[str, Any], volumes: Collection[str], network_mode: str) -> None:
    """Raise ClientException for the first thing in the container definition that cannot be."""
    name = check_member_name(container.get("name"), "Container.name")
    _image(container)
    _sizes(container, name)
    _mounts(container, name, volumes)
    _environment(container, name)
    _health_check(container, name)
    _timeouts(container, name)
    _ulimits(container, name)
    _restarts(container, name)
    check_logging(container)
    _network_rules(container, name, network_mode)
    directory = container.get("workingDirectory")
    if directory and not directory.startswith("/"):
        raise ClientException(f"Container '{name}': workingDirectory must be an absolute path, not '{directory}'.")
    check_linux_parameters(container, name)


def check_override(container: Mapping[str, Any], override: Mapping[str, Any]) -> None:
    """Raise ClientException when the container definition cannot be with the sizes or the variables of a run."""
    given = {member: override[member] for member in OVERRIDABLE if override.get(member) is not None}
    _sizes({**container, **given}, container["name"])
    variables = override.get("environment") or ()
    _environment({"environment": variables}, container["name"])
    check_names(container.get("secrets") or (), variables)


def _image(container: Mapping[str, Any]) -> None:
    image = container.get("image")
    if not image:
        raise ClientException("Container.image should not be null or empty.")
    if _IMAGE.fullmatch(image) is None:
        raise ClientException("Container.image contains invalid characters.")
    if container.get("versionConsistency") == "enabled" and "@sha256:" not in image:
        # Berth resolves no tags for a whole deployment; an image that is named by its digest is the same anyway.
        raise ClientException(
            "versionConsistency enabled is supported by Berth only for an image that is named by its digest, not for "
            f"'{image}'."
        )


def _sizes(container: Mapping[str, Any], name: str) -> None:
    if not 0 <= container["cpu"] <= LARGEST:
        raise ClientException(f"Invalid setting for container '{name}'. 'cpu' must be between 0 and {LARGEST}.")
    hard, soft = container.get("memory"), container.get("memoryReservation")
    for member, value in (("memory", hard), ("memoryReservation", soft)):
        if value is not None and value < LEAST_MEMORY:
            raise ClientException(f"Invalid setting for container '{name}'. '{member}' must be at least 6 MiB.")
        if value is not None and value > LARGEST:
            raise ClientException(f"Invalid setting for container '{name}'. '{member}' must be at most {LARGEST} MiB.")
    if hard is not None and soft is not None and soft > hard:
        raise ClientException(
            f"Invalid setting for container '{name}'. 'memory' must not be less than 'memoryReservation'."
        )


def _mounts(container: Mapping[str, Any], name: str, volumes: Collection[str]) -> None:
    for mount in container["mountPoints"]:
        if mount.get("sourceVolume") not in volumes:
            raise ClientException(f"Unknown volume '{mount.get('sourceVolume')}'.")
        path = mount.get("containerPath")
        if not path or not path.startswith("/"):
            raise ClientException(f"Container '{name}': mountPoints need an absolute containerPath, not '{path}'.")
    seen = set()
    tmpfs = (container.get("linuxParameters") or {}).get("tmpfs") or ()
    for path in (mount["containerPath"] for mount in (*container["mountPoints"], *tmpfs)):
        if normpath(path) in seen:
            raise ClientException(f"Container '{name}': containerPath '{path}' is mounted twice.")
        seen.add(normpath(path))


def _environment(container: Mapping[str, Any], name: str) -> None:
    for variable in container["environment"]:
        key = variable.get("name")
        if not key or "=" in key:
            raise ClientException(f"Container '{name}': invalid environment variable name '{key or ''}'.")


def _health_check(container: Mapping[str, Any], name: str) -> None:
    check = container.get("healthCheck")
    if not check:
        return
    command = check["command"]
    if len(command) < 2 or command[0] not in ("CMD", "CMD-SHELL"):
        raise ClientException(
            f"Container '{name}': healthCheck.command must start with CMD or CMD-SHELL and name a command."
        )
    for member, (least, most) in HEALTH_RANGES.items():
        value = check.get(member)
        if value is not None and not least <= value <= most:
            raise ClientException(
                f"Container '{name}': healthCheck.{member} must be between {least} and {most}, not {value}."
            )


def _timeouts(container: Mapping[str, Any], name: str) -> None:
    for member in ("startTimeout", "stopTimeout"):
        value = container.get(member)
        if value is not None and not 0 <= value <= LONGEST_TIMEOUT:
            raise ClientException(f"Container '{name}': {member} must be between 0 and {LONGEST_TIMEOUT} seconds.")


def _ulimits(container: Mapping[str, Any], name: str) -> None:
    seen = set()
    for limit in container.get("ulimits") or ():
        if limit["name"] in seen:
            raise ClientException(f"Container '{name}': duplicate ulimit '{limit['name']}'.")
        seen.add(limit["name"])
        soft, hard = limit["softLimit"], limit["hardLimit"]
        if soft < -1 or hard < -1 or (hard != -1 and not -1 < soft <= hard):
            raise ClientException(f"Soft limit exceeds hard limit for ulimit {limit['name']}")


def _restarts(container: Mapping[str, Any], name: str) -> None:
    policy = container.get("restartPolicy") or {}
    period, (least, most) = policy.get("restartAttemptPeriod"), RESTART_PERIODS
    if period is not None and not least <= period <= most:
        raise ClientException(
            f"The 'restartAttemptPeriod' setting for container '{name}' must be between {least} and {most}."
        )
    codes = policy.get("ignoredExitCodes") or ()
    if len(codes) > MOST_IGNORED_CODES:
        raise ClientException(
            f"Container '{name}': restartPolicy.ignoredExitCodes can hold at most {MOST_IGNORED_CODES} codes."
        )
    if any(not 0 <= code <= 255 for code in codes):
        raise ClientException(f"Container '{name}': restartPolicy.ignoredExitCodes must be between 0 and 255.")


def _network_rules(container: Mapping[str, Any], name: str, network_mode: str) -> None:
    for member, (modes, words) in UNFIT.items():
        if network_mode in modes and container.get(member):
            raise ClientException(f"{words} not supported on container when networkMode={network_mode}.")
    for member in ("portMappings", "links"):
        if container.get("disableNetworking") and container.get(member):
            raise ClientException(f"Container '{name}': {member} need the network that disableNetworking takes away.")
    seen = set()
    for control in container["systemControls"]:
        namespace = control.get("namespace")
        if not namespace or control.get("value") is None:
            raise ClientException(f"Container '{name}': systemControls need a namespace and a value.")
        if namespace in seen:
            raise ClientException(f"Container '{name}': system control '{namespace}' is given twice.")
        seen.add(namespace)
        if network_mode == "host" and namespace.startswith("net."):
            raise ClientException(f"System control '{namespace}' is not supported when networkMode=host.")
