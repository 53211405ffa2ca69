"""The agents' side of a simulated fleet: frames in; acknowledgements, questions and reports out.

One object plays all agents, on a time that is told to it. It knows of the control plane what frames say, and no more.
"""

import heapq
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any

from bench.fleet.behaviour import Behaviour, Between
from bench.fleet.tasks import RUNNING, STOPPED, TOLD, SimulatedTask, not_pulled, running, stopped

Frame = tuple[str, str]
MOST_REPORTS = 8_000


@dataclass(slots=True)
class Said:
    """What the agents did: frames by host, reports, connections that broke and hosts that dial; when more is due."""

    frames: list[Frame] = field(default_factory=list)
    reports: list[dict[str, Any]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    dialling: list[str] = field(default_factory=list)
    next_at: float | None = None

    @property
    def silent(self) -> bool:
        return not (self.frames or self.reports or self.broken or self.dialling)


@dataclass(slots=True)
class SimulatedHost:
    """One host: its agent's names, whether it is connected, and what runs there, by ARN."""

    id: str
    arn: str
    cluster: str
    connected: bool = False
    tasks: dict[str, SimulatedTask] = field(default_factory=dict)
    # What has ended here never starts again, however often it is told.
    ended: set[str] = field(default_factory=set)


class Agents:
    """All agents of a fleet. Not thread-safe: one caller at a time."""

    def __init__(self, behaviour: Behaviour, seed: int) -> None:
        self._behaviour = behaviour
        self._chance = Random(seed)
        self._hosts: dict[str, SimulatedHost] = {}
        self._due: list[tuple[float, int, str, str, str]] = []
        self._order = count()
        self._names: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._said = Said()

    def join(self, hosts: Sequence[tuple[str, str, str]]) -> None:
        """Hosts that have registered, by id, ARN and cluster ARN. Each dials at once."""
        for host_id, arn, cluster in hosts:
            self._hosts[host_id] = SimulatedHost(host_id, arn, cluster)
            self._due_at(0.0, "dial", host_id)

    def step(self, now: float, frames: Sequence[Frame], connected: Sequence[str] = ()) -> Said:
        """Take connections that opened and frames that came, let time come to ``now``, and say what follows; of many
        reports the first only, since agents keep theirs until the control plane takes them."""
        for host_id in connected:
            self._connected(self._hosts[host_id], now)
        for host_id, text in frames:
            host = self._hosts[host_id]
            # What was on its way when a connection broke is lost.
            if host.connected:
                self._hear(host, json.loads(text), now)
        while self._due and self._due[0][0] <= now and len(self._said.reports) < MOST_REPORTS:
            _, _, what, host_id, arn = heapq.heappop(self._due)
            self._happen(self._hosts[host_id], what, arn, now)
        said, self._said = self._said, Said()
        said.next_at = self._due[0][0] if self._due else None
        return said

    def behave(self, behaviour: Behaviour) -> None:
        """Behave otherwise from now on; what is under way takes its course."""
        self._behaviour = behaviour

    def running(self) -> int:
        """How many tasks run, on all hosts."""
        return sum(task.phase == RUNNING for host in self._hosts.values() for task in host.tasks.values())

    def _connected(self, host: SimulatedHost, now: float) -> None:
        host.connected = True
        if self._behaviour.connected_for is not None:
            self._due_at(now + self._chance.expovariate(1 / self._behaviour.connected_for), "break", host.id)

    def _hear(self, host: SimulatedHost, frame: dict[str, Any], now: float) -> None:
        message = frame["message"]
        match frame["type"]:
            case "PayloadMessage":
                for raw in message["tasks"]:
                    self._told(host, raw, now)
                self._acknowledge(host, message)
            case "HeartbeatMessage":
                self._say(host, "HeartbeatAckRequest", messageId=message["messageId"])
            case "TaskManifestMessage":
                self._acknowledge(host, message)
                self._compare(host, message)
            case "TaskStopVerificationAck":
                for candidate in message["stopTasks"]:
                    self._stop(host, candidate["taskArn"], now)
            case other:
                raise AssertionError(f"an agent does not know {other}: {message}")

    def _told(self, host: SimulatedHost, raw: dict[str, Any], now: float) -> None:
        arn = raw["arn"]
        if arn in host.ended:
            return
        if raw["desiredStatus"] == "STOPPED":
            if arn not in host.tasks:
                # Never heard of, so nothing of it runs.
                self._keep(host, raw)
            self._stop(host, arn, now)
        elif arn not in host.tasks:
            self._keep(host, raw)
            self._after(self._behaviour.start_delay, "start", host, arn, now)

    def _keep(self, host: SimulatedHost, raw: dict[str, Any]) -> None:
        names = tuple(container["name"] for container in raw["containers"])
        shared = self._names.setdefault(names, names)
        host.tasks[raw["arn"]] = SimulatedTask(raw["arn"], host.cluster, shared)

    def _compare(self, host: SimulatedHost, message: dict[str, Any]) -> None:
        """Ask before stopping what the control plane does not list."""
        wanted = {task["taskArn"] for task in message["tasks"] if task["desiredStatus"] == "RUNNING"}
        extra = [arn for arn in host.tasks if arn not in wanted]
        if extra:
            candidates = [{"taskArn": arn, "taskClusterArn": host.cluster, "desiredStatus": "STOPPED"} for arn in extra]
            self._say(host, "TaskStopVerificationMessage", messageId=message["messageId"], stopCandidates=candidates)

    def _stop(self, host: SimulatedHost, arn: str, now: float) -> None:
        task = host.tasks.get(arn)
        if task is not None and not task.stopping:
            task.stopping = True
            self._after(self._behaviour.stop_delay, "stop", host, arn, now)

    def _happen(self, host: SimulatedHost, what: str, arn: str, now: float) -> None:
        match what:
            case "dial":
                self._said.dialling.append(host.id)
            case "break":
                host.connected = False
                self._said.broken.append(host.id)
                self._due_at(now + self._chance.uniform(*self._behaviour.away_for), "dial", host.id)
            case "start":
                self._start(host, arn, now)
            case "exit":
                self._exit(host, arn, now, int(self._chance.random() < self._behaviour.exit_failures))
            case "stop":
                self._exit(host, arn, now, 137)

    def _start(self, host: SimulatedHost, arn: str, now: float) -> None:
        task = host.tasks.get(arn)
        if task is None or task.phase != TOLD or task.stopping:
            return
        if self._behaviour.cannot_pull and self._chance.random() < self._behaviour.cannot_pull:
            del host.tasks[arn]
            host.ended.add(arn)
            self._report(not_pulled(task, now))
            return
        task.phase = RUNNING
        self._report(running(task, now, self._chance))
        if self._behaviour.run_for is not None:
            self._after(self._behaviour.run_for, "exit", host, arn, now)

    def _exit(self, host: SimulatedHost, arn: str, now: float, exit_code: int) -> None:
        task = host.tasks.pop(arn, None)
        if task is not None:
            task.phase = STOPPED
            host.ended.add(arn)
            self._report(stopped(task, now, exit_code))

    def _report(self, report: dict[str, Any]) -> None:
        self._said.reports.append(report)
        if self._behaviour.repeats and self._chance.random() < self._behaviour.repeats:
            self._said.reports.append(report)

    def _acknowledge(self, host: SimulatedHost, message: dict[str, Any]) -> None:
        answer = {"cluster": host.cluster, "containerInstance": host.arn, "messageId": message["messageId"]}
        self._say(host, "AckRequest", **answer)

    def _say(self, host: SimulatedHost, kind: str, **message: Any) -> None:
        self._said.frames.append((host.id, json.dumps({"type": kind, "message": message})))

    def _after(self, length: Between, what: str, host: SimulatedHost, arn: str, now: float) -> None:
        if length[1] <= 0.0:
            self._happen(host, what, arn, now)
        else:
            self._due_at(now + self._chance.uniform(*length), what, host.id, arn)

    def _due_at(self, at: float, what: str, host_id: str, arn: str = "") -> None:
        heapq.heappush(self._due, (at, next(self._order), what, host_id, arn))
