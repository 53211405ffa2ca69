"""Capacity arriving: what happens when the agent of a provisioned host registers."""

from datetime import datetime

from sqlalchemy import select

from scheduler.claims import Claim, claim
from scheduler.ending import end_task
from scheduler.fleets import NETWORK
from scheduler.placement import demand_of
from scheduler.wiring import render_attachment
from state.addresses import NoAddressLeft
from state.capacities import Capacity
from state.container_instances import ContainerInstance
from state.store import Conflict, Session
from state.task_definitions import TaskDefinition
from state.tasks import Task


def expected_capacity(session: Session, capacity_id: str) -> Capacity | None:
    """The capacity that may register now, held for this transaction; None for an unknown or ended one."""
    capacity = session.scalars(select(Capacity).where(Capacity.id == capacity_id).with_for_update()).one_or_none()
    return capacity if capacity is not None and capacity.status in ("REQUESTED", "LAUNCHED", "ACTIVE") else None


def capacity_arrived(session: Session, instance: ContainerInstance, *, now: datetime) -> None:
    """Mark the host's capacity ACTIVE and give the task that waited for it its place. Repeats change nothing."""
    capacity = expected_capacity(session, instance.capacity_id or "")
    if capacity is None or capacity.status == "ACTIVE":
        return
    if capacity.status == "REQUESTED":
        # The agent was quicker than the loop that launched it could note so.
        capacity.advance("LAUNCHED", at=now, because="its agent has registered")
        capacity.launched_at = now
    capacity.container_instance_id = instance.id
    capacity.advance("ACTIVE", at=now, because=f"registered as {instance.id}")
    task = session.get(Task, capacity.task_id, with_for_update=True) if capacity.task_id else None
    if task is not None and task.last_status == "PROVISIONING" and task.desired_status == "RUNNING":
        definition = session.get_one(TaskDefinition, (task.family, task.revision))
        try:
            _put_on_host(session, task, instance, definition)
        except NoAddressLeft as error:
            task.ask_to_stop(at=now, code="TaskFailedToStart", because=f"ResourceInitializationError: {error}")
            end_task(session, task, now=now, because=str(error))
            return
        task.advance("PENDING", at=now, because=f"its capacity registered as {instance.id}")


def _put_on_host(session: Session, task: Task, instance: ContainerInstance, definition: TaskDefinition) -> None:
    """Reserve the task's room on the host, write the assignment, and wake the host's agent."""
    demand = demand_of(definition.body, task.overrides)
    network = instance.attribute(NETWORK) or ""
    if demand.address and not network:
        raise NoAddressLeft(f"the host {instance.id} has no network for tasks")
    claimed = claim(session, [Claim(task.id, instance.id, network=network)], demand)
    if demand.address and task.id not in claimed.addresses:
        raise NoAddressLeft(f"network {network} has no address left")
    if not claimed.held:
        raise Conflict(f"no room left on {instance.id}")
    task.container_instance_id = instance.id
    if demand.address:
        task.attachments = [
            render_attachment(
                task.id,
                network=network,
                address=claimed.addresses[task.id],
                configuration=task.network_configuration,
            )
        ]
    session.wake(f"agent:{instance.id}")
