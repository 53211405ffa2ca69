"""Runtimes to ask the same of: the simulated one on a manual clock, and a real Docker Engine."""

import threading
import uuid
from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from agent.runtime import Runtime, Status
from agent.runtime.docker import DockerRuntime
from agent.runtime.simulated import Program, SimulatedRuntime
from kit.clock import ManualClock, SystemClock, monotonic

GRACE = timedelta(seconds=1)


class Rig(ABC):
    """A runtime and how to make things happen on it: ``body`` of a container that does something, and waiting."""

    runtime: Runtime

    def __init__(self) -> None:
        self.run = uuid.uuid4().hex[:12]
        self.labels = {"berth.test.contract": self.run}

    def name(self, name: str) -> str:
        return f"{self.run}-{name}"

    @abstractmethod
    def body(self, program: str, **host_config: Any) -> dict[str, Any]: ...

    @abstractmethod
    def wait_for_exit(self, container: str) -> None: ...

    def until(self, true: Any) -> None:
        give_up_at = monotonic() + 20
        while not true():
            assert monotonic() < give_up_at, "it did not happen in time"
            self.wait_a_moment()

    @abstractmethod
    def wait_a_moment(self) -> None: ...

    def create(self, name: str, program: str, **host_config: Any) -> str:
        return self.runtime.create(self.name(name), self.body(program, **host_config))

    def started(self, name: str, program: str, **host_config: Any) -> str:
        container = self.create(name, program, **host_config)
        self.runtime.start(container)
        return container


class SimulatedRig(Rig):
    PROGRAMS: Mapping[str, Program] = {
        "sleep": Program(),
        "exit-3": Program(lasts=timedelta(seconds=1), exit_code=3),
        "write": Program(lasts=timedelta(seconds=1), writes=1 << 20),
        "talk": Program(lasts=timedelta(seconds=1), output=("one", "two", "three")),
        "missing": Program(start_error='exec: "/no/such": no such file or directory'),
    }

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.runtime = self.simulated = SimulatedRuntime(clock=self.clock, images=self.PROGRAMS)

    def body(self, program: str, **host_config: Any) -> dict[str, Any]:
        return {"Image": program, "Labels": self.labels, "HostConfig": host_config}

    def wait_for_exit(self, container: str) -> None:
        self.wait_a_moment()

    def wait_a_moment(self) -> None:
        self.clock.tick(seconds=1)
        self.simulated.settle()


class DockerRig(Rig):
    COMMANDS: Mapping[str, list[str]] = {
        "sleep": ["sleep", "600"],
        "exit-3": ["sh", "-c", "sleep 0.3; exit 3"],
        "write": ["sh", "-c", "head -c 1048576 /dev/zero > /written"],
        "talk": ["sh", "-c", "echo one; echo two; echo three"],
        "missing": ["/no/such"],
    }

    def __init__(self, host: str, image: str) -> None:
        super().__init__()
        self.image = image
        self.clock = SystemClock()
        self.runtime = DockerRuntime(clock=self.clock, host=host)

    def body(self, program: str, **host_config: Any) -> dict[str, Any]:
        image = self.image if program in self.COMMANDS else program
        command = self.COMMANDS.get(program, [])
        ports = {port: {} for port in host_config.get("PortBindings", {})}
        return {
            "Image": image,
            "Cmd": command,
            "Labels": self.labels,
            "ExposedPorts": ports,
            "HostConfig": host_config,
        }

    def wait_for_exit(self, container: str) -> None:
        self.until(lambda: self.runtime.inspect(container).status is Status.EXITED)

    def wait_a_moment(self) -> None:
        threading.Event().wait(0.05)
