"""The body of a task definition: what was registered, with the defaults that ECS itself adds and no others.

Clients compare the echo with what they would register to find out whether a new revision is needed.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.api.ecs.errors import ClientException
from orchestrator.api.ecs.fargate_rules import check_fargate
from scheduler.task_secrets import provider_of

ORDER = (
    "family",
    "taskRoleArn",
    "executionRoleArn",
    "networkMode",
    "containerDefinitions",
    "volumes",
    "placementConstraints",
    "requiresCompatibilities",
    "cpu",
    "memory",
    "pidMode",
    "ipcMode",
    "runtimePlatform",
    "ephemeralStorage",
    "inferenceAccelerators",
)
HEALTH_DEFAULTS = {"interval": 30, "timeout": 5, "retries": 3}
ARCHITECTURES = {"X86_64": "x86_64", "ARM64": "arm64"}
_CAPABILITY = "com.amazonaws.ecs.capability."


def fill_defaults(request: Mapping[str, Any]) -> dict[str, Any]:
    """The request's members in ECS's order, without nulls and empty texts, with ECS's defaults."""
    given = _without_nulls(request)
    body: dict[str, Any] = {"volumes": [], "placementConstraints": []}
    body |= {member: given[member] for member in ORDER if given.get(member) not in (None, "")}
    mode = bridged_mode(body)
    body["containerDefinitions"] = [_container(container, mode) for container in given["containerDefinitions"]]
    return body


def bridged_mode(body: Mapping[str, Any]) -> str:
    """The network mode that applies: ``bridge`` where none is registered."""
    return str(body.get("networkMode") or "bridge")


def compatibilities_of(body: Mapping[str, Any]) -> list[str]:
    """The launch types that the task definition can run on, in ECS's order."""
    fits = [] if bridged_mode(body) == "awsvpc" else ["EXTERNAL"]
    fits.append("EC2")
    try:
        check_fargate(body)
    except ClientException:
        return fits
    return [*fits, "FARGATE"]


def required_attributes(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The attributes that a host needs to run the tasks.

    Placement insists on each, so only what every agent able to do it registers stands here. GPUs and accelerators are
    resources of a host, not attributes.
    """
    names: dict[str, str | None] = {}
    for container in body["containerDefinitions"]:
        names |= dict.fromkeys(_of_logging(container))
        names |= dict.fromkeys(_of_secrets(container))
        if (container.get("restartPolicy") or {}).get("enabled"):
            names["ecs.capability.container-restart-policy"] = None
        if container.get("privileged"):
            names[f"{_CAPABILITY}privileged-container"] = None
        if container.get("healthCheck"):
            names["ecs.capability.container-health-check"] = None
        if container.get("dependsOn"):
            names["ecs.capability.container-ordering"] = None
        if any(mapping.get("containerPortRange") for mapping in container["portMappings"]):
            names["ecs.capability.network.container-port-range"] = None
    if body.get("networkMode") == "awsvpc":
        names["ecs.capability.task-eni"] = None
    if "task" in (body.get("pidMode"), body.get("ipcMode")):
        names["ecs.capability.pid-ipc-namespace-sharing"] = None
    names[f"{_CAPABILITY}docker-remote-api.1.18"] = None
    if architecture := ARCHITECTURES.get((body.get("runtimePlatform") or {}).get("cpuArchitecture") or ""):
        # ECS leaves this to whoever places the task; here a host of the other kind is never chosen.
        names["ecs.cpu-architecture"] = architecture
    return [{"name": name} if value is None else {"name": name, "value": value} for name, value in names.items()]


def _of_logging(container: Mapping[str, Any]) -> Iterator[str]:
    log = container.get("logConfiguration") or {}
    if log.get("logDriver"):
        yield f"{_CAPABILITY}logging-driver.{log['logDriver']}"
    if (log.get("options") or {}).get("max-buffer-size") and log["logDriver"] == "awslogs":
        yield "ecs.capability.logging-driver.awslogs.log-driver-buffer-size"
    router = container.get("firelensConfiguration")
    if router:
        yield f"ecs.capability.firelens.{router['type']}"
        if kind := (router.get("options") or {}).get("config-file-type"):
            yield f"ecs.capability.firelens.options.config.{kind}"


def _of_secrets(container: Mapping[str, Any]) -> Iterator[str]:
    options = (container.get("logConfiguration") or {}).get("secretOptions") or ()
    for secret in container.get("secrets") or ():
        yield f"ecs.capability.secrets.{provider_of(secret['valueFrom'])}.environment-variables"
    for secret in options:
        yield f"ecs.capability.secrets.{provider_of(secret['valueFrom'])}.bootstrap.log-driver"
    if container.get("repositoryCredentials"):
        yield "ecs.capability.private-registry-authentication.secretsmanager"
    if container.get("environmentFiles"):
        yield "ecs.capability.env-files.s3"


def _container(given: Mapping[str, Any], mode: str) -> dict[str, Any]:
    container = {
        **given,
        "cpu": given.get("cpu") or 0,
        "portMappings": [_port(mapping, mode) for mapping in given.get("portMappings") or ()],
        "essential": given.get("essential", True),
    }
    for member in ("environment", "mountPoints", "volumesFrom", "systemControls"):
        container[member] = given.get(member) or []
    if given.get("healthCheck"):
        container["healthCheck"] = {**HEALTH_DEFAULTS, **given["healthCheck"]}
    return container


def _port(mapping: Mapping[str, Any], mode: str) -> dict[str, Any]:
    """In ``bridge`` mode no host port means any (0); elsewhere the container's port is the host's. A range has none."""
    protocol = mapping.get("protocol") or "tcp"
    if mapping.get("containerPortRange"):
        return {**mapping, "protocol": protocol}
    usual = 0 if mode == "bridge" else mapping.get("containerPort") or 0
    return {**mapping, "hostPort": mapping.get("hostPort", usual), "protocol": protocol}


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {member: _without_nulls(item) for member, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value if item is not None]
    return value
