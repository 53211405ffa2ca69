"""The census: every task of a service sorted into what it is to the PRIMARY deployment at this instant.

``keep`` are its tasks that are or may become healthy; ``replace`` are all others that still run or will: of older
deployments, unhealthy, or on hosts being drained. ``leaving`` have been told to stop and still hold their place.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from scheduler.rollout.world import DeploymentSeen, ServiceSeen, TaskSeen, count_tasks

_GOING_DOWN = frozenset({"DEACTIVATING", "STOPPING", "DEPROVISIONING"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """The counts that a rollout works with; all of them hold for one instant."""

    target: int
    floor: int
    """Healthy tasks that our own stops must leave."""
    ceiling: int
    """Tasks that may exist at once, those being stopped included."""
    keep: tuple[TaskSeen, ...]
    replace: tuple[TaskSeen, ...]
    leaving: tuple[TaskSeen, ...]
    healthy: frozenset[str]
    """Ids of those in ``keep`` and ``replace`` that count as healthy."""
    sick: frozenset[str]
    """Ids of the tasks that fail their health checks and are out of their grace period."""
    ripens_at: datetime | None
    """The next instant at which a task becomes healthy or sick by the passing of time alone."""

    @property
    def present(self) -> int:
        """Tasks that are not stopped."""
        return self.kept + count_tasks(self.replace) + count_tasks(self.leaving)

    @property
    def kept(self) -> int:
        """Tasks in ``keep``."""
        return count_tasks(self.keep)

    @property
    def well(self) -> int:
        """Tasks that count as healthy."""
        return count_tasks(task for task in (*self.keep, *self.replace) if task.id in self.healthy)


def take_census(service: ServiceSeen, primary: DeploymentSeen, now: datetime) -> Census:
    """Sort the tasks of an ACTIVE service."""
    existing = [task for task in service.tasks if task.last_status != "STOPPED"]
    leaving = [task for task in existing if is_leaving(task)]
    staying = [task for task in existing if not is_leaving(task)]
    healthy = frozenset(task.id for task in staying if is_healthy(service, task, now))
    sick = frozenset(task.id for task in staying if is_sick(service, task, now))
    good = [task for task in staying if task.deployment_id == primary.id and not task.draining and task.id not in sick]
    target = service.desired
    if service.scheduling_strategy == "DAEMON":
        target = len(set(service.eligible_hosts))
        good = _one_per_host(good, frozenset(service.eligible_hosts), healthy)
    kept = {task.id for task in good}
    return Census(
        target=target,
        floor=min(target, -(-target * service.minimum_healthy_percent // 100)),
        ceiling=target * service.maximum_percent // 100,
        keep=tuple(good),
        replace=tuple(task for task in staying if task.id not in kept),
        leaving=tuple(leaving),
        healthy=healthy,
        sick=sick,
        ripens_at=min((at for task in staying for at in _ripens(service, task, now)), default=None),
    )


def is_leaving(task: TaskSeen) -> bool:
    """Told to stop, or already on its way down."""
    return task.desired_status == "STOPPED" or task.last_status in _GOING_DOWN


def is_healthy(service: ServiceSeen, task: TaskSeen, now: datetime) -> bool:
    """Counts towards ``minimumHealthyPercent``: passing its check or, without one, RUNNING for a while."""
    if task.last_status != "RUNNING" or is_leaving(task) or task.healthy is False:
        return False
    if task.healthy is True:
        return True
    return not task.checked and _started(task) + service.settle <= now


def is_sick(service: ServiceSeen, task: TaskSeen, now: datetime) -> bool:
    """Fails its health check, and its grace period is over."""
    return (
        task.healthy is False and task.last_status == "RUNNING" and _started(task) + service.health_check_grace <= now
    )


def _one_per_host(tasks: Sequence[TaskSeen], hosts: frozenset[str], healthy: frozenset[str]) -> list[TaskSeen]:
    best: dict[str, TaskSeen] = {}
    for task in sorted(tasks, key=lambda task: (task.id not in healthy, task.created_at, task.id)):
        if task.host in hosts:
            best.setdefault(task.host, task)
    return list(best.values())


def _ripens(service: ServiceSeen, task: TaskSeen, now: datetime) -> list[datetime]:
    if task.last_status != "RUNNING":
        return []
    settles = _started(task) + service.settle if task.healthy is None and not task.checked else now
    sickens = _started(task) + service.health_check_grace if task.healthy is False else now
    return [at for at in (settles, sickens) if at > now]


def _started(task: TaskSeen) -> datetime:
    return task.started_at or task.created_at
