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
UNFIT = ["links", "privileged", "dockerSecurityOptions", "extraHosts", "resourceRequirements", "disableNetworking"]
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
        raise ClientException("Fargate compatible task definitions do not support placement constraints.")
    if body.get("ipcMode"):
        raise ClientException("Fargate compatible task definitions do not support ipcMode.")
    if body.get("pidMode") == "host":
        raise ClientException("Fargate compatible task definitions do not support pidMode host.")
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
    linux = container.get("linuxParameters") or {}
    for holder, members in ((container, UNFIT), (linux, UNFIT_LINUX)):
        for member in members:
            if holder.get(member) not in (None, "", [], {}) and holder[member] is not False:
                raise ClientException(f"Fargate compatible task definitions do not support {member}.")
    added = (linux.get("capabilities") or {}).get("add") or ()
    if any(capability != "SYS_PTRACE" for capability in added):
        raise ClientException(
            "Fargate compatible task definitions do not support adding Linux capabilities other than SYS_PTRACE."
        )
    for member in ("startTimeout", "stopTimeout"):
        value, (least, most) = container.get(member), TIMEOUTS
        if value is not None and not least <= value <= most:
            raise ClientException(f"Fargate supports a {member} between {least} and {most} seconds, not {value}.")
    logs = container.get("logConfiguration") or {}
    if logs.get("logDriver") not in (None, *LOG_DRIVERS):
        raise ClientException(f"Fargate compatible task definitions do not support log driver {logs['logDriver']}.")
    if logs.get("logDriver") == "awslogs":
        if not logs["options"].get("awslogs-stream-prefix"):
            raise ClientException("Log driver awslogs requires options: awslogs-stream-prefix")
        if not role:
            raise ClientException(
                "Fargate requires task definition to have execution role ARN to support log driver awslogs."
            )
    router = (container.get("firelensConfiguration") or {}).get("options") or {}
    if router.get("config-file-type") == "s3":
        raise ClientException("Fargate compatible task definitions do not support config-file-type s3 of FireLens.")
    if ".dkr.ecr." in container["image"] and not role:
        raise ClientException("Fargate requires task definition to have execution role ARN to support ECR images.")
