"""Ending tasks: asking them to stop, and giving back what they had when they have.

Whoever wants a task gone calls ``stop_tasks``; whoever learns that nothing of it runs calls ``end_tasks``. Room is
released exactly once: with the move that ends the task.
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import select

from scheduler.wiring import move_attachments
from state.capacities import Capacity
from state.container_instances import hold_hosts, mark_hosts
from state.reservations import Holding, give_back
from state.role_sessions import end_role_sessions
from state.store import Session
from state.tasks import Task, hold_tasks

# Nothing of such a task runs, and its room has been given back.
OVER = ("DEPROVISIONING", "STOPPED")


class Ending(Protocol):
    """What of a task its end is made of: Task has it, and so has a row of its columns."""

    @property
    def capacity_id(self) -> str | None: ...
    @property
    def stopped_reason(self) -> str | None: ...
    @property
    def stopping_at(self) -> datetime | None: ...
    @property
    def execution_stopped_at(self) -> datetime | None: ...
    @property
    def containers(self) -> list[dict[str, Any]]: ...
    @property
    def attachments(self) -> list[dict[str, Any]]: ...


def stop_tasks(session: Session, tasks: Iterable[Task], *, now: datetime, code: str, because: str) -> None:
    """Write the wish to stop; a task that no agent has yet ends at once, the others' agents are woken.

    Repeating it changes nothing: the first asker's code and reason stay.
    """
    running = [task for task in tasks if task.desired_status != "STOPPED"]
    hold_for_stop(session, running)
    asked = [task for task in running if task.ask_to_stop(at=now, code=code, because=because)]
    end_tasks(session, [task for task in asked if task.container_instance_id is None], now=now, because=because)
    hosts = {task.container_instance_id for task in asked if task.container_instance_id is not None}
    # Placement counts on a host only what is to run on.
    mark_hosts(session, hosts)
    session.wake(*(f"agent:{host}" for host in hosts))


def hold_for_stop(session: Session, tasks: Collection[Task]) -> None:
    """Hold what stopping these tasks writes. Whoever stops several lots in one transaction holds them all first."""
    hold_tasks(session, [task.id for task in tasks])
    hold_hosts(session, {task.container_instance_id for task in tasks if task.container_instance_id is not None})


def end_task(session: Session, task: Task, *, now: datetime, because: str) -> None:
    """Nothing of the task runs any more: release its room; STOPPED, or DEPROVISIONING while its host goes away."""
    end_tasks(session, [task], now=now, because=because)


def end_tasks(session: Session, tasks: Iterable[Task], *, now: datetime, because: str) -> None:
    """Nothing of the tasks runs any more: their room is released together, by host."""
    ending = [task for task in tasks if task.last_status not in OVER]
    hold_tasks(session, [task.id for task in ending])
    end_role_sessions(session, [task.id for task in ending if task.has_roles])
    give_back(session, [Holding(task.id, task.container_instance_id, task.cpu, task.memory) for task in ending])
    for task in ending:
        _end(session, task, now=now, because=because)


def _end(session: Session, task: Task, *, now: datetime, because: str) -> None:
    values = ended(task, now=now, because=because)
    after = values.pop("last_status")
    for name, value in values.items():
        setattr(task, name, value)
    task.advance(after, at=now, because=because)
    if task.capacity_id is None:
        _wake_owner(session, task)
    else:
        let_capacity_go(session, task.capacity_id, task.id, now=now)


def ended(task: Ending, *, now: datetime, because: str) -> dict[str, Any]:
    """What a task is once nothing of it runs, by attribute: STOPPED, or DEPROVISIONING with a host of its own."""
    values: dict[str, Any] = {
        "desired_status": "STOPPED",
        "stopped_reason": task.stopped_reason or because,
        "stopping_at": task.stopping_at or now,
        "execution_stopped_at": task.execution_stopped_at or now,
        "containers": [
            {**container, "lastStatus": "STOPPED"} if container["lastStatus"] != "STOPPED" else container
            for container in task.containers
        ],
        "attachments": move_attachments(task.attachments, "DELETED"),
        "last_status": "DEPROVISIONING",
    }
    return values if task.capacity_id is not None else {**values, "last_status": "STOPPED", "stopped_at": now}


def let_capacity_go(session: Session, capacity_id: str, task_id: str, *, now: datetime) -> None:
    """The one task that a host was launched for has ended: the host goes too."""
    capacity = session.scalars(select(Capacity).where(Capacity.id == capacity_id).with_for_update()).one()
    if capacity.status not in ("TERMINATING", "TERMINATED"):
        capacity.advance("TERMINATING", at=now, because=f"task {task_id} has ended")
    session.wake("capacities")


def capacity_gone(session: Session, capacity: Capacity, *, now: datetime) -> None:
    """The host of a Fargate task is gone: the task, if it still waited for that, is STOPPED."""
    task = session.get(Task, capacity.task_id) if capacity.task_id else None
    if task is not None and task.last_status != "STOPPED":
        because = task.stopped_reason or capacity.reason or "its capacity is gone"
        end_task(session, task, now=now, because=because)
        _stopped(session, task, now=now, because=because)


def _stopped(session: Session, task: Task, *, now: datetime, because: str) -> None:
    task.advance("STOPPED", at=now, because=because)
    task.stopped_at = now
    _wake_owner(session, task)


def _wake_owner(session: Session, task: Task) -> None:
    if task.service_name:
        session.wake("services")
    if task.job_id:
        session.wake("jobs")
