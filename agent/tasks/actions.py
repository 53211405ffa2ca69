"""The slow things an engine's step hands out: each is a function without arguments whose answer is a message.

They take what they need of a task when they are made, so that they read nothing that a later step may write.
"""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Protocol

from agent.images import Images
from agent.log import facts
from agent.runtime import ContainerState, NotFound, Refused, Runtime, RuntimeTrouble, Status, Temporary
from agent.tasks.host_ports import HostPorts
from agent.tasks.launch import Later, NotLaunched, Prepares, launch
from agent.tasks.model import Container, Task
from agent.tasks.render import AGENT_LABEL, Host, container_name, log_group
from agent.tasks.spec import ContainerSpec, TaskSpec
from kit.clock import Clock

log = facts(__name__)


class LogShipping(Protocol):
    """Ships the logs of containers that say ``awslogs``; posts ``messages.Logged`` when one is out."""

    def ensure(self, task: TaskSpec, container: ContainerSpec) -> None:
        """Make sure that a container's log has a place to go. Raises Unprepared."""
        ...

    def follow(self, task: TaskSpec, container: ContainerSpec, runtime_id: str) -> None: ...

    def finish(self, task: TaskSpec, container: ContainerSpec, runtime_id: str) -> None:
        """The container has ended: ship the rest, and say so within a bounded time."""
        ...

    def forget(self, runtime_id: str) -> None: ...


class Surroundings(Prepares, Protocol):
    """Makes and removes what surrounds a task's containers."""

    def after(self, task: TaskSpec) -> None:
        """Remove what lived with the task. Raises RuntimeTrouble."""
        ...


class Actions:
    """What can be done for a task, against one runtime."""

    def __init__(
        self,
        *,
        runtime: Runtime,
        images: Images,
        host: Host,
        surroundings: Surroundings,
        logs: LogShipping,
        clock: Clock,
        ports: HostPorts | None = None,
    ) -> None:
        self._runtime = runtime
        self._images = images
        self._host = host
        self._surroundings = surroundings
        self._logs = logs
        self._clock = clock
        self._ports = ports or HostPorts()
        self._cancelled: dict[str, threading.Event] = {}

    def launch(self, task: Task, container: Container) -> Callable[[], Any]:
        """Answers Launched, NotLaunched or Later."""
        spec, wanted = task.spec, container.spec
        cancelled = self._cancelled.setdefault(task.arn, threading.Event())
        container.logged = not log_group(wanted)

        def run() -> Any:
            return launch(
                spec,
                wanted,
                runtime=self._runtime,
                images=self._images,
                host=self._host,
                prepares=self._surroundings,
                clock=self._clock,
                cancelled=cancelled.is_set,
                ports=self._ports,
            )

        return run

    def stop(self, task: Task, container: Container) -> Callable[[], Any]:
        """Answers the state after the stop, None when the container is gone, or Later."""
        runtime_id, grace = container.runtime_id, self._grace(container)
        if not runtime_id:
            return lambda: self._stop_unseen(container_name(task.spec, container.name), grace)
        return lambda: never_run(self._stop(runtime_id, grace))

    def examine(self, task: Task, container: Container) -> Callable[[], Any]:
        """Answers the container's state, None when it is gone, or Later."""
        runtime_id = container.runtime_id
        return lambda: self._examine(runtime_id)

    def restart(self, task: Task, container: Container) -> Callable[[], Any]:
        """Answers the state after the start, NotLaunched, None when the container is gone, or Later."""
        spec, wanted, runtime_id = task.spec, container.spec, container.runtime_id
        return lambda: self._restart(spec, wanted, runtime_id)

    def remove(self, task: Task) -> Callable[[], Any]:
        """Answers None when nothing is left of the task, or Later."""
        spec = task.spec
        names = [(c.runtime_id, container_name(spec, c.name)) for c in task.containers.values()]
        return lambda: self._remove(spec, names)

    def survey(self) -> tuple[ContainerState, ...] | None:
        """Everything of ours on the engine; None when it can't be asked."""
        try:
            return self._runtime.list({AGENT_LABEL: self._host.agent_id})
        except RuntimeTrouble as error:
            log.warning("survey failed", because=str(error))
            return None

    def cancel(self, arn: str) -> None:
        """Tell launches of the task that are under way to give up where they can."""
        self._cancelled.setdefault(arn, threading.Event()).set()

    def forget(self, arn: str) -> None:
        self._cancelled.pop(arn, None)

    def follow_log(self, task: Task, container: Container) -> None:
        """Ship the log of a container that was found running."""
        if log_group(container.spec) and container.runtime_id:
            container.logged = False
            self._logs.follow(task.spec, container.spec, container.runtime_id)

    def finish_log(self, task: Task, container: Container) -> None:
        """Have the rest of an ended container's log shipped; a container that never ran has none."""
        if container.logged:
            return
        if container.runtime_id and container.started_at:
            self._logs.finish(task.spec, container.spec, container.runtime_id)
        else:
            container.logged = True

    def _grace(self, container: Container) -> timedelta:
        """What is left of the container's time to stop, were it told so before; a clock put back gives it no more."""
        begun, whole = container.stop_begun_at, container.spec.stop_timeout
        spent = self._clock.now() - begun if begun else timedelta(0)
        return whole - min(max(spent, timedelta(0)), whole)

    def _stop(self, runtime_id: str, grace: timedelta) -> Any:
        try:
            self._runtime.stop(runtime_id, grace)
        except Temporary as error:
            return Later(because=str(error))
        except NotFound:
            return None
        except Refused as error:
            log.warning("stop refused", id=runtime_id[:12], because=str(error))
            return self._kill(runtime_id)
        return self._examine(runtime_id)

    def _stop_unseen(self, name: str, grace: timedelta) -> Any:
        """Stop a container of which nobody knows whether it was made, or ever ran."""
        outcome = self._stop(name, grace)
        return NotLaunched(reason="") if outcome is None else never_run(outcome)

    def _kill(self, runtime_id: str) -> Any:
        try:
            self._runtime.kill(runtime_id)
        except NotFound:
            return None
        except RuntimeTrouble as error:
            return Later(because=str(error))
        return self._examine(runtime_id)

    def _restart(self, spec: TaskSpec, wanted: ContainerSpec, runtime_id: str) -> Any:
        try:
            self._runtime.start(runtime_id)
        except Temporary as error:
            return Later(because=str(error))
        except NotFound as error:
            return None if self._examine(runtime_id) is None else _cannot_start(error, runtime_id)
        except Refused as error:
            return _cannot_start(error, runtime_id)
        self._surroundings.started(spec, wanted, runtime_id)
        return self._examine(runtime_id)

    def _examine(self, runtime_id: str) -> Any:
        try:
            return self._runtime.inspect(runtime_id)
        except NotFound:
            return None
        except RuntimeTrouble as error:
            return Later(because=str(error))

    def _remove(self, spec: TaskSpec, names: list[tuple[str, str]]) -> Any:
        try:
            for runtime_id, name in names:
                self._runtime.remove(runtime_id or name)
                if runtime_id:
                    self._logs.forget(runtime_id)
            self._surroundings.after(spec)
        except RuntimeTrouble as error:
            log.warning("task not removed", task=spec.arn, because=str(error))
            return Later(because=str(error))
        return None


def never_run(outcome: Any) -> Any:
    """The outcome of a stop: a container that exists and never ran is over all the same."""
    if isinstance(outcome, ContainerState) and outcome.status is Status.CREATED:
        return NotLaunched(reason="", runtime_id=outcome.id)
    return outcome


def _cannot_start(error: RuntimeTrouble, runtime_id: str) -> NotLaunched:
    return NotLaunched(reason=f"CannotStartContainerError: {error}", runtime_id=runtime_id)
