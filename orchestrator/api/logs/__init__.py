"""CloudWatch Logs: log groups, their streams, and the events of each. Importing this binds every operation."""

from orchestrator.api.logs import filter_log_events, log_events, log_groups, log_streams, tags
from orchestrator.api.logs.wire import logs

__all__ = ["filter_log_events", "log_events", "log_groups", "log_streams", "logs", "tags"]
