"""Ending tasks: asking them to stop, and giving back what they had when they have.

Whoever wants a task gone calls ``stop_tasks``; whoever learns that nothing of it runs calls ``end_task``. Room is
released exactly once: with the move that ends the task.
"""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import select

from state.capacities import Capacity
from state.container_instances import mark_hosts
from state.reservations import release
from state.store import Session
from state.tasks import Task


def stop_tasks(session: Session, tasks: Iterable[Task], *, now: datetime, code: str, because: str) -> None:
    """Write the wish to stop; a task that no agent has yet ends at once, the others' agents are woken.

    Repeating it changes nothing: the first asker's code and reason stay.
    """
    hosts = set()
    for task in tasks:
        if not task.ask_to_stop(at=now, code=code, because=because):
            continue
        if task.container_instance_id is None:
            end_task(session, task, now=now, because=because)
        else:
            hosts.add(task.container_instance_id)
            session.wake(f"agent:{task.container_instance_id}")
    # Placement counts on a host only what is to run on.
    mark_hosts(session, hosts)


def end_task(session: Session, task: Task, *, now: datetime, because: str) -> None:
    """Nothing of the task runs any more: release its room; STOPPED, or DEPROVISIONING while its host goes away."""
    if task.last_status in ("DEPROVISIONING", "STOPPED"):
        return
    release(session, task.container_instance_id, task.id, cpu=task.cpu, memory=task.memory)
    task.desired_status = "STOPPED"
    task.stopped_reason = task.stopped_reason or because
    task.stopping_at = task.stopping_at or now
    task.execution_stopped_at = task.execution_stopped_at or now
    task.containers = [
        {**container, "lastStatus": "STOPPED"} if container["lastStatus"] != "STOPPED" else container
        for container in task.containers
    ]
    task.attachments = [{**attachment, "status": "DELETED"} for attachment in task.attachments]
    if task.capacity_id is None:
        _stopped(session, task, now=now, because=because)
        return
    task.advance("DEPROVISIONING", at=now, because=because)
    capacity = session.scalars(select(Capacity).where(Capacity.id == task.capacity_id).with_for_update()).one()
    if capacity.status not in ("TERMINATING", "TERMINATED"):
        capacity.advance("TERMINATING", at=now, because=f"task {task.id} has ended")
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
    if task.service_name:
        session.wake("services")
    if task.job_id:
        session.wake("jobs")
