"""What a rollout decision is told: one service with its deployments and its tasks, as the store saw them.

Frozen values only; instants are aware datetimes, percentages are whole numbers. Statuses are ECS's own words.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitBreaker:
    """``deploymentCircuitBreaker``. The default threshold is half the desired count, at least 3, at most 200."""

    enable: bool = False
    rollback: bool = False
    threshold_type: str = "BOUNDED_PERCENT"
    threshold: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentSeen:
    """One deployment. ``failed_tasks`` counts failed starts in a row; it is back at 0 once a task was healthy."""

    id: str
    status: str
    created_at: datetime
    rollout_state: str = "IN_PROGRESS"
    failed_tasks: int = 0
    last_failure_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSeen:
    """One task of the service, or several that are alike. ``healthy`` is its health check's result, None when it
    declares none.

    While a declared health check has no result yet, ``healthy`` is None and ``checked`` is True.
    """

    id: str
    deployment_id: str
    last_status: str
    created_at: datetime
    desired_status: str = "RUNNING"
    healthy: bool | None = None
    checked: bool = False
    started_at: datetime | None = None
    stopped_at: datetime | None = None
    host: str | None = None
    """For a DAEMON also set while the task is still on its way to the host."""
    zone: str | None = None
    """The availability zone of its host; told only where zones are."""
    draining: bool = False
    """Its host is DRAINING, so it needs a replacement elsewhere."""
    protected: bool = False
    """It is not to be stopped for a deployment, for scaling in or for its host being drained, as long as it is well."""
    unplaceable: bool = False
    """Placement refused it the last time it tried."""
    count: int = 1
    """How many tasks this stands for."""
    named: bool = True
    """``id`` is a task's. Otherwise it stands for tasks that were counted, not read: they can be counted on, but
    none of them can be chosen to stop. Its ``id`` then only tells it from others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneSeen:
    """One availability zone of the cluster, and the service's tasks there that run or will."""

    name: str
    tasks: int
    open: bool = True
    """It has a host that the service's tasks may be placed on, had it room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSeen:
    """One service."""

    name: str
    desired: int
    deployments: tuple[DeploymentSeen, ...]
    tasks: tuple[TaskSeen, ...]
    status: str = "ACTIVE"
    scheduling_strategy: str = "REPLICA"
    minimum_healthy_percent: int = 100
    maximum_percent: int = 200
    circuit_breaker: CircuitBreaker = field(default_factory=CircuitBreaker)
    eligible_hosts: tuple[str, ...] = ()
    """For a DAEMON: the hosts that should each run one task. ``desired`` is not read then."""
    health_check_grace: timedelta = timedelta(0)
    """How long after its start a task may fail its checks before that counts."""
    settle: timedelta = timedelta(seconds=40)
    """How long a task without a health check must have been RUNNING to count as healthy; ECS waits 40 s."""
    rebalancing: bool = False
    """Its tasks are to be kept even over availability zones."""
    zones: tuple[ZoneSeen, ...] = ()
    """Where its tasks are; told only where that can matter (``may_rebalance``)."""
    last_event: str | None = None
    """The message of the service's latest event, so that the same is not said twice in a row."""


def count_tasks(tasks: Iterable[TaskSeen]) -> int:
    """How many tasks these stand for."""
    return sum(task.count for task in tasks)
