"""Capacities: hosts that Berth provisions by itself, for one Fargate task or for a compute environment.

The row is written before anything is launched and carries the token of the launch, so a crash in between is
repeated, never doubled; it ends in TERMINATED only when the provisioner says that nothing is left.
"""

from datetime import datetime

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from kit.lifecycle import Lifecycle
from state.base import Base, Moves

CAPACITY = Lifecycle(
    "capacity",
    {
        "REQUESTED": ("LAUNCHED", "TERMINATING"),
        "LAUNCHED": ("ACTIVE", "TERMINATING"),
        "ACTIVE": ("TERMINATING",),
        "TERMINATING": ("TERMINATED",),
        "TERMINATED": (),
    },
)


class Capacity(Moves, Base):
    """One host to be had. Written by the capacities loop, but for REQUESTED (whoever needs it)
    and ACTIVE (the agents' door, when its agent registers)."""

    __tablename__ = "capacities"
    __table_args__ = (Index("ix_capacities_status", "status"),)
    lifecycle = CAPACITY

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    status: Mapped[str] = mapped_column(String(20), default="REQUESTED")
    provisioner: Mapped[str] = mapped_column(String(40))
    cluster: Mapped[str] = mapped_column(String(255))
    # Why it exists: "task" (then task_id) or "compute-environment" (then its name).
    purpose: Mapped[str] = mapped_column(String(30))
    task_id: Mapped[str | None] = mapped_column(String(36), index=True)
    compute_environment: Mapped[str | None] = mapped_column(String(128), index=True)
    cpu: Mapped[int]
    memory: Mapped[int]
    container_instance_id: Mapped[str | None] = mapped_column(String(36))
    attempts: Mapped[int] = mapped_column(default=0)
    reason: Mapped[str | None]
    requested_at: Mapped[datetime]
    launched_at: Mapped[datetime | None]
    terminated_at: Mapped[datetime | None]

    def event_name(self) -> str:
        return f"capacity/{self.id}"
