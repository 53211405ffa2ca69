"""A real agent process beside a fake control plane, and payloads to give it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.fake_control_plane import CLUSTER, ENVIRONMENT, FakeControlPlane, task_arn


def container(name: str, image: str, *command: str, **members: Any) -> dict[str, Any]:
    """A payload's container; ``config`` and ``hostConfig`` become the JSON texts of ``dockerConfig``."""
    docker = {key: json.dumps(members.pop(key)) for key in ("config", "hostConfig") if key in members}
    return {
        "name": name,
        "image": image,
        "command": list(command),
        "essential": True,
        "stopTimeout": 1,
        "dockerConfig": docker,
        **members,
    }


def task(task_id: str, *containers: dict[str, Any], **members: Any) -> dict[str, Any]:
    """A payload's task that is to run."""
    return {
        "arn": task_arn(task_id),
        "taskClusterArn": CLUSTER,
        "family": "family",
        "version": "7",
        "desiredStatus": "RUNNING",
        "containers": list(containers),
        **members,
    }


def stopped(payload: dict[str, Any]) -> dict[str, Any]:
    return {**payload, "desiredStatus": "STOPPED"}


def awslogs(**options: str) -> dict[str, Any]:
    """A ``hostConfig`` whose log goes to the Logs API."""
    config = {f"awslogs-{name.replace('_', '-')}": value for name, value in options.items()}
    return {"LogConfig": {"Type": "awslogs", "Config": config}}


class AgentProcess:
    """``python -m agent`` on a data directory of the test's."""

    def __init__(self, plane: FakeControlPlane, data: Path, *options: str) -> None:
        self.data = data
        self._command = [
            *(sys.executable, "-m", "agent", "--endpoint", plane.endpoint, "--data", str(data)),
            *("--image-pull-behavior", "prefer-cached", *options),
        ]
        self._log = data.with_suffix(".log")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = {**os.environ, **ENVIRONMENT}
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(self._command, env=environment, stderr=log)

    def kill(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        assert self.process
        self.process.terminate()
        return self.process.wait(15)

    @property
    def id(self) -> str:
        return str(json.loads((self.data / "agent.json").read_text())["id"])

    def facts(self, fact: str) -> list[dict[str, Any]]:
        """The lines of the log that say ``fact``."""
        lines = [json.loads(line) for line in self._log.read_text().splitlines()]
        return [line for line in lines if line["fact"] == fact]

    def log_text(self) -> str:
        return self._log.read_text()


@contextmanager
def running_agent(plane: FakeControlPlane, data: Path, *options: str) -> Iterator[AgentProcess]:
    """An agent that is there, and gone afterwards; what it leaves on the engine is the caller's to remove."""
    agent = AgentProcess(plane, data, *options)
    agent.start()
    try:
        yield agent
    finally:
        if agent.process and agent.process.poll() is None:
            agent.kill()
