"""EventBridge Scheduler: schedules, their groups, and the targets they call. Importing this binds every operation."""

from orchestrator.api.scheduler import schedule_groups, schedules, tags
from orchestrator.api.scheduler.wire import scheduler

__all__ = ["schedule_groups", "scheduler", "schedules", "tags"]
