"""Hosts: a container engine that stays up, and on it an agent process that may die at any step and start again."""

import contextlib
import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlencode

from agent.control.acs import Acs
from agent.control.aws import ApiError, Aws, Unreachable
from agent.control.registration import Offer, discover, register
from agent.control.reporter import Reporter
from agent.identity import IdentityFile, cluster_arn
from agent.images import Images
from agent.keys import Keys
from agent.runtime import Cancelled, ContainerState, RegistryLogin, RuntimeTrouble
from agent.runtime.simulated import Program, SimulatedRuntime
from agent.surroundings import TaskSurroundings
from agent.tasks import messages as m
from agent.tasks.actions import Actions
from agent.tasks.engine import Engine
from agent.tasks.files import TaskFiles
from agent.tasks.host_ports import HostPorts
from agent.tasks.model import Task
from agent.tasks.render import AGENT_LABEL, CONTAINER_LABEL, TASK_LABEL, Host
from agent.tasks.spec import ContainerSpec, TaskSpec
from kit.aws.errors import AwsError
from kit.aws.http import HttpRequest
from kit.clock import Clock
from tests.support.simulation.control import Link, frame_of
from tests.support.simulation.processes import At, Life
from tests.support.simulation.requests import AGENT, ENDPOINT

CIDR = "10.233.0.0/20"
Exchange = Callable[[HttpRequest], tuple[int, bytes]]
Dial = Callable[[HttpRequest], Link]


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What a host offers: CPU units of 1/1024 vCPU, MiB."""

    cpu: int
    memory: int


class Machine(SimulatedRuntime):
    """A container engine whose caller may die before or after each call, and that counts what it starts."""

    def __init__(
        self,
        *,
        clock: Clock,
        programs: Mapping[str, Program],
        started: Callable[[str, str], None],
        changed: Callable[[], None],
    ) -> None:
        super().__init__(clock=clock)
        self.events({}, lambda event: changed())
        self.registry = {image: (f"sha256:{n:064x}", program) for n, (image, program) in enumerate(programs.items())}
        self.at: At = lambda where: None
        self.answers: At = lambda where: None
        self._started = started

    @property
    def away(self) -> bool:
        return self._away

    def containers(self) -> tuple[ContainerState, ...]:
        """Every container, for whoever watches from outside."""
        return tuple(box.state for box in self._boxes.values())

    def create(self, name: str, body: Mapping[str, Any]) -> str:
        with self._risk("creating a container"):
            return super().create(name, body)

    def start(self, container: str) -> None:
        with self._risk("starting a container"):
            before = self.starts_of(container)
            super().start(container)
            if self.starts_of(container) > before:
                labels = self._box(container).state.labels
                self._started(labels[TASK_LABEL], labels[CONTAINER_LABEL])

    def stop(self, container: str, grace: timedelta) -> None:
        with self._risk("stopping a container"):
            super().stop(container, grace)

    def remove(self, container: str) -> None:
        with self._risk("removing a container"):
            super().remove(container)

    def inspect(self, container: str) -> ContainerState:
        self.answers("inspecting a container")
        return super().inspect(container)

    def list(self, labels: Mapping[str, str]) -> tuple[ContainerState, ...]:
        self.answers("listing containers")
        return super().list(labels)

    def pull(self, image: str, login: RegistryLogin | None, cancelled: Cancelled) -> str | None:
        with self._risk("pulling"):
            return super().pull(image, login, cancelled)

    @contextlib.contextmanager
    def _risk(self, doing: str) -> Iterator[None]:
        """The caller may die before or after the call, and the engine's answer may not come, done or not."""
        self.at(f"before {doing}")
        self.answers(f"before {doing}")
        yield
        self.answers(f"after {doing}")
        self.at(f"after {doing}")


class DyingFiles(TaskFiles):
    """Files whose writer may die before or after each write."""

    def __init__(self, data: Path, at: At) -> None:
        super().__init__(data)
        self._at = at

    def save(self, task: Task, raw: Any, *, sync: bool) -> None:
        self._at("before saving a task")
        super().save(task, raw, sync=sync)
        self._at("after saving a task")

    def end(self, task: Task) -> None:
        self._at("before forgetting a task")
        super().end(task)
        self._at("after forgetting a task")


class NoLogs:
    """Stands where logs are shipped: every log is out as soon as its container has ended."""

    def __init__(self, post: Callable[[m.Message], None]) -> None:
        self._post = post

    def ensure(self, task: TaskSpec, container: ContainerSpec) -> None:
        pass

    def follow(self, task: TaskSpec, container: ContainerSpec, runtime_id: str) -> None:
        pass

    def finish(self, task: TaskSpec, container: ContainerSpec, runtime_id: str) -> None:
        self._post(m.Logged(task=task.arn, container=container.name))

    def forget(self, runtime_id: str) -> None:
        pass


class AnyOrder:
    """Actions under way: which of them ends next is chance."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self.waiting: list[tuple[Callable[[], Any], Callable[[Any], None]]] = []

    def run(self, action: Callable[[], Any], done: Callable[[Any], None]) -> None:
        self.waiting.append((action, done))

    def step(self) -> None:
        action, done = self.waiting.pop(self._chance.randrange(len(self.waiting)))
        try:
            outcome = action()
        except Exception as error:
            outcome = error
        done(outcome)


class NetworkAws(Aws):
    """The agent's own client, over the simulated network."""

    def __init__(self, clock: Clock, exchange: Exchange) -> None:
        keys = Keys(access_key=AGENT.access_key_id, secret_key=AGENT.secret)
        super().__init__(endpoint=ENDPOINT, region="us-east-1", keys=keys, clock=clock)
        self._send = exchange

    def _exchange(self, path: str, payload: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        return self._send(
            HttpRequest(method="POST", path=path, headers={"host": "berth.test:7070", **headers}, body=payload)
        )


class AgentProcess:
    """One run of an agent, from its start to its death, driven step by step."""

    def __init__(
        self, *, data: Path, cluster: str, machine: Machine, offer: Offer, clock: Clock, chance: Random, at: At,
        exchange: Exchange,
        heard: deque[str],
    ) -> None:  # fmt: skip
        self.machine = machine
        self._offer = offer
        self._clock = clock
        self._heard = heard
        self._file = IdentityFile(data)
        self.identity = self._file.load(cluster)
        self.aws = NetworkAws(clock, exchange)
        self.executor = AnyOrder(chance)
        self.link: Link | None = None
        self.joined = False
        self.retry_at: datetime | None = None
        post = lambda message: self.engine.post(message)  # noqa: E731
        self.reporter = Reporter(aws=self.aws, clock=clock, post=post)
        host = Host(agent_id=self.identity.id)
        self._info = machine.info()
        machine.network(host.network, CIDR)
        logs = NoLogs(post)
        self.engine = Engine(
            actions=Actions(
                runtime=machine,
                images=Images(runtime=machine, clock=clock),
                host=host,
                surroundings=TaskSurroundings(runtime=machine, host=host, network_cidr=CIDR, logs=logs),
                logs=logs,
                clock=clock,
                ports=HostPorts(seed=1),
            ),
            executor=self.executor,
            files=DyingFiles(data, at),
            clock=clock,
            reports=self.reporter,
        )
        self.acs = Acs(
            identity=lambda: self.identity,
            cluster_arn=lambda: cluster_arn(self.identity),
            docker_version=lambda: "simulated",
            post=post,
            send=self._say,
        )
        labels = {AGENT_LABEL: self.identity.id}
        self.subscription = machine.events(labels, lambda event: post(m.Happened(event)))
        try:
            self.engine.recover(machine.list(labels))
        except RuntimeTrouble:
            self.subscription.close()
            raise

    def join(self) -> bool:
        """Register; False when the control plane could not be reached."""
        try:
            self.identity = register(self.aws, self.identity, self._file, self._offer, self._info)
            discover(self.aws, self.identity)
        except (ApiError, Unreachable):
            return False
        self.joined = True
        self.reporter.open()
        return True

    def dial(self, dial: Dial) -> bool:
        """Open the payload connection; False when it was refused or nobody was there."""
        query = urlencode(self.acs.query())
        url = f"{ENDPOINT}/acs/ws?{query}"
        headers = self.aws.signed("GET", url, {"host": "berth.test:7070"}, b"")
        try:
            link = dial(
                HttpRequest(method="GET", path="/acs/ws", query=query, headers={"host": "berth.test:7070", **headers})
            )
        except (AwsError, Unreachable):
            return False
        self.link = link
        self.acs.opened()
        return True

    def listen(self) -> bool:
        """Take one frame, or notice that the connection is gone; False when there was nothing."""
        link = self.link
        if link is None:
            return False
        if link.to_agent and not link.broken:
            text = link.to_agent.popleft()
            kind, message = frame_of(text)
            if kind == "PayloadMessage":
                self._heard.append(text)
            if not self.acs.received(kind, message):
                link.broken = True
            return True
        if link.broken:
            link.dropped = True
            self.link = None
            return True
        return False

    def _say(self, kind: str, message: Mapping[str, Any]) -> bool:
        link = self.link
        if link is None or link.broken:
            return False
        link.to_server.append(json.dumps({"type": kind, "message": message}))
        return True


class HostMachine:
    """A host of the cluster; ``agent`` is None while its process is dead."""

    def __init__(
        self, *, name: str, folder: Path, cluster: str, size: Size, capacity: str, machine: Machine, clock: Clock,
        chance: Random,
    ) -> None:  # fmt: skip
        self.name = name
        self.capacity = capacity
        self.machine = machine
        self.agent: AgentProcess | None = None
        # Payloads of late, for the network to repeat.
        self.heard: deque[str] = deque(maxlen=20)
        self.life = Life()
        self.life.alive = False
        self._folder = folder
        self._cluster = cluster
        self._clock = clock
        self._chance = chance
        attributes = {"berth.awsvpc-cidr": CIDR, "berth.host": name}
        if capacity:
            attributes["berth.capacity"] = capacity
        self._offer = Offer(
            cpu=size.cpu,
            memory=size.memory,
            attributes=attributes,
            gpus=() if capacity else (f"{name}-gpu-0", f"{name}-gpu-1"),
            resources={} if capacity else {"licence": 2},
        )

    def boot(self, life: Life, at: At, answers: At, exchange: Exchange) -> None:
        """Start the agent's process; without its engine it comes no further, and is to be started again."""
        self.life = life
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.machine.at, self.machine.answers = at, answers
        try:
            self.agent = AgentProcess(
                data=self._folder,
                cluster=self._cluster,
                machine=self.machine,
                offer=self._offer,
                clock=self._clock,
                chance=self._chance,
                at=at,
                exchange=exchange,
                heard=self.heard,
            )
        except RuntimeTrouble:
            self.die()

    def die(self) -> None:
        """Kill the agent; its containers run on, its connection is reset."""
        agent, self.agent = self.agent, None
        self.life.alive = False
        self.machine.at = self.machine.answers = lambda where: None
        if agent is not None:
            agent.subscription.close()
            if agent.link is not None:
                agent.link.broken = True
