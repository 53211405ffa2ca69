"""What a rollout decision answers: tasks to start and to stop, deployments to move, events to tell.

A plan is safe to carry out partly, late or twice: the next decision starts from what is then seen.
"""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StartTasks:
    """Start ``count`` tasks of a deployment; for a DAEMON one on each of ``hosts``, to rebalance in ``zone`` only."""

    deployment_id: str
    count: int
    hosts: tuple[str, ...] = ()
    zone: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StopTask:
    """Stop this task; ``reason`` is its ``stoppedReason``, its ``stopCode`` is ServiceSchedulerInitiated."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutPlan:
    """Everything to do now; an empty plan is a service at rest or one that has to wait."""

    start: tuple[StartTasks, ...] = ()
    stop: tuple[StopTask, ...] = ()
    completed: tuple[str, ...] = ()
    """Deployments whose rolloutState becomes COMPLETED."""
    superseded: tuple[str, ...] = ()
    """Deployments without tasks that are INACTIVE from now on and vanish from the service."""
    failed: tuple[str, ...] = ()
    """Deployments whose rolloutState becomes FAILED: the circuit breaker has opened."""
    rollback_to: str | None = None
    """The deployment to make PRIMARY again (rolloutState IN_PROGRESS, failed tasks 0); the failed one is ACTIVE."""
    steady: bool = False
    stuck: bool = False
    """The deployment configuration allows neither a start nor a stop, and nothing is under way."""
    drained: bool = False
    """A service being deleted has no task left and becomes INACTIVE."""
    retry_at: datetime | None = None
    """When to look again even if nothing is heard: a pause after failed starts, or a task settling, ends then."""
    events: tuple[str, ...] = ()
    """Messages for the service's events, in order. Started tasks are told by the caller, who makes their ids."""
