"""Rollout: what a service does next to reach its desired tasks, within its deployment configuration. Pure."""

from scheduler.rollout import events
from scheduler.rollout.census import is_healthy
from scheduler.rollout.decide import decide
from scheduler.rollout.failures import failed_start, pause, threshold
from scheduler.rollout.plan import RolloutPlan, StartTasks, StopTask
from scheduler.rollout.world import CircuitBreaker, DeploymentSeen, ServiceSeen, TaskSeen

__all__ = [
    "CircuitBreaker",
    "DeploymentSeen",
    "RolloutPlan",
    "ServiceSeen",
    "StartTasks",
    "StopTask",
    "TaskSeen",
    "decide",
    "events",
    "failed_start",
    "is_healthy",
    "pause",
    "threshold",
]
