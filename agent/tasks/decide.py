"""What to do next for a task: a pure function of what is known and of the time.

Containers start in the order of ``dependsOn`` and stop in the reverse one. Deciding twice on the same state
gives the same answer; a container with an action in flight is left alone.
"""

from dataclasses import dataclass
from datetime import datetime

from agent.runtime import Health
from agent.tasks.model import Container, Phase, Task
from agent.tasks.spec import Condition, Dependency, Desired, edges


@dataclass(frozen=True, slots=True)
class Launch:
    """Pull what is missing, create and start."""

    container: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop gracefully."""

    container: str


@dataclass(frozen=True, slots=True)
class Examine:
    """Look at the container: something happened to it."""

    container: str


@dataclass(frozen=True, slots=True)
class Restart:
    """Start the container again in its place."""

    container: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The container will never run, and this is why."""

    container: str
    reason: str


@dataclass(frozen=True, slots=True)
class Remove:
    """Everything is over, reported and logged: leave nothing behind."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do before this instant."""

    until: datetime


Decision = Launch | Stop | Examine | Restart | GiveUp | Remove | Wait


def decide(task: Task, now: datetime) -> list[Decision]:
    """Everything that may be begun now."""
    if task.status is Phase.STOPPED:
        return _ending(task, now)
    decisions: list[Decision] = []
    for container in task.containers.values():
        if container.busy or container.phase is Phase.STOPPED:
            continue
        if container.retry_at and container.retry_at > now:
            decisions.append(Wait(container.retry_at))
        elif container.look_again and container.runtime_id:
            decisions.append(Examine(container.name))
        elif task.desired is Desired.STOPPED:
            decisions += _stopping(task, container)
        elif container.restart_due:
            decisions.append(Restart(container.name))
        elif container.phase is Phase.PENDING:
            decisions += _starting(task, container, now)
    return decisions


def _ending(task: Task, now: datetime) -> list[Decision]:
    if not task.acknowledged or task.removing:
        return []
    if task.remove_at and task.remove_at > now:
        return [Wait(task.remove_at)]
    return [Remove()]


def _stopping(task: Task, container: Container) -> list[Decision]:
    # After an attempt that got no answer the container may run all the same: then it is stopped by its name.
    if container.phase is Phase.PENDING and not container.runtime_id and not container.attempts:
        return [GiveUp(container.name, "")]
    for name in task.dependents.get(container.name, ()):
        if task.containers[name].phase is not Phase.STOPPED:
            return []
    return [Stop(container.name)]


def _starting(task: Task, container: Container, now: datetime) -> list[Decision]:
    waiting = False
    limits: list[Decision] = []
    for edge in edges(container.spec):
        other = task.containers[edge.container]
        if _met(edge, other):
            continue
        if reason := _hopeless(edge, other, now):
            return [GiveUp(container.name, reason)]
        waiting = True
        if (limit := _limit(other)) is not None:
            limits.append(Wait(limit))
    return limits if waiting else [Launch(container.name)]


def _met(edge: Dependency, other: Container) -> bool:
    match edge.condition:
        case Condition.START:
            return other.started_at is not None
        case Condition.COMPLETE:
            return other.phase is Phase.STOPPED and other.started_at is not None
        case Condition.SUCCESS:
            return other.phase is Phase.STOPPED and other.exit_code == 0
        case Condition.HEALTHY:
            return other.phase is Phase.RUNNING and other.health is Health.HEALTHY


def _hopeless(edge: Dependency, other: Container, now: datetime) -> str:
    if other.phase is Phase.STOPPED:
        what = f"exited with code {other.exit_code}" if other.started_at else "did not start"
        return f"dependency {other.name} {what} before it was {edge.condition}"
    limit = _limit(other)
    if limit is not None and now >= limit:
        return f"dependency {other.name} was not {edge.condition} within its start timeout"
    return ""


def _limit(other: Container) -> datetime | None:
    since = other.since or other.started_at
    if since is None or other.spec.start_timeout is None:
        return None
    return since + other.spec.start_timeout
