"""Launching tasks: placement and reservation in the caller's own transaction.

RunTask, the services loop and the jobs loop all come through ``launch_tasks``; ``stop_tasks`` is the way back.
A task on shared hosts is placed here and now or refused; a Fargate task waits, PROVISIONING, for a host of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from scheduler.placement import Refused
from state.container_instances import ContainerInstance
from state.store import Session
from state.task_definitions import TaskDefinition
from state.tasks import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What to launch, as ECS's RunTask says it; members that stay None or empty are not used."""

    cluster: str
    task_definition: TaskDefinition
    launch_type: str  # EC2, FARGATE or EXTERNAL
    group: str | None = None  # default: family:<family>
    started_by: str | None = None
    service_name: str | None = None
    deployment_id: str | None = None
    job_id: str | None = None
    capacity_provider: str | None = None
    platform_version: str | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    network_configuration: Mapping[str, Any] | None = None
    extra_environment: Mapping[str, str] = field(default_factory=dict)
    constraints: Sequence[Mapping[str, Any]] = ()
    strategy: Sequence[Mapping[str, Any]] = ()
    tags: Sequence[Mapping[str, Any]] = ()
    enable_execute_command: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched:
    """The tasks that were created, and a reason for each that was not."""

    tasks: Sequence[Task]
    refused: Sequence[Refused]
