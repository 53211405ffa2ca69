"""A bench: a real agent between a fake control plane and a real engine, for what tasks ask for and get."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from docker.errors import APIError

from tests.support.agent_process import AgentProcess, container, running_agent, stopped, task
from tests.support.engine import Engine
from tests.support.fake_control_plane import FakeControlPlane


class Bench:
    """An agent, its control plane and the engine."""

    def __init__(self, plane: FakeControlPlane, agent: AgentProcess, engine: Engine, image: str) -> None:
        self.plane = plane
        self.agent = agent
        self.engine = engine
        self.image = image
        self._payloads: dict[str, dict[str, Any]] = {}

    def containers(self) -> list[Any]:
        return self.engine.containers(f"berth.agent={self.agent.id}")

    def run(self, *containers: dict[str, Any], **members: Any) -> tuple[str, dict[str, Any]]:
        """Assign a task; its id and its payload."""
        task_id = uuid.uuid4().hex
        payload = self._payloads[task_id] = task(task_id, *containers, **members)
        self.plane.send_payload(payload)
        return task_id, payload

    def container(self, name: str, *command: str, **members: Any) -> dict[str, Any]:
        return container(name, self.image, *command, **members)

    def clear(self) -> None:
        """End the tasks that are left, whatever they do, so that the next test finds none."""
        left = {task_id: payload for task_id, payload in self._payloads.items() if not self._has_stopped(task_id)}
        self._payloads.clear()
        if left:
            self.plane.send_payload(*map(stopped, left.values()), seq=3)
            self.engine.remove(f"berth.agent={self.agent.id}")
        self.plane.wait_for(lambda: all(map(self._has_stopped, left)))
        self.plane.wait_for(lambda: not self.containers())
        self.plane.answers.clear()

    def _has_stopped(self, task_id: str) -> bool:
        return bool(self.plane.reports(task_id, "STOPPED"))


@contextmanager
def bench_on(engine: Engine, image: str, data: Path, *options: str) -> Iterator[Bench]:
    """A bench whose agent keeps its files in ``data``; its containers go with it, whatever a test did to the agent."""
    with FakeControlPlane() as plane, running_agent(plane, data, "--docker-host", engine.host, *options) as agent:
        plane.wait_for(plane.connected)
        try:
            yield Bench(plane, agent, engine, image)
        finally:
            if agent.process and agent.process.poll() is None:
                agent.kill()
            engine.remove(f"berth.agent={agent.id}")
            with suppress(APIError):
                # Refused while another agent's tasks are on it.
                engine.client.api.remove_network("berth-awsvpc")
