"""Compute environments: where Batch's jobs may run, each with an ECS cluster of its own.

The row exists before its cluster has hosts and goes away only when nothing of it is left.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import String, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from kit.lifecycle import Lifecycle
from state.base import Base, Moves

COMPUTE_ENVIRONMENT = Lifecycle(
    "compute-environment",
    {
        "CREATING": ("VALID", "INVALID", "DELETING"),
        "VALID": ("UPDATING", "INVALID", "DELETING"),
        "INVALID": ("UPDATING", "VALID", "DELETING"),
        "UPDATING": ("VALID", "INVALID", "DELETING"),
        "DELETING": ("DELETED",),
        "DELETED": (),
    },
)


class ComputeEnvironment(Moves, Base):
    """One compute environment. The API writes the wishes and the moves it is asked for (UPDATING, DELETING);
    the compute environments loop writes the other moves, ``desired_vcpus`` and ``status_reason``."""

    __tablename__ = "compute_environments"
    lifecycle = COMPUTE_ENVIRONMENT

    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    uuid: Mapped[str] = mapped_column(String(36))
    type: Mapped[str] = mapped_column(String(20))  # MANAGED or UNMANAGED
    state: Mapped[str] = mapped_column(String(20), default="ENABLED")
    status: Mapped[str] = mapped_column(String(20), default="CREATING")
    status_reason: Mapped[str | None]
    unmanaged_vcpus: Mapped[int | None]
    # As it was asked for, in camelCase; empty for an UNMANAGED environment.
    compute_resources: Mapped[dict[str, Any]] = mapped_column(default=dict)
    desired_vcpus: Mapped[int] = mapped_column(default=0)
    service_role: Mapped[str | None]
    update_policy: Mapped[dict[str, Any] | None]
    ecs_settings: Mapped[dict[str, Any] | None]
    context: Mapped[str | None]
    cluster: Mapped[str] = mapped_column(String(255))
    tags: Mapped[dict[str, str]] = mapped_column(default=dict)
    created_at: Mapped[datetime]
    version: Mapped[int] = mapped_column(default=1)

    __mapper_args__ = {"version_id_col": version}

    def event_name(self) -> str:
        return f"compute-environment/{self.name}"

    @property
    def kind(self) -> str:
        """Where its capacity comes from: FARGATE, EC2 (hosts that Berth provisions) or UNMANAGED."""
        return str(self.compute_resources["type"]) if self.type == "MANAGED" else "UNMANAGED"

    @property
    def usable(self) -> bool:
        """Whether jobs may be started on it now."""
        return self.state == "ENABLED" and self.status == "VALID"


def get_compute_environment(session: Session, name: str, *, lock: bool = False) -> ComputeEnvironment | None:
    """The environment or None; ``lock`` holds its row until the transaction ends."""
    return session.get(ComputeEnvironment, name, with_for_update=True if lock else None)


def list_compute_environments(session: Session, names: Collection[str] | None = None) -> Sequence[ComputeEnvironment]:
    """The named environments (absent ones are left out), or all of them, by name."""
    query = select(ComputeEnvironment).order_by(ComputeEnvironment.name)
    if names is not None:
        query = query.where(ComputeEnvironment.name.in_(names))
    return session.scalars(query).all()
