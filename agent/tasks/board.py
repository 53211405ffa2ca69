"""The board: every task on this host, how it came here, and how it is told to stop.

Tasks come from payloads, from the disk after a restart, or, without either, from containers found on the engine
(strays), which stay untouched until the control plane says what to do with them.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from agent.log import facts
from agent.runtime import ContainerState, Health
from agent.tasks.actions import Actions
from agent.tasks.apply import apply_state, end_of_missing
from agent.tasks.files import TaskFiles
from agent.tasks.model import NOT_PREPARED, Container, Phase, Task, task_of
from agent.tasks.pausing import PAUSE_NAME
from agent.tasks.render import CLUSTER_LABEL, CONTAINER_LABEL, TASK_LABEL
from agent.tasks.reports import Report, report_of
from agent.tasks.roles import Role
from agent.tasks.spec import ContainerSpec, Desired, TaskSpec
from kit.clock import Clock

log = facts(__name__)


class Board:
    """Belongs to the engine's step; nobody else writes to it."""

    def __init__(self, *, actions: Actions, files: TaskFiles, clock: Clock, on_health: Callable[[], None]) -> None:
        self.tasks: dict[str, Task] = {}
        self.raw: dict[str, Any] = {}
        self.unsaved: set[str] = set()
        self._strays: dict[str, list[ContainerState]] = {}
        self._actions = actions
        self._files = files
        self._clock = clock
        self._on_health = on_health

    def recover(self, found: Iterable[ContainerState]) -> list[str]:
        """Take over what an earlier run left, on the disk and on the engine. Nothing is started anew."""
        by_task: dict[str, list[ContainerState]] = {}
        for state in found:
            if CONTAINER_LABEL in state.labels and TASK_LABEL in state.labels:
                by_task.setdefault(state.labels[TASK_LABEL], []).append(state)
        for task, raw in self._files.load():
            self.tasks[task.arn] = task
            self.raw[task.arn] = raw
            here = {s.labels[CONTAINER_LABEL]: s for s in by_task.pop(task.arn, [])}
            for container in task.containers.values():
                self.adopt(task, container, here.get(container.name))
            log.info("task adopted", task=task.arn, desired=task.desired, status=task.status)
        self._strays = by_task
        if by_task:
            log.warning("containers without a payload found", tasks=sorted(by_task))
        return list(self.tasks)

    def arrive(self, spec: TaskSpec, raw: Any) -> Task | None:
        """A payload. None for a task that has ended here before: it must not run again."""
        task = self.tasks.get(spec.arn)
        if task is not None:
            if spec.desired is Desired.STOPPED and task.desired is Desired.RUNNING and spec.seq >= task.spec.seq:
                self.stop(spec.arn, "")
            else:
                # A repeated payload is answered with the newest state, once more.
                task.reported = None
            if spec.role:
                self.renewed(spec.arn, spec.role, raw["roleCredentials"])
            if spec.execution_role:
                self.keyed(spec.arn, spec.execution_role)
            return task
        if self._files.has_ended(spec.arn):
            log.info("ended task asked for again", task=spec.arn)
            return None
        task = self.tasks[spec.arn] = task_of(spec)
        self.raw[spec.arn] = raw
        self.unsaved.add(spec.arn)
        for state in self._strays.pop(spec.arn, []):
            if container := task.containers.get(state.labels[CONTAINER_LABEL]):
                self.adopt(task, container, state)
                container.look_again = True
        log.info("task arrived", task=spec.arn, desired=spec.desired, seq=spec.seq)
        return task

    def keyed(self, arn: str, role: Role) -> list[str]:
        """New keys of a task's execution role: what waited for them is tried at once."""
        task = self.tasks.get(arn)
        if task is None:
            return []
        task.spec = replace(task.spec, execution_role=role, has_execution_role=True)
        for container in task.containers.values():
            if container.phase is Phase.PENDING:
                container.retry_at = None
        return [arn]

    def renewed(self, arn: str, role: Role, raw: Any) -> bool:
        """New keys of a task's role, unless its own last longer; False when nothing is known of the task."""
        task = self.tasks.get(arn)
        if task is None:
            return False
        if task.spec.role is None or task.spec.role.is_older_than(role):
            task.spec = replace(task.spec, role=role)
            self.raw[arn] = {**self.raw[arn], "roleCredentials": dict(raw)}
            self.unsaved.add(arn)
            log.info("role credentials renewed", task=arn, role=role.arn, expiration=role.expiration)
        return True

    def stop(self, arn: str, reason: str) -> bool:
        """Want a task to stop; False when nothing is known of it."""
        if arn in self._strays:
            self._take_in(arn, self._strays.pop(arn))
        task = self.tasks.get(arn)
        if task is None:
            return False
        if task.desired is Desired.RUNNING:
            task.desired = Desired.STOPPED
            task.reason = task.reason or reason
            self._actions.cancel(arn)
            self.unsaved.add(arn)
            log.info("task told to stop", task=arn, because=reason or "the control plane said so")
        return True

    def not_in(self, running: frozenset[str]) -> tuple[str, ...]:
        """What runs here and is not in the control plane's list."""
        mine = [task.arn for task in self.tasks.values() if task.desired is Desired.RUNNING]
        return tuple(arn for arn in [*mine, *self._strays] if arn not in running)

    def compare(self, found: tuple[ContainerState, ...]) -> None:
        """After the engine was away: bring everything known in line with what is really there."""
        here = {state.id: state for state in found}
        for task in self.tasks.values():
            for container in task.containers.values():
                if container.busy:
                    container.look_again = True
                elif container.runtime_id and container.phase is not Phase.STOPPED:
                    self.adopt(task, container, here.get(container.runtime_id))

    def adopt(self, task: Task, container: Container, state: ContainerState | None) -> None:
        """Take over what was found of a container: running, exited meanwhile, or gone."""
        health = container.health
        if container.phase is not Phase.STOPPED:
            if state is not None:
                apply_state(task, container, state, self._clock.now())
            elif container.runtime_id:
                end_of_missing(container, self._clock.now())
            if state is not None and container.started_at:
                self._actions.follow_log(task, container)
        self.noticed(task, container, health)

    def noticed(self, task: Task, container: Container, health: Health | None) -> None:
        """What follows for the task from a change of one container; ``health`` is what it was before."""
        if container.health is not health and container.spec.config.get("Healthcheck"):
            self._on_health()
        if container.phase is not Phase.STOPPED:
            return
        self._actions.finish_log(task, container)
        if task.desired is Desired.STOPPED or not (container.spec.essential or container.failed_to_start):
            return
        if container.started_at is None and container.reason:
            because = container.reason
        elif container.spec.internal:
            because = f"{NOT_PREPARED}: the task's shared namespaces have ended"
        else:
            because = "Essential container in task exited"
        self.stop(task.arn, because)

    def forget(self, task: Task) -> None:
        """Everything is over and acknowledged: only the name is kept."""
        self._files.end(task)
        self.tasks.pop(task.arn, None)
        self.raw.pop(task.arn, None)
        self.unsaved.discard(task.arn)
        self._actions.forget(task.arn)
        log.info("task removed", task=task.arn)

    def _take_in(self, arn: str, states: list[ContainerState]) -> None:
        """Make a task of stray containers, so that they are stopped, reported and removed like any other."""
        names = [state.labels[CONTAINER_LABEL] for state in states]
        cluster = states[0].labels.get(CLUSTER_LABEL, "")
        containers = tuple(ContainerSpec(name=name, image="unknown", internal=name == PAUSE_NAME) for name in names)
        task = self.tasks[arn] = task_of(TaskSpec(arn=arn, cluster=cluster, containers=containers))
        self.raw[arn] = {"arn": arn, "containers": [{"name": name, "image": "unknown"} for name in names]}
        self.unsaved.add(arn)
        log.info("containers without a payload taken in", task=arn)
        for state in states:
            container = task.containers[state.labels[CONTAINER_LABEL]]
            self.adopt(task, container, state)
            container.look_again = True


def ended_report(spec: TaskSpec, reason: str = "") -> Report:
    """What is said of a task that will not run here: every container is stopped."""
    task = task_of(spec)
    for container in task.containers.values():
        container.phase = Phase.STOPPED
        container.reason = reason
    task.reason = reason
    return report_of(task)
