"""Reservations: taking room on a host for a task and giving it back, always in the task's own transaction.

Each write is guarded in its WHERE clause and backed by CHECKs and unique keys, so two schedulers that decided on
the same snapshot cannot both succeed: the second sees zero rows, raises Conflict and decides again.
"""

import ipaddress
from collections.abc import Iterable

from sqlalchemy import CursorResult, delete, insert, select, update
from sqlalchemy.orm import Session

from state.container_instances import ContainerInstance, HostPort, NetworkAddress, new_revision
from state.store import Conflict


class NoAddressLeft(Exception):
    """The ``awsvpc`` network has no address left to give."""


def reserve(
    session: Session,
    container_instance_id: str,
    task_id: str,
    *,
    cpu: int,
    memory: int,
    ports: Iterable[tuple[int, str]],
) -> None:
    """Take ``cpu`` units, ``memory`` MiB and the host ports for the task; raise Conflict when there is no room."""
    taken = session.execute(
        update(ContainerInstance)
        .where(
            ContainerInstance.id == container_instance_id,
            ContainerInstance.status == "ACTIVE",
            ContainerInstance.free_cpu >= cpu,
            ContainerInstance.free_memory >= memory,
        )
        .values(
            free_cpu=ContainerInstance.free_cpu - cpu,
            free_memory=ContainerInstance.free_memory - memory,
            revision=new_revision(),
        )
        .execution_options(synchronize_session=False)
    )
    if not isinstance(taken, CursorResult) or taken.rowcount != 1:
        raise Conflict(f"no room left on {container_instance_id}")
    rows = [
        {"container_instance_id": container_instance_id, "task_id": task_id, "port": port, "protocol": protocol}
        for port, protocol in ports
    ]
    if rows:
        session.execute(insert(HostPort), rows)


def release(session: Session, container_instance_id: str | None, task_id: str, *, cpu: int, memory: int) -> None:
    """Give back everything the task had taken. Call it exactly when the task moves to its end, once."""
    if container_instance_id is not None:
        session.execute(
            update(ContainerInstance)
            .where(ContainerInstance.id == container_instance_id)
            .values(
                free_cpu=ContainerInstance.free_cpu + cpu,
                free_memory=ContainerInstance.free_memory + memory,
                revision=new_revision(),
            )
            .execution_options(synchronize_session=False)
        )
    session.execute(delete(HostPort).where(HostPort.task_id == task_id))
    session.execute(delete(NetworkAddress).where(NetworkAddress.task_id == task_id))


def count_addresses(network: str) -> int:
    """How many addresses of ``network`` can be given to tasks: all but the network's, the gateway's and broadcast."""
    return max(ipaddress.ip_network(network).num_addresses - 3, 0)


def reserve_address(session: Session, network: str, task_id: str) -> str:
    """Take the lowest free address of ``network`` (a CIDR; network, gateway and broadcast are left out).

    The same task asking again gets the same address. Raises NoAddressLeft.
    """
    taken = dict(
        session.execute(
            select(NetworkAddress.address, NetworkAddress.task_id).where(NetworkAddress.network == network)
        ).all()
    )
    for address, owner in taken.items():
        if owner == task_id:
            return address
    hosts = ipaddress.ip_network(network).hosts()
    next(hosts, None)  # the gateway's
    for candidate in hosts:
        if str(candidate) not in taken:
            session.execute(insert(NetworkAddress).values(network=network, address=str(candidate), task_id=task_id))
            return str(candidate)
    raise NoAddressLeft(f"network {network} has no address left")
