"""Schedules: what is to be invoked when. The row says when it is due next; whatever timer there is only reads it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint, delete, func, select, tuple_
from sqlalchemy.orm import Mapped, Session, mapped_column

from state.base import Base
from state.log_groups import starts_with
from state.schedule_groups import GroupName


class Schedule(Base):
    """One schedule. The API writes everything; ``next_due_at`` is also the schedules loop's."""

    __tablename__ = "schedules"
    __table_args__ = (
        UniqueConstraint("group_name", "name"),
        Index("ix_schedules_due", "state", "next_due_at"),
    )

    # A schedule made again under an old name is another schedule: its firings are its own.
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    group_name: Mapped[str] = mapped_column(ForeignKey("schedule_groups.name"))
    name: Mapped[str] = mapped_column(GroupName)
    arn: Mapped[str] = mapped_column(String(400))
    state: Mapped[str] = mapped_column(String(10))
    expression: Mapped[str] = mapped_column(String(256))
    timezone: Mapped[str] = mapped_column(String(50))
    start_at: Mapped[datetime | None]
    end_at: Mapped[datetime | None]
    # Target, FlexibleTimeWindow and Description as the client gave them.
    target: Mapped[dict[str, Any]]
    detail: Mapped[dict[str, Any]]
    # NONE or DELETE.
    after_completion: Mapped[str] = mapped_column(String(10))
    # What a rate without a start date counts from: when its timing was last written.
    origin_at: Mapped[datetime]
    # None: nothing is due any more, or the schedule is disabled.
    next_due_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    modified_at: Mapped[datetime]
    version: Mapped[int] = mapped_column(default=1)

    __mapper_args__ = {"version_id_col": version}

    @property
    def flexible_minutes(self) -> int:
        """The width of the window in which an invocation may happen, 0 without one."""
        window = self.detail.get("FlexibleTimeWindow") or {}
        return int(window.get("MaximumWindowInMinutes") or 0) if window.get("Mode") == "FLEXIBLE" else 0


def get_schedule(session: Session, group: str, name: str, *, hold: bool = False) -> Schedule | None:
    query = select(Schedule).where(Schedule.group_name == group, Schedule.name == name)
    return session.scalars(query.with_for_update() if hold else query).one_or_none()


def list_schedules(
    session: Session,
    *,
    group: str | None,
    prefix: str | None,
    state: str | None,
    after: tuple[str, str],
    limit: int,
) -> Sequence[Schedule]:
    """Schedules by group and name, those after ``after``."""
    query = select(Schedule).where(tuple_(Schedule.group_name, Schedule.name) > after)
    if group is not None:
        query = query.where(Schedule.group_name == group)
    if prefix:
        query = query.where(starts_with(Schedule.name, prefix))
    if state is not None:
        query = query.where(Schedule.state == state)
    return session.scalars(query.order_by(Schedule.group_name, Schedule.name).limit(limit)).all()


def list_due_schedules(session: Session, *, now: datetime, limit: int) -> Sequence[Schedule]:
    """Schedules that are due, the longest due first."""
    return session.scalars(
        select(Schedule)
        .where(Schedule.state == "ENABLED", Schedule.next_due_at <= now)
        .order_by(Schedule.next_due_at, Schedule.id)
        .limit(limit)
    ).all()


def next_due(session: Session) -> datetime | None:
    """When the first enabled schedule is due."""
    return session.scalar(select(func.min(Schedule.next_due_at)).where(Schedule.state == "ENABLED"))


def delete_schedules_of(session: Session, group: str) -> None:
    session.execute(delete(Schedule).where(Schedule.group_name == group))
