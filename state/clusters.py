"""Clusters: the names under which capacity, tasks and services meet."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import String, bindparam, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from kit.lifecycle import Lifecycle
from state.base import Base, Moves
from state.prepared import Prepared

CLUSTER = Lifecycle("cluster", {"ACTIVE": ("INACTIVE",), "INACTIVE": ("ACTIVE",)})


class Cluster(Moves, Base):
    """One cluster. Every column's writer is the API."""

    __tablename__ = "clusters"
    lifecycle = CLUSTER

    name: Mapped[str] = mapped_column(String(255), primary_key=True)
    status: Mapped[str] = mapped_column(String(20), default="ACTIVE")
    settings: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    configuration: Mapped[dict[str, Any] | None]
    capacity_providers: Mapped[list[str]] = mapped_column(default=list)
    default_strategy: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    tags: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    created_at: Mapped[datetime]

    def event_name(self) -> str:
        return f"cluster/{self.name}"


_LOCK = select(Cluster.name).where(Cluster.name == bindparam("name")).with_for_update()
_ACTIVE = Prepared(select(Cluster.name).where(Cluster.name == bindparam("name"), Cluster.status == "ACTIVE"))


def get_cluster(session: Session, name: str) -> Cluster | None:
    """The cluster, also an INACTIVE one, or None."""
    return session.get(Cluster, name)


def has_active_cluster(session: Session, name: str) -> bool:
    """Whether there is an ACTIVE cluster of that name."""
    return _ACTIVE.row(session, name=name) is not None


def ensure_cluster(session: Session, name: str, *, now: datetime) -> None:
    """Make the cluster where there is none of that name."""
    if get_cluster(session, name) is None:
        session.add(Cluster(name=name, status="ACTIVE", created_at=now))


def lock_cluster(session: Session, name: str) -> None:
    """Hold the cluster until the transaction ends: placement in a cluster is serial.

    Nobody else can then reserve room there between the look and the reservation. SQLite's one writer
    holds everything anyway; there the lock costs one key look-up.
    """
    session.connection().execute(_LOCK, {"name": name})


def get_clusters(session: Session, names: Collection[str]) -> Mapping[str, Cluster]:
    """The named clusters that exist, INACTIVE ones too, by name."""
    return {row.name: row for row in session.scalars(select(Cluster).where(Cluster.name.in_(names)))}


def list_cluster_names(session: Session, *, after: str | None, limit: int) -> Sequence[str]:
    """Names of ACTIVE clusters behind ``after``, in order."""
    names = select(Cluster.name).where(Cluster.status == "ACTIVE", Cluster.name > (after or ""))
    return session.scalars(names.order_by(Cluster.name).limit(limit)).all()
