"""Rollout: what a service does next to reach its desired tasks, within its deployment configuration. Pure."""

from scheduler.rollout import events
from scheduler.rollout.census import is_healthy
from scheduler.rollout.choosing import chooses
from scheduler.rollout.decide import decide
from scheduler.rollout.failures import Failures, count_failures, failed_start, pause, threshold
from scheduler.rollout.plan import RolloutPlan, StartTasks, StopTask
from scheduler.rollout.rebalance import may_rebalance, richest
from scheduler.rollout.world import CircuitBreaker, DeploymentSeen, ServiceSeen, TaskSeen, ZoneSeen, count_tasks

__all__ = [
    "CircuitBreaker",
    "DeploymentSeen",
    "Failures",
    "RolloutPlan",
    "ServiceSeen",
    "StartTasks",
    "StopTask",
    "TaskSeen",
    "ZoneSeen",
    "chooses",
    "count_failures",
    "count_tasks",
    "decide",
    "events",
    "failed_start",
    "is_healthy",
    "may_rebalance",
    "pause",
    "richest",
    "threshold",
]
