"""Job queues: where jobs wait, and the compute environments they are tried on, in order."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import String, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from kit.ids import last_part
from kit.lifecycle import Lifecycle
from state.base import Base, Moves

JOB_QUEUE = Lifecycle(
    "job-queue",
    {
        "CREATING": ("VALID", "INVALID", "DELETING"),
        "VALID": ("UPDATING", "INVALID", "DELETING"),
        "INVALID": ("UPDATING", "VALID", "DELETING"),
        "UPDATING": ("VALID", "INVALID", "DELETING"),
        "DELETING": ("DELETED",),
        "DELETED": (),
    },
)


class JobQueue(Moves, Base):
    """One queue. The API writes the wishes and the moves it is asked for; the job queues loop the other moves."""

    __tablename__ = "job_queues"
    lifecycle = JOB_QUEUE

    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    state: Mapped[str] = mapped_column(String(20), default="ENABLED")
    status: Mapped[str] = mapped_column(String(20), default="CREATING")
    status_reason: Mapped[str | None]
    priority: Mapped[int]
    # [{"order": 1, "computeEnvironment": <ARN>}], lowest order first.
    compute_environment_order: Mapped[list[dict[str, Any]]]
    job_queue_type: Mapped[str | None] = mapped_column(String(40))
    job_state_time_limit_actions: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    tags: Mapped[dict[str, str]] = mapped_column(default=dict)
    created_at: Mapped[datetime]
    version: Mapped[int] = mapped_column(default=1)

    __mapper_args__ = {"version_id_col": version}

    def event_name(self) -> str:
        return f"job-queue/{self.name}"

    @property
    def environments(self) -> tuple[str, ...]:
        """Names of its compute environments, in the order in which they are tried."""
        ordered = sorted(self.compute_environment_order, key=lambda entry: int(entry["order"]))
        return tuple(last_part(entry["computeEnvironment"]) for entry in ordered)


def get_job_queue(session: Session, name: str, *, lock: bool = False) -> JobQueue | None:
    """The queue or None; ``lock`` holds its row until the transaction ends."""
    return session.get(JobQueue, name, with_for_update=True if lock else None)


def list_job_queues(session: Session, names: Collection[str] | None = None) -> Sequence[JobQueue]:
    """The named queues (absent ones are left out), or all of them, by name."""
    query = select(JobQueue).order_by(JobQueue.name)
    if names is not None:
        query = query.where(JobQueue.name.in_(names))
    return session.scalars(query).all()


def queues_on(session: Session, compute_environment: str) -> list[str]:
    """Names of the queues that use the compute environment."""
    return [queue.name for queue in list_job_queues(session) if compute_environment in queue.environments]
