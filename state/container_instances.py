"""Container instances: registered hosts, what they have, and what is still free on them.

``free_cpu`` and ``free_memory`` can never go below zero: the database itself refuses (CHECK), and a host port is a
row with a unique key. Over-commitment is therefore impossible to write, whatever the scheduler believed.

Whatever placement reads of a host is written together with a fresh ``revision``: a random mark, so that whoever
remembers the mark knows whether what it remembers of the host still holds. A mark that was rolled back never returns.
"""

import secrets
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, bindparam, event, inspect, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from kit.lifecycle import Lifecycle
from state.base import Base, Moves, some
from state.bulk import execute_rows

CONTAINER_INSTANCE = Lifecycle(
    "container-instance",
    {
        "REGISTERING": ("ACTIVE", "INACTIVE"),
        "ACTIVE": ("DRAINING", "DEREGISTERING", "INACTIVE"),
        "DRAINING": ("ACTIVE", "DEREGISTERING", "INACTIVE"),
        "DEREGISTERING": ("INACTIVE",),
        "INACTIVE": (),
    },
)

# What placement does not read: everything else is written with a new mark.
UNREAD_BY_PLACEMENT = frozenset(
    {"revision", "capacity_id", "tags", "connection_id", "health_status", "seen_at", "lost_at"}
)


def new_revision() -> int:
    """A mark for what is being written; one mark may serve for all rows that one statement writes."""
    return secrets.randbits(62)


class ContainerInstance(Moves, Base):
    """One host. ``status`` is written by the API, ``agent_connected`` by the agents' door,
    ``free_*`` only by ``state.reservations``; whoever writes by a statement writes ``revision`` as well."""

    __tablename__ = "container_instances"
    __table_args__ = (
        CheckConstraint("free_cpu >= 0", name="free_cpu_not_negative"),
        CheckConstraint("free_memory >= 0", name="free_memory_not_negative"),
        # Has everything that is asked of every host at every placement.
        Index("ix_container_instances_cluster_status", "cluster", "status", "shared", "id", "revision"),
    )
    lifecycle = CONTAINER_INSTANCE

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    cluster: Mapped[str] = mapped_column(ForeignKey("clusters.name"))
    status: Mapped[str] = mapped_column(String(20), default="ACTIVE")
    # The name of the machine underneath, as the agent gave it (``i-…`` or a host name).
    ec2_instance_id: Mapped[str] = mapped_column(String(255), default="")
    # Set on a host that a provisioner launched.
    capacity_id: Mapped[str | None] = mapped_column(String(36), index=True)
    # False on a host launched for one Fargate task: no placement considers it, no API shows it.
    shared: Mapped[bool] = mapped_column(default=True)
    registered_cpu: Mapped[int]
    registered_memory: Mapped[int]
    free_cpu: Mapped[int]
    free_memory: Mapped[int]
    # Every registered resource as the agent sent it (PORTS, PORTS_UDP, GPU…).
    resources: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    attributes: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    version_info: Mapped[dict[str, Any]] = mapped_column(default=dict)
    tags: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    agent_connected: Mapped[bool] = mapped_column(default=False)
    # Which API process holds the agent's socket, so that a lost process' agents can be marked away.
    connection_id: Mapped[str | None] = mapped_column(String(36))
    health_status: Mapped[str] = mapped_column(String(30), default="OK")
    registered_at: Mapped[datetime]
    seen_at: Mapped[datetime | None]
    # When a host whose agent is away counts as lost, and others run what services and jobs had on it.
    lost_at: Mapped[datetime | None] = mapped_column(index=True)
    revision: Mapped[int] = mapped_column(BigInteger, default=new_revision)

    def event_name(self) -> str:
        return f"container-instance/{self.cluster}/{self.id}"

    def attribute(self, name: str) -> str | None:
        """The value of the named attribute, or None."""
        return next((a.get("value") for a in self.attributes if a["name"] == name), None)


@event.listens_for(ContainerInstance, "before_update")
def _mark(mapper: Any, connection: Any, instance: ContainerInstance) -> None:
    """Give the row a new mark where a flush writes what placement reads."""
    attributes = inspect(instance).attrs
    if any(one.history.has_changes() for one in attributes if one.key not in UNREAD_BY_PLACEMENT):
        instance.revision = new_revision()


class HostPort(Base):
    """One host port taken by one task. Written only by ``state.reservations``."""

    __tablename__ = "host_ports"

    container_instance_id: Mapped[str] = mapped_column(ForeignKey("container_instances.id"), primary_key=True)
    protocol: Mapped[str] = mapped_column(String(3), primary_key=True)
    port: Mapped[int] = mapped_column(primary_key=True)
    task_id: Mapped[str] = mapped_column(String(36), index=True)


_MARK = update(ContainerInstance).where(ContainerInstance.id == bindparam("this")).values(revision=bindparam("mark"))


def get_container_instance(session: Session, instance_id: str) -> ContainerInstance | None:
    return session.get(ContainerInstance, instance_id)


def hold_hosts(session: Session, container_instances: Collection[str]) -> None:
    """Hold the rows of hosts, in one order for all writers, so that none waits for another in a circle.

    Whoever holds several things holds them in this order: the cluster, tasks, hosts, address pools, and counts of
    tasks. So nothing is flushed here. SQLite's one writer holds everything anyway.
    """
    connection = session.connection()
    if connection.dialect.name == "sqlite":
        return
    for few in some(sorted(set(container_instances))):
        connection.execute(
            select(ContainerInstance.id)
            .where(ContainerInstance.id.in_(few))
            .order_by(ContainerInstance.id)
            .with_for_update()
        )


def hold_fleets(session: Session, clusters: Collection[str]) -> None:
    """Hold all hosts of the clusters, in the order of ``hold_hosts``.

    For whoever takes room in several lots: which hosts the next lot is for is known when the one before is written.
    """
    connection = session.connection()
    if connection.dialect.name == "sqlite":
        return
    connection.execute(
        select(ContainerInstance.id)
        .where(ContainerInstance.cluster.in_(clusters), ContainerInstance.status.in_(("ACTIVE", "DRAINING")))
        .order_by(ContainerInstance.id)
        .with_for_update()
    )


def mark_hosts(session: Session, instance_ids: Collection[str]) -> None:
    """Say that something placement counts on these hosts has changed, though not in their own rows."""
    hold_hosts(session, instance_ids)
    mark = new_revision()
    execute_rows(session, _MARK, ("this", "mark"), [(each, mark) for each in sorted(set(instance_ids))])


def list_hosts(session: Session, cluster: str, statuses: Collection[str] = ("ACTIVE",)) -> Sequence[ContainerInstance]:
    """The cluster's shared hosts, oldest first."""
    return session.scalars(
        select(ContainerInstance)
        .where(
            ContainerInstance.cluster == cluster,
            ContainerInstance.status.in_(statuses),
            ContainerInstance.shared,
        )
        .order_by(ContainerInstance.registered_at, ContainerInstance.id)
    ).all()
