"""Leaving: a host is taken out of its cluster for good, and nothing of what it ran counts as running any more."""

from datetime import datetime

from scheduler.ending import end_tasks
from state.container_instances import ContainerInstance
from state.store import Session
from state.tasks import list_tasks_on


def take_out(session: Session, instance: ContainerInstance, *, now: datetime, because: str) -> None:
    """Make the host INACTIVE, and end its tasks for Berth; the caller holds the cluster."""
    tasks = list_tasks_on(session, instance.id)
    for task in tasks:
        task.ask_to_stop(at=now, code="TerminationNotice", because="The container instance was deregistered.")
    end_tasks(session, tasks, now=now, because="The container instance was deregistered.")
    if instance.status != "INACTIVE":
        instance.advance("INACTIVE", at=now, because=because)
    session.flush()
    session.wake(f"agent:{instance.id}", "services", "jobs")
