"""What the engine is told: payloads, answers of actions, happenings, acknowledgements."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from agent.runtime import ContainerState, Event
from agent.tasks.reports import Report
from agent.tasks.roles import Role
from agent.tasks.spec import TaskSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """A task of a payload. ``kept`` is called once it is safe on the disk."""

    spec: TaskSpec
    raw: Any
    kept: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unrunnable:
    """A task this agent cannot run, with as much of it as could be read."""

    spec: TaskSpec
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What should run here; ``answer`` gets the ARNs of what runs and should not."""

    running: frozenset[str]
    answer: Callable[[tuple[str, ...]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class StopThese:
    """Tasks that are to stop; without a reason because the control plane said so."""

    tasks: tuple[str, ...]
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """An action has ended; without a container it was the removal of the whole task."""

    task: str
    container: str | None
    outcome: Any


@dataclass(frozen=True, slots=True)
class Happened:
    event: Event


@dataclass(frozen=True, slots=True)
class Surveyed:
    """Everything of ours on the engine; None when it went away again."""

    found: tuple[ContainerState, ...] | None


@dataclass(frozen=True, slots=True)
class Acknowledged:
    report: Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """The container's log is out, or will not get out in time."""

    task: str
    container: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyed:
    """New keys of a task's execution role."""

    task: str
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewed:
    """New keys of a task's role. ``kept`` is called once they are safe on the disk."""

    task: str
    role: Role
    raw: Mapping[str, Any]
    kept: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Something about the task may have to be done."""

    task: str


Message = (
    Arrived
    | Unrunnable
    | Manifest
    | StopThese
    | Done
    | Happened
    | Surveyed
    | Acknowledged
    | Logged
    | Keyed
    | Renewed
    | Look
)
