"""What surrounds a task's containers: volumes, the awsvpc network, a checked place for logs."""

import threading
from dataclasses import replace

from agent.endpoints.reach import Reach
from agent.injections import Injections
from agent.log import facts
from agent.pause import UnknownMachine, ensure_pause_image
from agent.runtime import ImageMissing, NotFound, Refused, Runtime, Temporary
from agent.tasks.actions import LogShipping
from agent.tasks.injected import NOTHING, Injected
from agent.tasks.launch import Unprepared
from agent.tasks.render import AGENT_LABEL, TASK_LABEL, Host, log_group, own_volumes, volume_name
from agent.tasks.spec import ContainerSpec, TaskSpec, Volume

log = facts(__name__)


class TaskSurroundings:
    """Made before a container starts, removed after the task. Every part may be made and removed twice."""

    def __init__(
        self,
        *,
        runtime: Runtime,
        host: Host,
        network_cidr: str,
        logs: LogShipping,
        injections: Injections | None = None,
        endpoints: Reach | None = None,
    ) -> None:
        self._runtime = runtime
        self._host = host
        self._cidr = network_cidr
        self._logs = logs
        self._injections = injections
        self._endpoints = endpoints
        self._pause_ready = False
        self._lock = threading.Lock()

    def before(self, task: TaskSpec, container: ContainerSpec) -> Injected:
        """Raises Unprepared, PutOff, Temporary."""
        if container.internal:
            self._ensure_pause()
            return NOTHING
        injected = self._injections.fetch(task, container) if self._injections else NOTHING
        if log_group(container):
            self._logs.ensure(task, container)
        mounted = {mount.source_volume for mount in container.mount_points}
        for volume in task.volumes:
            if volume.name in mounted and volume.type == "docker":
                self._ensure_volume(task, volume)
        told = self._endpoints.variables(task, container) if self._endpoints else {}
        return replace(injected, environment={**told, **injected.environment}) if told else injected

    def mend(self, task: TaskSpec, missing: NotFound) -> bool:
        """Raises Unprepared, Temporary."""
        if isinstance(missing, ImageMissing):
            self._pause_ready = False
            self._ensure_pause()
            return True
        try:
            self._runtime.network(self._host.network, self._cidr)
        except (Refused, NotFound) as error:
            log.warning("network not made", network=self._host.network, because=str(error))
            return False
        return True

    def started(self, task: TaskSpec, container: ContainerSpec, runtime_id: str) -> None:
        if self._endpoints:
            self._endpoints.started(task, container, runtime_id)
        if log_group(container):
            self._logs.follow(task, container, runtime_id)

    def after(self, task: TaskSpec) -> None:
        for volume in own_volumes(task):
            self._runtime.remove_volume(volume_name(task, volume))
        if self._injections:
            self._injections.after(task)
        if self._endpoints:
            self._endpoints.ended(task)

    def _ensure_pause(self) -> None:
        with self._lock:
            if self._pause_ready:
                return
            try:
                ensure_pause_image(self._runtime, self._runtime.info().architecture)
            except UnknownMachine as error:
                raise Unprepared(str(error)) from error
            except (Refused, NotFound) as error:
                raise Unprepared(f"no pause image: {error}") from error
            self._pause_ready = True

    def _ensure_volume(self, task: TaskSpec, volume: Volume) -> None:
        name = volume_name(task, volume)
        try:
            if volume.scope == "shared" and self._runtime.has_volume(name):
                return
            if volume.scope == "shared" and not volume.autoprovision:
                raise Unprepared(f"volume {name} does not exist and is not to be provisioned")
            labels = dict(volume.labels)
            if volume.scope != "shared":
                labels |= {TASK_LABEL: task.arn, AGENT_LABEL: self._host.agent_id}
            self._runtime.create_volume(name, volume.driver, volume.driver_options, labels)
        except Temporary:
            raise
        except (Refused, NotFound) as error:
            raise Unprepared(f"volume {name}: {error}") from error
