"""The capacities loop: launches the hosts that tasks and compute environments asked for, and takes them away again.

Every launch is repeated until its agent registers or it has been tried often enough; a host whose process died is
launched again under the same id, so its agent finds its containers and goes on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from sqlalchemy import select

from kit.clock import Clock
from scheduler.ending import capacity_gone, end_task, stop_tasks
from scheduler.provisioners import CannotLaunch, Provisioner, Wanted
from state.capacities import Capacity
from state.clusters import lock_cluster
from state.container_instances import ContainerInstance, hold_hosts
from state.loop import Leases, Loop
from state.store import Session, Store
from state.tasks import Task, hold_tasks, list_tasks_on

MOST_ATTEMPTS = 3
REGISTERS_WITHIN = timedelta(seconds=60)
HOST_GONE = "Host EC2 (instance) terminated."


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What should be up, what should be gone, and what has kept its agent waiting for too long."""

    up: Sequence[Capacity]
    gone: Sequence[Capacity]
    late: Sequence[Capacity]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the provisioner did."""

    launched: frozenset[str]
    refused: Mapping[str, str]
    gone: frozenset[str]
    late: frozenset[str]


class CapacitiesLoop(Loop):
    """Feeds provisioners, by name."""

    name: ClassVar[str] = "capacities"
    every = timedelta(seconds=5)

    def __init__(self, store: Store, clock: Clock, leases: Leases, provisioners: Mapping[str, Provisioner]) -> None:
        super().__init__(store, clock, leases)
        self._provisioners = provisioners

    def observe(self, session: Session, now: datetime) -> Sequence[Capacity]:
        return session.scalars(
            select(Capacity).where(Capacity.status != "TERMINATED").order_by(Capacity.requested_at, Capacity.id)
        ).all()

    def decide(self, seen: Sequence[Capacity], now: datetime) -> Plan | None:
        if not seen:
            return None
        return Plan(
            up=[capacity for capacity in seen if capacity.status != "TERMINATING"],
            gone=[capacity for capacity in seen if capacity.status == "TERMINATING"],
            late=[
                capacity
                for capacity in seen
                if capacity.status == "LAUNCHED"
                and capacity.launched_at is not None
                and now - capacity.launched_at > REGISTERS_WITHIN
            ],
        )

    def act(self, plan: Plan) -> Outcome | None:
        running = {name: driver.running() for name, driver in self._provisioners.items()}
        launched: set[str] = set()
        refused: dict[str, str] = {}
        for capacity in plan.up:
            if capacity.id in running.get(capacity.provisioner, ()) and capacity.status != "REQUESTED":
                continue
            try:
                self._provisioner(capacity).launch(
                    Wanted(id=capacity.id, cluster=capacity.cluster, cpu=capacity.cpu, memory=capacity.memory)
                )
                launched.add(capacity.id)
            except CannotLaunch as error:
                refused[capacity.id] = str(error)
        gone = {capacity.id for capacity in plan.gone if self._provisioner(capacity).terminate(capacity.id)}
        late = {capacity.id for capacity in plan.late}
        if not (launched or refused or gone or late):
            return None
        return Outcome(launched=frozenset(launched), refused=refused, gone=frozenset(gone), late=frozenset(late))

    def record(self, session: Session, outcome: Outcome, now: datetime) -> None:
        touched = outcome.launched | outcome.refused.keys() | outcome.gone | outcome.late
        _hold(session, session.scalars(select(Capacity).where(Capacity.id.in_(touched))).all())
        rows = select(Capacity).where(Capacity.id.in_(touched)).order_by(Capacity.id)
        for capacity in session.scalars(rows.with_for_update().execution_options(populate_existing=True)).all():
            if capacity.id in outcome.launched and capacity.status == "REQUESTED":
                capacity.advance("LAUNCHED", at=now, because="its host was started")
                capacity.launched_at = now
            elif capacity.id in outcome.refused:
                self._refuse(session, capacity, outcome.refused[capacity.id], now)
            elif capacity.id in outcome.gone and capacity.status == "TERMINATING":
                self._bury(session, capacity, now)
            elif capacity.id in outcome.late and capacity.status == "LAUNCHED":
                self._refuse(session, capacity, "its agent did not register in time", now)

    def next_look(self, seen: Sequence[Capacity], now: datetime) -> datetime | None:
        ending = any(capacity.status == "TERMINATING" for capacity in seen)
        return now + timedelta(milliseconds=200) if ending else None

    def _provisioner(self, capacity: Capacity) -> Provisioner:
        try:
            return self._provisioners[capacity.provisioner]
        except KeyError:
            raise CannotLaunch(f"there is no provisioner named {capacity.provisioner}") from None

    def _refuse(self, session: Session, capacity: Capacity, because: str, now: datetime) -> None:
        """Count a failed launch; after the last the capacity ends, and with it the task that waits for it."""
        capacity.attempts += 1
        capacity.reason = because
        if capacity.attempts < MOST_ATTEMPTS or capacity.status not in ("REQUESTED", "LAUNCHED"):
            capacity.launched_at = now if capacity.launched_at else None
            return
        task = session.get(Task, capacity.task_id, with_for_update=True) if capacity.task_id else None
        if task is not None:
            stop_tasks(
                session,
                [task],
                now=now,
                code="TaskFailedToStart",
                because=f"ResourceInitializationError: no capacity could be provisioned: {because}",
            )
        if capacity.status != "TERMINATING":
            capacity.advance("TERMINATING", at=now, because=because)

    def _bury(self, session: Session, capacity: Capacity, now: datetime) -> None:
        """The host is gone: so are its registration, what Berth thought ran on it, and the wait of its task."""
        instance = session.get(ContainerInstance, capacity.container_instance_id or "")
        if instance is not None:
            for task in list_tasks_on(session, instance.id):
                if task.id != capacity.task_id:
                    task.ask_to_stop(at=now, code="TerminationNotice", because=HOST_GONE)
                    end_task(session, task, now=now, because=HOST_GONE)
            if instance.status != "INACTIVE":
                instance.advance("INACTIVE", at=now, because="its capacity was taken away")
            instance.agent_connected = False
        capacity.advance("TERMINATED", at=now, because="nothing of it is left")
        capacity.terminated_at = now
        capacity_gone(session, capacity, now=now)


def _hold(session: Session, capacities: Sequence[Capacity]) -> None:
    """Hold what the end of these writes, as every writer does: clusters, tasks, hosts, and capacities after them.

    While its cluster is held nobody can place a task on a host that is about to be buried.
    """
    for cluster in sorted({capacity.cluster for capacity in capacities}):
        lock_cluster(session, cluster)
    hosts = [capacity.container_instance_id for capacity in capacities if capacity.container_instance_id]
    own = [capacity.task_id for capacity in capacities if capacity.task_id]
    hold_tasks(session, [*own, *(task.id for host in hosts for task in list_tasks_on(session, host))])
    hold_hosts(session, hosts)
