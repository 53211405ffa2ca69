"""Failed starts: what counts as one, how long to pause after several, and when the circuit breaker opens.

Source: ECS developer guide, "Service throttle logic" and "Deployment circuit breaker".
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from scheduler.rollout.world import CircuitBreaker, DeploymentSeen, ServiceSeen, TaskSeen

LONGEST_PAUSE = timedelta(minutes=15)
REPEATED = 3
"""From so many failed starts in a row on the service says that it is unable to start tasks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """``failed_tasks`` and ``last_failure_at`` of a deployment."""

    count: int
    last_at: datetime | None


def failed_start(task: TaskSeen, *, settle: timedelta = timedelta(seconds=40)) -> bool:
    """Did a stopped task fail to start? Yes when it ended by itself, or was stopped for its health, before it ever
    counted as healthy. A task that ran well and stopped later is a loss, not a failed start."""
    if task.last_status != "STOPPED":
        return False
    if task.healthy is False:
        return True
    if task.desired_status == "STOPPED" or task.healthy is True:
        return False
    if task.started_at is None or task.checked:
        return True
    return task.stopped_at is not None and task.stopped_at < task.started_at + settle


def count_failures(tasks: Iterable[TaskSeen], now: datetime, *, settle: timedelta = timedelta(seconds=40)) -> Failures:
    """The failed starts in a row of one deployment, from its tasks with the stopped ones among them: those after the
    latest instant at which one of its tasks came to count as healthy. Needs no counter that could drift."""
    known = list(tasks)
    healthy_at = max((at for task in known if (at := _healthy_at(task, now, settle))), default=None)
    failures = [
        task.stopped_at or now
        for task in known
        if failed_start(task, settle=settle) and (healthy_at is None or (task.stopped_at or now) > healthy_at)
    ]
    return Failures(count=len(failures), last_at=max(failures, default=None))


def pause(failed_tasks: int) -> timedelta:
    """The pause after so many failed starts in a row: none after the first, then 1, 2, 4… s up to 15 minutes."""
    if failed_tasks < 2:
        return timedelta(0)
    return min(LONGEST_PAUSE, timedelta(seconds=2 ** min(failed_tasks - 2, 20)))


def paused_until(deployment: DeploymentSeen, now: datetime) -> datetime | None:
    """When the deployment may start tasks again; None when it may now."""
    if deployment.last_failure_at is None:
        return None
    until = deployment.last_failure_at + pause(deployment.failed_tasks)
    return until if until > now else None


def threshold(breaker: CircuitBreaker, desired: int) -> int:
    """How many failed starts in a row open the breaker."""
    share = -(-desired * breaker.threshold // 100)
    match breaker.threshold_type:
        case "COUNT":
            return max(1, breaker.threshold)
        case "UNBOUNDED_PERCENT":
            return max(1, share)
        case _:
            return min(200, max(3, share))


def opens(service: ServiceSeen, primary: DeploymentSeen, desired: int) -> bool:
    """Does the circuit breaker give up on the PRIMARY deployment now?"""
    breaker = service.circuit_breaker
    return (
        breaker.enable
        and primary.rollout_state == "IN_PROGRESS"
        and primary.failed_tasks >= threshold(breaker, desired)
    )


def rollback_target(service: ServiceSeen) -> DeploymentSeen | None:
    """The newest other deployment that once completed, where the service wants to roll back."""
    if not (service.circuit_breaker.enable and service.circuit_breaker.rollback):
        return None
    candidates = [
        deployment
        for deployment in service.deployments
        if deployment.status == "ACTIVE" and deployment.rollout_state == "COMPLETED"
    ]
    return max(candidates, key=lambda deployment: (deployment.created_at, deployment.id), default=None)


def _healthy_at(task: TaskSeen, now: datetime, settle: timedelta) -> datetime | None:
    """When a task came to count as healthy; for a health check, whose first success is not kept, its start."""
    if task.started_at is None or task.healthy is False:
        return None
    if task.healthy is True:
        return task.started_at
    settled_at = task.started_at + settle
    return settled_at if not task.checked and settled_at <= (task.stopped_at or now) else None
