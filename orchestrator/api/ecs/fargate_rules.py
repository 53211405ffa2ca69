"""What a task definition must satisfy to run on Fargate.

Source: ECS developer guide, "Task definition differences for the Fargate launch type"; the texts are ECS's.
"""

from collections.abc import Mapping
from typing import Any

from kit.fargate import SIZES, FargateRefusal, check_fargate_size
from orchestrator.api.ecs.errors import ClientException

# ECS quotes the mode with these.
_AWSVPC = "\u2018awsvpc\u2019"
TIMEOUTS = (2, 120)
UNFIT = ["links", "dockerSecurityOptions", "extraHosts", "disableNetworking"]
UNFIT_LINUX = ["devices", "sharedMemorySize", "maxSwap", "swappiness"]
LOG_DRIVERS = ("awslogs", "splunk", "awsfirelens")


def check_fargate(body: Mapping[str, Any]) -> None:
    """Raise ClientException where Fargate would refuse the task definition."""
    if body.get("networkMode") != "awsvpc":
        raise ClientException(f"Fargate only supports network mode {_AWSVPC}.")
    for member in ("cpu", "memory"):
        if body.get(member) is None:
            raise ClientException(f"Fargate requires that '{member}' be defined at the task level.")
    if int(body["cpu"]) not in SIZES:
        raise ClientException("Invalid 'cpu' setting for task.")
    try:
        check_fargate_size(int(body["cpu"]), int(body["memory"]))
    except FargateRefusal as error:
        raise ClientException(str(error)) from error
    if body["placementConstraints"]:
        raise ClientException("Fargate compatible task definitions do not support constraints.")
    if body.get("ipcMode"):
        raise ClientException("Fargate compatible task definitions do not support ipcMode.")
    if body.get("pidMode") == "host":
        raise ClientException("Tasks using the Fargate launch type do not support pidMode 'host'.")
    if body.get("inferenceAccelerators"):
        raise ClientException("Fargate compatible task definitions do not support inferenceAccelerators.")
    for volume in body["volumes"]:
        if (volume.get("host") or {}).get("sourcePath"):
            raise ClientException("Fargate compatible task definitions do not support sourcePath.")
        if volume.get("dockerVolumeConfiguration"):
            raise ClientException("Fargate compatible task definitions do not support dockerVolumeConfiguration.")
    for container in body["containerDefinitions"]:
        _container(container, role=bool(body.get("executionRoleArn")))


def _container(container: Mapping[str, Any], *, role: bool) -> None:
    if container.get("privileged"):
        raise ClientException("Fargate requires that the 'privileged' setting be 'false'.")
    if any(requirement.get("type") == "GPU" for requirement in container.get("resourceRequirements") or ()):
        raise ClientException("Tasks using the Fargate launch type do not support GPU resource requirements.")
    if container.get("resourceRequirements"):
        raise ClientException("Fargate compatible task definitions do not support resourceRequirements.")
    linux = container.get("linuxParameters") or {}
    for holder, members in ((container, UNFIT), (linux, UNFIT_LINUX)):
        for member in members:
            if holder.get(member) not in (None, "", [], {}) and holder[member] is not False:
                raise ClientException(f"Fargate compatible task definitions do not support {member}.")
    added = (linux.get("capabilities") or {}).get("add") or ()
    for capability in added:
        if capability != "SYS_PTRACE":
            raise ClientException(f"{capability} is not allowed on Fargate.")
    for member in ("startTimeout", "stopTimeout"):
        value, (least, most) = container.get(member), TIMEOUTS
        if value is not None and not least <= value <= most:
            raise ClientException(f"Fargate supports a {member} between {least} and {most} seconds, not {value}.")
    logs = container.get("logConfiguration") or {}
    if logs.get("logDriver") not in (None, *LOG_DRIVERS):
        raise ClientException(
            f"{logs['logDriver']} is not a valid log driver. Must be one of [{', '.join(LOG_DRIVERS)}]"
        )
    if logs.get("logDriver") == "awslogs":
        if not logs["options"].get("awslogs-stream-prefix"):
            raise ClientException(
                "Fargate requires log configuration options to include awslogs-stream-prefix to support log driver "
                "awslogs."
            )
        if not role:
            raise ClientException(
                "Fargate requires task definition to have execution role ARN to support log driver awslogs."
            )
    router = (container.get("firelensConfiguration") or {}).get("options") or {}
    if router.get("config-file-type") == "s3":
        raise ClientException("Fargate compatible task definitions do not support config-file-type s3 of FireLens.")
    if ".dkr.ecr." in container["image"] and not role:
        raise ClientException("Fargate requires task definition to have execution role ARN to support ECR images.")
