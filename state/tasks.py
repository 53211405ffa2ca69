"""Tasks: one-shot, forward-only. A stopped task is replaced, never restarted."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, false, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from kit.lifecycle import Lifecycle
from state.base import Base, Moves, some
from state.task_counts import follow

# ECS's ACTIVATING, DEACTIVATING and STOPPING are for load balancers and the like, which Berth has not built.
TASK = Lifecycle(
    "task",
    {
        "PROVISIONING": ("PENDING", "DEPROVISIONING", "STOPPED"),
        "PENDING": ("RUNNING", "DEPROVISIONING", "STOPPED"),
        "RUNNING": ("DEPROVISIONING", "STOPPED"),
        "DEPROVISIONING": ("STOPPED",),
        "STOPPED": (),
    },
)
# Whoever asks by these very words is answered from an index that holds nothing else.
WANTED = text("desired_status = 'RUNNING'")
OF_SERVICE = text("service_name IS NOT NULL")
OF_SOMEBODY = text("started_by IS NOT NULL")
OVER = text("stopped_at IS NOT NULL")
UNJUDGED = text("last_status = 'STOPPED' AND NOT judged AND deployment_id IS NOT NULL")


class Task(Moves, Base):
    """One task.

    Writers: the API writes what was asked and ``desired_status``; loops write the assignment
    (``container_instance_id``, ``attachments``) and ``desired_status`` of tasks they own; the agents' door
    writes what was observed (``last_status``, ``containers``, ``health_status``, the instants of its course).
    """

    __tablename__ = "tasks"
    __table_args__ = (
        # Each index costs every task that is launched, and one of a column that reports write, every report: so no
        # column is here but what is asked for, and of members that most tasks have not only the tasks that have them.
        Index("ix_tasks_cluster_status", "cluster", "desired_status", "id"),
        Index(
            "ix_tasks_service",
            "cluster",
            "service_name",
            "desired_status",
            "id",
            sqlite_where=OF_SERVICE,
            postgresql_where=OF_SERVICE,
        ),
        Index("ix_tasks_instance", "container_instance_id"),
        Index("ix_tasks_family", "family", "id"),
        Index("ix_tasks_started_by", "started_by", "id", sqlite_where=OF_SOMEBODY, postgresql_where=OF_SOMEBODY),
        Index("ix_tasks_stopped_at", "stopped_at", sqlite_where=OVER, postgresql_where=OVER),
        # How many of a deployment's tasks have settled is a range of this; with its last column, of nothing else.
        Index(
            "ix_tasks_deployment",
            "deployment_id",
            "started_at",
            "desired_status",
            sqlite_where=WANTED,
            postgresql_where=WANTED,
        ),
        # Holds no more than the stopped tasks that the services loop has yet to look at.
        Index("ix_tasks_unjudged", "deployment_id", sqlite_where=UNJUDGED, postgresql_where=UNJUDGED),
    )
    lifecycle = TASK
    status_column = "last_status"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    cluster: Mapped[str] = mapped_column(ForeignKey("clusters.name"), active_history=True)
    family: Mapped[str] = mapped_column(String(255))
    revision: Mapped[int]
    launch_type: Mapped[str] = mapped_column(String(20), active_history=True)
    capacity_provider: Mapped[str | None] = mapped_column(String(255), active_history=True)
    platform_version: Mapped[str | None] = mapped_column(String(40))
    group: Mapped[str | None] = mapped_column("group_name", String(255), active_history=True)
    started_by: Mapped[str | None] = mapped_column(String(255))
    service_name: Mapped[str | None] = mapped_column(String(255))
    deployment_id: Mapped[str | None] = mapped_column(String(60), active_history=True)
    # Written by the services loop: it has taken into account how this stopped task of a service ended.
    judged: Mapped[bool] = mapped_column(default=False)
    # The Batch job attempt that this task is, if any.
    job_id: Mapped[str | None] = mapped_column(String(80))

    container_instance_id: Mapped[str | None] = mapped_column(ForeignKey("container_instances.id"), active_history=True)
    capacity_id: Mapped[str | None] = mapped_column(String(36))
    # Reserved on the host: CPU units of 1/1024 vCPU, MiB.
    cpu: Mapped[int]
    memory: Mapped[int]

    desired_status: Mapped[str] = mapped_column(String(20), default="RUNNING", active_history=True)
    last_status: Mapped[str] = mapped_column(String(20), active_history=True)
    stop_code: Mapped[str | None] = mapped_column(String(40))
    stopped_reason: Mapped[str | None]
    health_status: Mapped[str] = mapped_column(String(20), default="UNKNOWN", active_history=True)

    overrides: Mapped[dict[str, Any]] = mapped_column(default=dict)
    network_configuration: Mapped[dict[str, Any] | None]
    # Written by the API: until then scaling in and deployments leave this task of a service alone.
    protected_until: Mapped[datetime | None]
    # Whether it has a role, so that keys may have been made for it (``role_sessions``).
    has_roles: Mapped[bool] = mapped_column(default=False, server_default=false())
    # Whether ECS Exec may run commands in its containers.
    enable_execute_command: Mapped[bool] = mapped_column(default=False, server_default=false())
    # Environment that Berth itself adds to every container (Batch's ``AWS_BATCH_*``).
    extra_environment: Mapped[dict[str, str]] = mapped_column(default=dict)
    containers: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    attachments: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    attributes: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    tags: Mapped[list[dict[str, Any]]] = mapped_column(default=list)

    created_at: Mapped[datetime]
    pull_started_at: Mapped[datetime | None]
    pull_stopped_at: Mapped[datetime | None]
    connectivity_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    stopping_at: Mapped[datetime | None]
    execution_stopped_at: Mapped[datetime | None]
    stopped_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(default=1)

    __mapper_args__ = {"version_id_col": version}

    def event_name(self) -> str:
        return f"task/{self.cluster}/{self.id}"

    def ask_to_stop(self, *, at: datetime, code: str, because: str) -> bool:
        """Write that the task should stop, with the first asker's code and reason; say whether that was news."""
        if self.desired_status == "STOPPED":
            return False
        self.desired_status = "STOPPED"
        self.stop_code = code
        self.stopped_reason = because
        self.stopping_at = at
        return True


follow(Task)


def get_task(session: Session, task_id: str) -> Task | None:
    return session.get(Task, task_id)


def hold_tasks(session: Session, ids: Collection[str]) -> None:
    """Hold the rows of tasks, in one order for all writers; of tasks and hosts the tasks first (``hold_hosts``).

    Nothing is flushed here, or the counts would be held before the hosts.
    """
    connection = session.connection()
    if connection.dialect.name == "sqlite":
        return
    for few in some(sorted(set(ids))):
        connection.execute(select(Task.id).where(Task.id.in_(few)).order_by(Task.id).with_for_update())


def list_tasks(session: Session, ids: Collection[str]) -> Sequence[Task]:
    """The tasks of these ids that are there, oldest first."""
    if not ids:
        return ()
    return session.scalars(select(Task).where(Task.id.in_(ids)).order_by(Task.created_at, Task.id)).all()


def list_tasks_on(session: Session, container_instance_id: str) -> Sequence[Task]:
    """The host's tasks that have not stopped, oldest first."""
    return session.scalars(
        select(Task)
        .where(Task.container_instance_id == container_instance_id, Task.last_status != "STOPPED")
        .order_by(Task.created_at, Task.id)
    ).all()
