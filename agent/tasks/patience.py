"""Patience: how long a container waits for what it needs from elsewhere: secrets, a registry's login, files of S3.

What is refused for good ends a task at once. What may pass is tried again with back-off, and ends it after this, in
ECS's words: a task that can't be started is to say so, and to make room, rather than to be PENDING for ever. The engine
being away is something else: without it nothing can be started or stopped, so it is waited for.
"""

from datetime import datetime, timedelta
from typing import Any

from agent.tasks.launch import Later, NotLaunched
from agent.tasks.model import NOT_PREPARED, Container

# Enough for a control plane that is upgraded meanwhile.
PATIENCE = timedelta(minutes=3)


def patient(container: Container, outcome: Any, now: datetime) -> Any:
    """The outcome of an action, or instead of one more delay that the container will not run; ``now`` is steady."""
    if not isinstance(outcome, Later) or not outcome.unable:
        container.waiting_since = None
        return outcome
    container.waiting_since = container.waiting_since or now
    if now - container.waiting_since < PATIENCE:
        return outcome
    times = container.attempts + 1
    told = f"{NOT_PREPARED}: {outcome.unable}: service call has been retried {times} time(s): {outcome.because}"
    return NotLaunched(reason=told)
