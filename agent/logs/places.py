"""Where a container's log goes: its group, its stream, and whether the agent may make the group."""

from collections.abc import Mapping
from dataclasses import dataclass

from agent.tasks.render import log_options
from agent.tasks.spec import ContainerSpec, TaskSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPlace:
    group: str
    stream: str
    create_group: bool = False


def place_of(task: TaskSpec, container: ContainerSpec, runtime_id: str = "") -> LogPlace:
    """``<prefix>/<container>/<task id>``, or what ``awslogs-stream`` says; without either the container's id.

    The stream is empty when it is to be named after a container that does not exist yet.
    """
    options: Mapping[str, str] = log_options(container)
    prefix = options.get("awslogs-stream-prefix", "")
    stream = options.get("awslogs-stream", "")
    if prefix:
        stream = f"{prefix}/{container.name}/{task.id}"
    elif not stream:
        stream = runtime_id
    return LogPlace(
        group=options.get("awslogs-group", ""),
        stream=stream,
        create_group=str(options.get("awslogs-create-group", "")).lower() == "true",
    )
