"""What keeps the world from being at rest: everything that is still to happen, in words."""

from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING

from sqlalchemy import select

from agent.tasks.render import TASK_LABEL
from kit.ids import last_part
from state.addresses import NetworkAddress
from state.capacities import Capacity
from state.container_instances import HostPort
from state.devices import HostDevice, TakenResource
from state.firings import Firing
from state.jobs import FINISHED, Job
from state.schedules import Schedule
from state.services import Deployment, Service
from state.store import Session
from state.tasks import Task

if TYPE_CHECKING:
    from tests.support.simulation.world import World

MOST_TOLD = 8


def unsettled(world: "World") -> list[str]:
    """Some of what is still to happen; empty at rest."""

    def look(session: Session) -> list[str]:
        parts = (
            _tasks(session),
            _schedules(session),
            _jobs(session),
            _services(session),
            _containers(session, world),
            _leftovers(session),
        )
        return list(islice(chain.from_iterable(parts), MOST_TOLD))

    return world.store.read(look)


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
            yield f"capacity {capacity.id} of {capacity.task_id or capacity.compute_environment} is {capacity.status}"
    for table in (HostPort, NetworkAddress, HostDevice, TakenResource):
        for row in session.scalars(select(table)):
            if row.task_id not in live:
                yield f"{table.__name__} of {row.task_id} is kept"


def _services(session: Session) -> Iterator[str]:
    """As many tasks as desired, all of the newest deployment; where tasks end by themselves that is never so."""
    for service in session.scalars(select(Service)):
        if service.status == "DRAINING":
            yield f"service {service.name} is still DRAINING"
        if service.status != "ACTIVE" or not service.family.endswith("-forever"):
            continue
        deployments = session.scalars(
            select(Deployment).where(Deployment.service_name == service.name, Deployment.status != "INACTIVE")
        ).all()
        states = [f"{deployment.status} {deployment.rollout_state}" for deployment in deployments]
        if states != ["PRIMARY COMPLETED"]:
            yield f"service {service.name} has deployments {states}"
        running = Counter(
            session.scalars(
                select(Task.deployment_id).where(Task.service_name == service.name, Task.last_status == "RUNNING")
            )
        )
        wanted = {deployments[0].id: service.desired_count} if service.desired_count else {}
        if running != wanted:
            yield f"service {service.name} runs {dict(running)}, and should {wanted}"


def _jobs(session: Session) -> Iterator[str]:
    for job in session.scalars(select(Job).where(Job.status.not_in(FINISHED))):
        yield f"job {job.id} is {job.status} ({job.status_reason})"


def _schedules(session: Session) -> Iterator[str]:
    for schedule in session.scalars(select(Schedule).where(Schedule.next_due_at.is_not(None))):
        yield f"schedule {schedule.name} is due at {schedule.next_due_at}"
    for firing in session.scalars(select(Firing).where(Firing.status == "PENDING")):
        yield f"firing {firing.id} of {firing.schedule_arn} is PENDING ({firing.error_message})"
