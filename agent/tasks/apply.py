"""How what was seen changes what is known of a container. States only go forward."""

from datetime import datetime
from typing import Any

from agent.log import facts
from agent.runtime import ContainerState, Event, Health, Kind, PortBinding, Status
from agent.tasks.launch import Later, Launched, NotLaunched
from agent.tasks.model import Container, Phase, Task
from agent.tasks.spec import Desired

OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"
MISSING = "CannotInspectContainerError: the container was removed behind the agent's back"

log = facts(__name__)


def apply_outcome(task: Task, container: Container, outcome: Any, now: datetime) -> bool:
    """Take in what an action came to; False when it has to be tried again."""
    match outcome:
        case Launched():
            _launched(task, container, outcome, now)
        case NotLaunched():
            container.runtime_id = outcome.runtime_id or container.runtime_id
            container.phase = Phase.STOPPED
            container.exit_code = outcome.exit_code
            container.reason = outcome.reason
            container.finished_at = now
            log.warning("container not started", task=task.arn, container=container.name, because=outcome.reason)
        case ContainerState():
            apply_state(task, container, outcome, now)
        case None:
            end_of_missing(container, now)
        case Later():
            log.warning("put off", task=task.arn, container=container.name, because=_why(outcome))
            return False
        case _:
            log.error("action failed", task=task.arn, container=container.name, because=repr(outcome))
            return False
    return True


def apply_event(container: Container, event: Event, now: datetime) -> None:
    """Take in what the engine's stream of events said."""
    if event.kind is Kind.DIED:
        container.look_again = container.phase is not Phase.STOPPED
    elif event.kind is Kind.HEALTH and container.phase is not Phase.STOPPED:
        _health(container, event.health, now)


def apply_state(task: Task, container: Container, state: ContainerState, now: datetime) -> None:
    """Take in what an inspection saw."""
    container.runtime_id = state.id
    if container.phase is Phase.STOPPED:
        return
    if state.ports:
        container.bindings = state.ports
    if state.status is Status.CREATED:
        if state.error:
            container.phase = Phase.STOPPED
            container.reason = f"CannotStartContainerError: {state.error}"
            container.exit_code = state.exit_code or None
            container.finished_at = now
        return
    container.started_at = container.started_at or state.started_at or now
    if state.status is Status.RUNNING:
        container.phase = Phase.RUNNING
        container.restart_due = False
        _health(container, state.health, now)
        return
    policy = container.spec.restart
    if policy and task.desired is Desired.RUNNING and policy.wants(state):
        _restart(container, state)
        return
    container.phase = Phase.STOPPED
    container.restart_due = False
    container.exit_code = state.exit_code
    container.finished_at = state.finished_at or now
    if state.oom_killed:
        container.reason = OUT_OF_MEMORY
    elif state.error:
        container.reason = f"CannotStartContainerError: {state.error}"
    log.info("container exited", container=state.name, code=state.exit_code, because=container.reason or None)


def end_of_missing(container: Container, now: datetime) -> None:
    """The container is gone from the engine: nobody knows how it ended."""
    if container.phase is not Phase.STOPPED:
        container.phase = Phase.STOPPED
        container.reason = MISSING
        container.finished_at = now


def _why(outcome: Later) -> str:
    return f"{outcome.unable}: {outcome.because}" if outcome.unable else outcome.because


def _restart(container: Container, ended: ContainerState) -> None:
    container.phase = Phase.RUNNING
    container.restart_due = True
    if ended.finished_at != container.ended_at:
        container.ended_at = ended.finished_at
        container.restart_count += 1
        log.info("container to restart", container=ended.name, code=ended.exit_code, count=container.restart_count)


def _launched(task: Task, container: Container, outcome: Launched, now: datetime) -> None:
    container.runtime_id = outcome.runtime_id
    container.digest = outcome.digest or container.digest
    container.started_at = outcome.started_at
    container.phase = Phase.RUNNING
    if outcome.pull_started_at:
        task.pull_started_at = min(task.pull_started_at or outcome.pull_started_at, outcome.pull_started_at)
    if outcome.pull_stopped_at:
        task.pull_stopped_at = max(task.pull_stopped_at or outcome.pull_stopped_at, outcome.pull_stopped_at)
    if task.spec.network_mode == "host":
        container.bindings = _host_bindings(container)
    _health(container, Health.UNKNOWN, now)
    if outcome.state:
        apply_state(task, container, outcome.state, now)
    log.info("container started", task=task.arn, container=container.name, id=outcome.runtime_id[:12])


def _host_bindings(container: Container) -> tuple[PortBinding, ...]:
    return tuple(
        PortBinding(container_port=port, host_port=port, protocol=mapping.protocol)
        for mapping in container.spec.port_mappings
        for port in mapping.ports
    )


def _health(container: Container, health: Health | None, now: datetime) -> None:
    # Checks that an image brings along run, but ECS hears of those alone that the task definition names.
    if not container.spec.config.get("Healthcheck"):
        return
    if health is not None and health is not container.health:
        container.health = health
        container.health_since = now
