"""The telemetry socket: container health as soon as it changes, usage every 20 seconds, the engine's own state.

What is published is read from the engine's tasks when it is sent, so nothing here has to be remembered; after a
new dial the newest of everything is sent again.
"""

import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from agent import version
from agent.control.usage import UsageMeter
from agent.identity import Identity
from agent.log import facts
from agent.runtime import Health
from agent.tasks.model import Container, Phase, Task
from kit.clock import Clock
from kit.ids import new_id

PUBLISH_EVERY = timedelta(seconds=20)

log = facts(__name__)

Send = Callable[[str, Mapping[str, Any]], bool]


class Tcs:
    """Understands the frames of the telemetry socket, and publishes through ``send``."""

    def __init__(
        self,
        *,
        identity: Callable[[], Identity],
        docker_version: Callable[[], str],
        tasks: Callable[[], Iterable[Task]],
        meter: UsageMeter,
        send: Send,
        clock: Clock,
        steady: Clock | None = None,
    ) -> None:
        self._identity = identity
        self._docker_version = docker_version
        self._tasks = tasks
        self._meter = meter
        self._send = send
        self._clock = clock
        self._steady = steady or clock
        self._wake = threading.Event()
        self._runtime_ok = True
        self._runtime_since = clock.now()
        self._health_due = False
        self._status_due = False
        self._metrics_at = self._steady.now()

    def query(self) -> Mapping[str, str]:
        identity = self._identity()
        return {
            "agentHash": version.AGENT_HASH,
            "agentVersion": version.AGENT_VERSION,
            "cluster": identity.cluster,
            "containerInstance": identity.container_instance,
            "dockerVersion": f"DockerVersion: {self._docker_version()}",
        }

    def opened(self) -> None:
        identity = self._identity()
        self._send(
            "StartTelemetrySessionRequest",
            {"cluster": identity.cluster, "containerInstance": identity.container_instance},
        )
        self._health_due = self._status_due = True
        self._metrics_at = self._steady.now()
        self._wake.set()

    def received(self, kind: str, message: Mapping[str, Any]) -> bool:
        """Acknowledgements and heartbeats need no answer here."""
        if kind == "ErrorMessage" or kind.endswith("Exception"):
            log.warning("telemetry refused", kind=kind, message=str(message)[:300])
        return kind != "CloseMessage"

    def health_changed(self) -> None:
        self._health_due = True
        self._wake.set()

    def runtime_changed(self, ok: bool) -> None:
        """The container engine went away or came back."""
        if ok is not self._runtime_ok:
            self._runtime_ok, self._runtime_since = ok, self._clock.now()
            self._status_due = True
            self._wake.set()

    def run(self, stop: threading.Event) -> None:
        """Publish what is due, until told to stop."""
        while not stop.is_set():
            self._steady.wait(self._wake, max(timedelta(0), self._metrics_at - self._steady.now()))
            self._wake.clear()
            try:
                self.step()
            except Exception:
                log.surprise("telemetry step failed")

    def stop(self) -> None:
        self._wake.set()

    def step(self) -> None:
        """Publish what is due now. What cannot be sent is sent when the socket is open again."""
        if self._status_due:
            self._status_due = False
            self._send("PublishInstanceStatusRequest", self._status())
        if self._health_due:
            self._health_due = False
            tasks = render_health(self._tasks())
            if tasks:
                self._send("PublishHealthRequest", {"metadata": self._metadata(), "tasks": tasks})
        now = self._steady.now()
        if now >= self._metrics_at:
            self._metrics_at = now + PUBLISH_EVERY
            self._send("PublishMetricsRequest", self._metrics(self._clock.now()))

    def _metadata(self) -> dict[str, Any]:
        identity = self._identity()
        return {
            "cluster": identity.cluster,
            "containerInstance": identity.container_instance,
            "messageId": new_id(),
            "fin": True,
        }

    def _metrics(self, now: datetime) -> dict[str, Any]:
        usage = self._meter.measure(self._tasks(), now)
        return {
            "metadata": {**self._metadata(), "idle": not usage},
            "instanceMetrics": {},
            "taskMetrics": usage,
            "timestamp": now.timestamp(),
        }

    def _status(self) -> dict[str, Any]:
        return {
            "metadata": self._metadata(),
            "statuses": [
                {
                    "type": "CONTAINER_RUNTIME",
                    "status": "OK" if self._runtime_ok else "IMPAIRED",
                    "lastUpdated": self._clock.now().timestamp(),
                    "lastStatusChange": self._runtime_since.timestamp(),
                }
            ],
            "timestamp": self._clock.now().timestamp(),
        }


def render_health(tasks: Iterable[Task]) -> list[dict[str, Any]]:
    """The health of every running container that has a health check of its own."""
    rendered = []
    for task in tasks:
        containers = [_container_health(c) for c in task.visible if _checked(c)]
        if containers:
            rendered.append(
                {
                    "taskArn": task.arn,
                    "clusterArn": task.spec.cluster,
                    "taskDefinitionFamily": task.spec.family,
                    "taskDefinitionVersion": task.spec.version,
                    "containers": containers,
                }
            )
    return rendered


def _checked(container: Container) -> bool:
    return bool(container.spec.config.get("Healthcheck")) and container.phase is Phase.RUNNING


def _container_health(container: Container) -> dict[str, Any]:
    rendered: dict[str, Any] = {
        "containerName": container.name,
        "healthStatus": (container.health or Health.UNKNOWN).value,
    }
    if container.health_since:
        rendered["statusSince"] = container.health_since.timestamp()
    return rendered
