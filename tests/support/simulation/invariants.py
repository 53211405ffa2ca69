"""What must hold after every single step, whatever went wrong before. Each check answers what it found amiss."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row, select

from agent.runtime import Status
from agent.tasks.render import CONTAINER_LABEL, TASK_LABEL
from kit.ids import last_part
from kit.lifecycle import Lifecycle
from state.base import Base, Event, Moves
from state.container_instances import ContainerInstance, HostPort
from state.devices import HostDevice, HostResource, TakenResource
from state.store import Session, Store
from state.tasks import Task
from tests.support.counts import counts_amiss
from tests.support.simulation.hosts import HostMachine
from tests.support.simulation.ledger import Ledger
from tests.support.simulation.promises import OVER, Promises


class Broken(BaseException):
    """An invariant does not hold. No ``except Exception`` of the code under test may swallow that."""


@dataclass(slots=True)
class Invariants:
    """Holds the store, the engines and the ledger against each other."""

    ledger: Ledger
    promises: Promises
    _seen: int = 0
    _last: dict[tuple[str, str], str] = field(default_factory=dict)
    _lifecycles: dict[str, Lifecycle] = field(default_factory=lambda: dict(_lifecycles()))

    def check(self, store: Store, hosts: Sequence[HostMachine]) -> None:
        """Raise Broken when anything is amiss."""
        amiss = [*store.read(lambda session: self._amiss(session, hosts)), *self._doubles()]
        if amiss:
            raise Broken("\n".join(amiss))

    def _amiss(self, session: Session, hosts: Sequence[HostMachine]) -> list[str]:
        tasks = session.execute(
            select(
                Task.id,
                Task.last_status,
                Task.desired_status,
                Task.container_instance_id,
                Task.cpu,
                Task.memory,
                Task.started_by,
                Task.stop_code,
                Task.service_name,
                Task.job_id,
            )
        ).all()
        return [
            *_over_commitment(session, tasks),
            *_devices(session, {task.id for task in tasks if task.last_status not in OVER}),
            *counts_amiss(session),
            *self._moves(session),
            *self.promises.amiss(session, tasks),
            *_ghosts(tasks, hosts),
            *_shared_devices({task.id for task in tasks if task.last_status not in OVER}, hosts),
        ]

    def _moves(self, session: Session) -> Iterator[str]:
        """Every move is in its lifecycle and begins where the one before ended."""
        for event in session.scalars(select(Event).where(Event.id > self._seen).order_by(Event.id)):
            self._seen = event.id
            key = (event.kind, event.entity)
            lifecycle = self._lifecycles.get(event.kind)
            before = self._last.get(key)
            self._last[key] = event.after
            if lifecycle is None:
                continue
            if event.before is not None and not lifecycle.allows(event.before, event.after):
                yield f"{event.entity} moved {event.before} → {event.after}, which no arrow allows"
            if before is not None and event.before is not None and event.before != before:
                yield f"{event.entity} moved {event.before} → {event.after}, but stood at {before}"

    def _doubles(self) -> Iterator[str]:
        for (task, container), count in self.ledger.starts.items():
            if count > 1:
                yield f"container {container} of {task} was started {count} times"
        for task, hosts in self.ledger.hosts.items():
            if len(hosts) > 1:
                yield f"{task} ran on {sorted(hosts)}"


def _over_commitment(session: Session, tasks: Sequence[Row[Any]]) -> Iterator[str]:
    """Free and reserved add up to what is registered, and nothing is below zero."""
    cpu: dict[str, int] = defaultdict(int)
    memory: dict[str, int] = defaultdict(int)
    live = set()
    for task in tasks:
        if task.container_instance_id is not None and task.last_status not in OVER:
            cpu[task.container_instance_id] += task.cpu
            memory[task.container_instance_id] += task.memory
            live.add(task.id)
    columns = ("id", "registered_cpu", "registered_memory", "free_cpu", "free_memory")
    for host in session.execute(select(*(getattr(ContainerInstance, column) for column in columns))):
        for what, registered, free, reserved in (
            ("cpu", host.registered_cpu, host.free_cpu, cpu[host.id]),
            ("memory", host.registered_memory, host.free_memory, memory[host.id]),
        ):
            if free < 0 or free + reserved != registered:
                yield f"{what} of {host.id}: {registered} registered, {reserved} reserved, {free} free"
    for port in session.execute(select(HostPort.port, HostPort.container_instance_id, HostPort.task_id)):
        if port.task_id not in live:
            yield f"port {port.port} of {port.container_instance_id} is kept for {port.task_id}, which is over"


def _devices(session: Session, live: set[str]) -> Iterator[str]:
    """Devices and named resources are held by live tasks alone, each as it was told, and what is left adds up."""
    held: defaultdict[str, set[str]] = defaultdict(set)
    for device in session.scalars(select(HostDevice)):
        held[device.task_id].add(device.device)
    told = {
        task.id: {gpu for container in task.containers for gpu in container.get("gpuIds", ())}
        for task in session.execute(select(Task.id, Task.containers).where(Task.family.startswith("gpu-")))
        if task.id in live
    }
    for task_id in held.keys() | told.keys():
        if held.get(task_id, set()) != told.get(task_id, set()):
            yield f"task {task_id} was told of {told.get(task_id)} and holds {held.get(task_id)}"
    taken: Counter[tuple[str, str]] = Counter()
    for row in session.scalars(select(TakenResource)):
        taken[row.container_instance_id, row.name] += row.amount
        if row.task_id not in live:
            yield f"{row.amount} of {row.name} are kept for {row.task_id}, which is over"
    for resource in session.scalars(select(HostResource)):
        if resource.free + taken[resource.container_instance_id, resource.name] != resource.registered:
            yield f"{resource.name} of {resource.container_instance_id} do not add up: {resource.free} are free"


def _shared_devices(live: set[str], hosts: Sequence[HostMachine]) -> Iterator[str]:
    """No two running containers of live tasks have one GPU."""
    for host in hosts:
        used: Counter[str] = Counter()
        for state in host.machine.containers():
            if state.status is Status.RUNNING and last_part(state.labels[TASK_LABEL]) in live:
                requests = host.machine.body_of(state.id)["HostConfig"].get("DeviceRequests", ())
                used.update(device for request in requests for device in request["DeviceIDs"])
        yield from (f"GPU {device} of {host.name} is used {n} times" for device, n in used.items() if n > 1)


def _ghosts(tasks: Sequence[Row[Any]], hosts: Sequence[HostMachine]) -> Iterator[str]:
    """A task whose room was given back runs nowhere any more, unless its host was given up by force."""
    known = {task.id: task for task in tasks}
    for host in hosts:
        running: Counter[tuple[str, str]] = Counter()
        for state in host.machine.containers():
            if state.status is not Status.RUNNING:
                continue
            task_id, container = last_part(state.labels[TASK_LABEL]), state.labels[CONTAINER_LABEL]
            running[task_id, container] += 1
            task = known.get(task_id)
            if task is None or (task.last_status in OVER and task.stop_code != "TerminationNotice"):
                yield f"{container} of {task_id} runs on {host.name}, but the task is over"
        yield from (f"{count} × {key} run on {host.name}" for key, count in running.items() if count > 1)


def _lifecycles() -> Iterator[tuple[str, Lifecycle]]:
    for mapper in Base.registry.mappers:
        if issubclass(mapper.class_, Moves):
            yield mapper.class_.lifecycle.name, mapper.class_.lifecycle
