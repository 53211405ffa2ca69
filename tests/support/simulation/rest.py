"""What keeps the world from being at rest: everything that is still to happen, in words."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sqlalchemy import select

from agent.tasks.render import TASK_LABEL
from kit.ids import last_part
from state.capacities import Capacity
from state.container_instances import HostPort, NetworkAddress
from state.store import Session
from state.tasks import Task

if TYPE_CHECKING:
    from tests.support.simulation.world import World


def unsettled(world: "World") -> list[str]:
    """Everything that is still to happen; empty at rest."""
    return world.store.read(lambda session: [*_tasks(session), *_containers(session, world), *_leftovers(session)])


def _tasks(session: Session) -> Iterator[str]:
    for task in session.scalars(select(Task).order_by(Task.created_at, Task.id)):
        if task.last_status not in ("STOPPED", "RUNNING") or (
            task.desired_status == "STOPPED" and task.last_status != "STOPPED"
        ):
            yield f"task {task.id} ({task.family}) is {task.last_status} and should be {task.desired_status}"


def _containers(session: Session, world: "World") -> Iterator[str]:
    live = set(session.scalars(select(Task.id).where(Task.last_status == "RUNNING")))
    there = set()
    for host in world.hosts:
        for state in host.machine.containers():
            task = last_part(state.labels[TASK_LABEL])
            there.add(task)
            if task not in live:
                yield f"{state.name} is left on {host.name}"
    yield from (f"task {task} is RUNNING and has no container" for task in sorted(live - there))


def _leftovers(session: Session) -> Iterator[str]:
    live = set(session.scalars(select(Task.id).where(Task.last_status != "STOPPED")))
    for capacity in session.scalars(select(Capacity).where(Capacity.status != "TERMINATED")):
        if capacity.task_id not in live:
            yield f"capacity {capacity.id} of {capacity.task_id} is {capacity.status}"
    for table in (HostPort, NetworkAddress):
        for row in session.scalars(select(table)):
            if row.task_id not in live:
                yield f"{table.__name__} of {row.task_id} is kept"
