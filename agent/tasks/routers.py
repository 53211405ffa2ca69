"""Log routers: the container of a task that takes the logs of those that say ``awsfirelens``, as ECS has it.

The router starts before the containers whose logs it takes and stops after them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from agent.tasks.reading import BadPayload, member, text, text_map

if TYPE_CHECKING:
    from agent.tasks.spec import ContainerSpec, TaskSpec

DRIVER = "awsfirelens"
METADATA = "enable-ecs-log-metadata"
CONFIG_TYPE = "config-file-type"
CONFIG_VALUE = "config-file-value"


class RouterType(StrEnum):
    FLUENTD = "fluentd"
    FLUENTBIT = "fluentbit"


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterSpec:
    """``config_type`` is ``file``, for a path in the router's image, ``s3`` for an object, or empty."""

    type: RouterType
    metadata: bool = True
    config_type: str = ""
    config_value: str = ""


def read_router(raw: Mapping[str, Any], where: str) -> RouterSpec | None:
    """A container's ``firelensConfiguration``."""
    config = member(raw, "firelensConfiguration", where)
    if not config:
        return None
    where = f"{where}.firelensConfiguration"
    kind = text(config, "type", where)
    if kind not in tuple(RouterType):
        raise BadPayload(f"{where}.type: {kind} is neither fluentd nor fluentbit")
    options = text_map(config, "options", where)
    config_type = options.get(CONFIG_TYPE, "")
    if config_type and config_type not in ("file", "s3"):
        raise BadPayload(f"{where}.options.{CONFIG_TYPE}: {config_type} is neither file nor s3")
    value = options.get(CONFIG_VALUE, "")
    if bool(config_type) != bool(value) or "\n" in value:
        raise BadPayload(f"{where}.options: {CONFIG_TYPE} and {CONFIG_VALUE} go together")
    return RouterSpec(
        type=RouterType(kind),
        metadata=options.get(METADATA, "true").lower() not in ("false", "f", "0"),
        config_type=config_type,
        config_value=value,
    )


def logs_by_router(container: "ContainerSpec") -> bool:
    """Whether the container's log goes to its task's router."""
    log = container.host_config.get("LogConfig")
    return isinstance(log, Mapping) and log.get("Type") == DRIVER


def router_options(container: "ContainerSpec") -> dict[str, str]:
    """What a container says of how the router is to treat its log."""
    options = (container.host_config.get("LogConfig") or {}).get("Config") or {}
    return {str(name): str(value) for name, value in options.items()}


def router_of(task: "TaskSpec") -> "ContainerSpec | None":
    """The task's router."""
    return next((container for container in task.containers if container.router), None)


def behind_router(containers: tuple["ContainerSpec", ...]) -> tuple["ContainerSpec", ...]:
    """The containers, those that log by a router waiting for it. Raises BadPayload."""
    from agent.tasks.spec import Condition, Dependency

    routers = [container.name for container in containers if container.router]
    logging = [container.name for container in containers if logs_by_router(container)]
    if len(routers) > 1:
        raise BadPayload(f"task.containers: {' and '.join(routers)} have a firelensConfiguration; one at most may")
    if not logging:
        return containers
    if not routers:
        raise BadPayload(f"container {logging[0]}: logs by {DRIVER}, and no container has a firelensConfiguration")
    if routers[0] in logging:
        raise BadPayload(f"container {routers[0]}: a log router cannot log by itself")
    first = Dependency(container=routers[0], condition=Condition.START)
    return tuple(
        replace(c, depends_on=(*c.depends_on, first))
        if c.name in logging and all(d.container != routers[0] for d in c.depends_on)
        else c
        for c in containers
    )
